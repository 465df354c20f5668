"""Pages from records of WAT files."""

import json
from collections import Counter
from typing import Any

import pytest

from pairsieve.jobs.bench_data.web_archives import CrawledPage, wat_json
from pairsieve.pipeline.pages import wat
from pairsieve.pipeline.pages.page import pairs
from pairsieve.schemas.recipe_pages import Pages

HTML = """<html lang=fr><base href=/x/><meta property=og:image content=og.jpg>
<meta property=og:title content=Title>
<a href=https://creativecommons.org/licenses/by/4.0/ rel=license>l</a>
<img src=a.jpg alt='a "quoted" },{" text'><img src=//b.example/b.jpg title=second><img src=c.jpg>"""
PAGE = CrawledPage("https://a.example/p", HTML.encode())


def found(body: bytes) -> wat.Found:
    read = wat.parse(body)
    assert read
    return read


def taken(body: bytes) -> list[tuple[str, str, str]]:
    left_out: Counter[str] = Counter()
    page = found(body).page
    return [(pair.url, pair.text, pair.text_source) for pair in pairs(page, Pages(), left_out)]


PAIRS = [
    ("https://a.example/x/a.jpg", 'a "quoted" },{" text', "alt"),
    ("https://b.example/b.jpg", "second", "title"),
    ("https://a.example/x/og.jpg", "Title", "og:title"),
]


def test_images_are_taken_with_alt_and_title_and_the_base() -> None:
    assert taken(wat_json(PAGE, "x.warc.gz", 7)) == PAIRS


def test_what_is_written_with_spaces_is_read_too() -> None:
    spaced = json.dumps(json.loads(wat_json(PAGE, "x.warc.gz", 7)), indent=1).encode()
    assert taken(spaced) == PAIRS


def test_keys_may_come_in_any_order() -> None:
    body = json.loads(wat_json(PAGE, "x.warc.gz", 7))
    html = body["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]
    html["Links"] = [dict(reversed(link.items())) for link in html["Links"]]
    assert taken(json.dumps(body, separators=(",", ":")).encode()) == PAIRS


def test_the_page_is_known_with_where_its_record_lies() -> None:
    read = found(wat_json(PAGE, "x.warc.gz", 7))
    assert (read.archive, read.offset, read.date) == ("x.warc.gz", 7, "2024-05-18T01:58:10Z")
    assert read.page.language == "fr"
    assert read.page.license_url == "https://creativecommons.org/licenses/by/4.0/"


def test_a_request_and_a_page_without_images_are_none() -> None:
    assert wat.parse(wat_json(PAGE, "x.warc.gz", 7, "request")) is None
    assert wat.parse(wat_json(CrawledPage("https://a.example/", b"<a href=x>x"), "x", 7)) is None


def changed(path: str, value: Any) -> bytes:
    """Return the record with another value somewhere."""
    body = json.loads(wat_json(PAGE, "x.warc.gz", 7))
    inner, (*way, last) = body, path.split("/")
    for key in way:
        inner = inner[key]
    inner[last] = value
    return json.dumps(body, separators=(",", ":")).encode()


HTML_PATH = "Envelope/Payload-Metadata/HTTP-Response-Metadata/HTML-Metadata"


@pytest.mark.parametrize(
    "body",
    [
        b'{"HTML-Metadata"',
        b'["HTML-Metadata"]',
        b'{"HTML-Metadata":' + b"[" * 100_000,
        changed(f"{HTML_PATH}/Links", [{"path": "IMG@/src", "url": 5}]),
        changed(f"{HTML_PATH}/Head/Metas", "none"),
        changed("Container/Offset", [1]),
        wat_json(PAGE, "x", 7).replace(b"second", b"\xff"),
    ],
)
def test_what_is_no_record_of_a_page_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        wat.parse(body)


@pytest.mark.parametrize(
    ("path", "value", "offset"), [("Container/Offset", "x", None), ("Container/Offset", 5, 5)]
)
def test_an_offset_that_is_none_is_unknown(path: str, value: Any, offset: int | None) -> None:
    assert found(changed(path, value)).offset == offset


def test_a_page_without_a_url_is_none() -> None:
    assert wat.parse(changed("Envelope/WARC-Header-Metadata/WARC-Target-URI", "http://")) is None


def test_what_a_page_says_to_robots() -> None:
    metas = [{"name": "Robots", "content": "noai"}, {"name": "tdm-reservation", "content": "1"}]
    read = found(changed(f"{HTML_PATH}/Head/Metas", metas))
    assert read.page.robots == "noai, tdm-reservation: 1"
