"""WARC and WAT files as an input."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.bench_data.web_archives import CrawledPage, write_warc, write_wat
from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.formats import format_of
from pairsieve.pipeline.unit.plan_limit import Limit
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

FETCH = {"user_agent": "test/1 (+mailto:a@example.org)"}
PAGES = [
    CrawledPage("https://a.example/1", b"<p>before<img src=1.jpg alt=one>after"),
    CrawledPage("https://a.example/2", b"<img src=2.jpg alt=two><img src=3.jpg alt=three>"),
]


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """Return a folder with a WARC of two pages, something broken in it, and its WAT."""
    first, second = io.BytesIO(), io.BytesIO()
    offsets = write_warc(first, PAGES[:1], "CC-MAIN-2024-22")
    later = write_warc(second, PAGES[1:])
    broken = first.getvalue() + b"\x1f\x8b\x08broken"
    (tmp_path / "x.warc.gz").write_bytes(broken + second.getvalue())
    with (tmp_path / "x.warc.wat.gz").open("wb") as file:
        write_wat(file, PAGES, "x.warc.gz", [*offsets, *(len(broken) + each for each in later)])
    return tmp_path


def planned(crawl: Path, **options: object) -> list[dict[str, object]]:
    store = Store.at(crawl / "dataset")
    recipe = Recipe.model_validate({"input": options, "fetch": FETCH})
    made = plan.run(recipe, store)
    rows: list[dict[str, object]] = []
    for name, _ in made.staged:
        rows += pq.read_table(crawl / "dataset" / name).to_pylist()
    return rows


def test_the_formats_are_told_by_name() -> None:
    names = ("a.warc", "a.WARC.GZ", "a.wat", "a.warc.wat.gz")
    assert [format_of(name) for name in names] == ["warc", "warc", "wat", "wat"]


def test_a_warc_gives_its_pairs_and_what_is_broken_is_a_row(crawl: Path) -> None:
    rows = planned(crawl, path=str(crawl / "x.warc.gz"))
    assert [row["text"] for row in rows] == ["one", None, "two", "three"]
    assert rows[0]["url"] == "https://a.example/1.jpg"
    assert "malformed" in str(rows[1]["pairsieve_problem"])


def test_a_wat_gives_the_same_pairs(crawl: Path) -> None:
    rows = planned(crawl, path=str(crawl / "x.warc.wat.gz"))
    assert [row["text"] for row in rows] == ["one", "two", "three"]


def test_the_options_of_pages_are_used(crawl: Path) -> None:
    options = {"max_per_page": 1, "context_words": 0}
    rows = planned(crawl, path=str(crawl / "x.warc.gz"), pages=options)
    assert [row["text"] for row in rows] == ["one", None, "two"]
    assert "text_before" not in str(rows[0]["others"])


def test_a_part_is_taken_without_reading_on(crawl: Path) -> None:
    store = Store.at(crawl / "dataset")
    recipe = Recipe.model_validate({"input": {"path": str(crawl / "x.warc.gz")}, "fetch": FETCH})
    assert plan.run(recipe, store, limit=Limit(1, None)).pairs == 1


def test_pages_of_another_format_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(BadOption, match=r"input\.pages: jsonl files hold no pages; leave it out"):
        planned(tmp_path, path=str(tmp_path / "a.jsonl"), pages={})
