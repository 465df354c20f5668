"""The pages of a crawl over the demo web, extracted to exactly its pairs."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.bench_data.web_archives import CrawledPage, write_warc
from pairsieve.jobs.demo_web.build import PAIRS, build
from pairsieve.jobs.demo_web.responses import Site
from pairsieve.pipeline import extract
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.extraction.sources import listed
from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.schemas.recipe_pages import Pages

SITE = Site("http://127.0.0.1:8123", "http://127.0.0.1:8124")
PER_PAGE = 9
FILES = 2
SMALL = "http://small.example/thumbnail.jpg"
FORMS = (  # how the web shows a picture with its text
    '<img src="{url}" alt="{text}">',
    '<img src="{small}" data-src="{url}" title="{text}">',
    '<img src="{small}" srcset="{small} 100w, {url} 900w" aria-label="{text}">',
    '<figure><a href=/><img src="{url}"></a><figcaption>{text}</figcaption></figure>',
    '<picture><source srcset="{url} 2x"><img src="{small}" alt="{text}"></picture>',
    '<noscript><img alt="{text}" src="{url}"></noscript>',
    '<meta property="og:image" content="{url}"><meta property="og:image:alt" content="{text}">',
)

Rows = list[tuple[str | None, str | None]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    folder = tmp_path_factory.mktemp("web")
    build(folder, 0, SITE, 200)
    table = pq.read_table(folder / PAIRS).to_pydict()
    return list(zip(table["url"], table["caption"], strict=True))


def pages(rows: Rows) -> Iterator[CrawledPage]:
    for first in range(0, len(rows), PER_PAGE):
        shown = (
            FORMS[number % len(FORMS)].format(
                url=escape(url or ""), text=escape(text or ""), small=SMALL
            )
            for number, (url, text) in enumerate(rows[first : first + PER_PAGE], first)
        )
        yield CrawledPage(f"https://demo.example/{first}", "<p>".join(shown).encode())


def test_a_crawl_of_the_demo_web_gives_exactly_its_pairs(rows: Rows, tmp_path: Path) -> None:
    crawled = list(pages(rows))
    for number in range(FILES):
        with (tmp_path / f"{number}.warc.gz").open("wb") as file:
            write_warc(file, crawled[number::FILES])
    sources = listed([str(tmp_path / "*.warc.gz")], None, "")
    options = Pages(boilerplate="keep")
    summary = extract.run(sources, Store.at(tmp_path / "pairs"), Serial(), options)
    read = pq.read_table(tmp_path / "pairs", columns=["url", "text"]).to_pylist()
    found = [(row["url"], row["text"]) for row in read if row["url"] != SMALL]
    wanted = {
        (url.url, " ".join(text.split()))
        for given, text in rows
        if (url := canonical(given or "")) and url.scheme in ("http", "https")
        if text and text.strip()
    }
    assert sorted(found) == sorted(wanted)
    assert summary.bad == {}
    assert len(wanted) > 100
