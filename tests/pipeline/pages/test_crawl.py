"""The pages of a file of a crawl: what is known of each, what is counted as bad, and noise."""

import gzip
import io
import random

import pytest

from pairsieve.jobs.bench_data.web_archives import CrawledPage, write_warc, write_wat
from pairsieve.pipeline.pages.crawl import Tally, format_of, pairs_of
from pairsieve.pipeline.pages.html import MAX_DEPTH
from pairsieve.schemas.recipe_pages import Pages

HTML = b"<p>before<img src=a.jpg alt=one>after"
SEGMENT = "s3://commoncrawl/crawl-data/CC-MAIN-2023-50/segments/1/warc/x.warc.gz"


def archive(*pages: CrawledPage, crawl: str = "") -> bytes:
    file = io.BytesIO()
    write_warc(file, pages, crawl)
    return file.getvalue()


def read(body: bytes, location: str = "x.warc.gz", format: str = "warc") -> tuple[list[str], Tally]:
    """Return text and crawl of each pair, and what was counted."""
    tally = Tally()
    found = pairs_of(io.BytesIO(body), location, format, Pages(), tally)
    return [f"{pair.text} {place.crawl}" for _, place, pairs in found for pair in pairs], tally


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.WARC.gz", "warc"), ("a.warc.wat.gz", "wat"), ("a.warc.wet.gz", None), ("warc", None)],
)
def test_the_format_is_told_by_the_name(name: str, format: str | None) -> None:
    assert format_of(name) == format


@pytest.mark.parametrize(
    ("location", "part_of", "crawl"),
    [
        (SEGMENT, "CC-MAIN-2024-22", "CC-MAIN-2023-50"),
        ("x.warc.gz", "CC-MAIN-2024-22", "CC-MAIN-2024-22"),
        ("/crawls/mine/x.warc.gz", "", "None"),
    ],
)
def test_the_crawl_is_told_by_the_path_or_else_by_the_file(
    location: str, part_of: str, crawl: str
) -> None:
    body = archive(CrawledPage("https://a.example/", HTML), crawl=part_of)
    assert read(body, location)[0] == [f"one {crawl}"]


def test_a_page_that_is_too_complex_or_has_no_url_is_bad() -> None:
    deep = CrawledPage("https://a.example/", b"<div>" * (MAX_DEPTH + 1) + b"<img>")
    pages = (deep, CrawledPage("dns:a.example", HTML), CrawledPage("https://a.example/", HTML))
    texts, tally = read(archive(*pages))
    assert texts == ["one None"]
    assert tally.bad == {"too_complex": 1, "no_page_url": 1}
    assert [example.reason for example in tally.examples] == ["too_complex", "no_page_url"]


def test_a_record_of_json_that_is_no_wat_is_bad() -> None:
    file = io.BytesIO()
    write_wat(file, [CrawledPage("https://a.example/", HTML)], "x.warc.gz", [7])
    broken = gzip.compress(gzip.decompress(file.getvalue()).replace(b'"Links":[', b'"Links":{'))
    assert read(broken, "x.wat.gz", "wat")[1].bad == {"not_wat": 1}


TOKENS = (
    *(b"<img src=a alt=b>", b"<figure>", b"</figure>", b"<picture>", b"<source srcset='a 1w'>"),
    *(b"<table>", b"<td>", b"<svg>", b"<math>", b"<template>", b"<select>", b"<noscript>", b"</p>"),
    *(b"<a>", b"<b>", b"</b>", b"<base href=//x>", b"<frameset>", b"<html lang=x>", b"<script>"),
    *(b"<!--", b"-->", b"\0", b"\xff", b"<img srcset=',,('>", b"&#xd800;", b"<plaintext>", b"x "),
)


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_read_to_its_end(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(25):
        html = b"".join(rng.choices(TOKENS, k=rng.randint(1, 300)))
        body = bytearray(archive(CrawledPage("https://a.example/", html)))
        for _ in range(rng.randint(0, 6)):
            at = rng.randrange(len(body))
            body[at : at + rng.randint(0, 30)] = rng.randbytes(rng.randint(0, 3))
        good = archive(CrawledPage("https://a.example/", HTML))
        texts, _ = read(bytes(body) + good)
        assert texts[-1] == "one None"
