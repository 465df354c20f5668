"""A whole crawl, extracted: each pair once, hosts limited, killed and gone on with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.bench_data.web_archives import CrawledPage, write_warc
from pairsieve.pipeline import extract
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.extraction.sources import Source, listed
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe_pages import Pages

FILES = 3
PAGES_PER_FILE = 4


def pages(file: int) -> Iterator[CrawledPage]:
    """Yield pages that share a banner, of two hosts."""
    for number in range(PAGES_PER_FILE):
        html = (
            f"<img src=/{file}-{number}.jpg alt='picture {file} {number}'>"
            "<img src=//shared.example/banner.jpg alt=banner>"
        )
        yield CrawledPage(f"https://host{number % 2}.example/{file}", html.encode())


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    for file in range(FILES):
        with (tmp_path / f"{file}.warc.gz").open("wb") as out:
            write_warc(out, pages(file), "CC-MAIN-2024-22")
    return listed([str(tmp_path / "*.warc.gz")], None, "")


def extracted(
    sources: list[Source], out: Path, engine: Engine | None = None, **options: Any
) -> tuple[extract.Summary, list[dict[str, Any]]]:
    summary = extract.run(sources, Store.at(out), engine or Serial(), Pages(), **options)
    parts = sorted(out.glob("*.parquet"))
    return summary, [row for part in parts for row in pq.read_table(part).to_pylist()]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


def test_every_pair_is_there_once_in_the_order_of_the_files(
    sources: list[Source], tmp_path: Path
) -> None:
    summary, rows = extracted(sources, tmp_path / "pairs")
    texts = [row["text"] for row in rows]
    assert texts[:3] == ["picture 0 0", "banner", "picture 0 1"]
    assert sorted(texts) == sorted(
        ["banner", *(f"picture {f} {n}" for f in range(FILES) for n in range(PAGES_PER_FILE))]
    )
    assert summary.left_out == {"repeated": FILES * PAGES_PER_FILE - 1}
    assert (summary.files, summary.pages, summary.pairs) == (3, 12, 13)


def test_a_row_says_where_it_comes_from(sources: list[Source], tmp_path: Path) -> None:
    (_, (row, *_)) = extracted(sources, tmp_path / "pairs")
    assert (row["url"], row["page_url"]) == (
        "https://host0.example/0-0.jpg",
        "https://host0.example/0",
    )
    assert (row["crawl"], row["archive"]) == ("CC-MAIN-2024-22", "0.warc.gz")
    assert (row["position"], row["page_date"]) == (0, "2024-05-18T01:58:10Z")


def test_the_pairs_of_a_host_are_limited_over_all_files(
    sources: list[Source], tmp_path: Path
) -> None:
    summary, rows = extracted(sources, tmp_path / "pairs", max_per_host=3)
    assert [row["text"] for row in rows] == [
        *("picture 0 0", "banner", "picture 0 1", "picture 0 2", "picture 0 3"),
        "picture 1 1",
    ]
    assert summary.left_out == {"over_host_limit": 7, "repeated": 11}


def test_ray_gives_the_same_bytes(sources: list[Source], tmp_path: Path, ray: Engine) -> None:
    extracted(sources, tmp_path / "serial", max_per_host=3)
    extracted(sources, tmp_path / "ray", ray, max_per_host=3)
    assert contents(tmp_path / "ray") == contents(tmp_path / "serial")


def test_a_crawl_in_s3_is_extracted_into_s3(sources: list[Source], s3: str, tmp_path: Path) -> None:
    store = Store.at(f"{s3}/crawl")
    for source in sources:
        store.write(Path(source.location).name, Path(source.location).read_bytes())
    out = Store.at(f"{s3}/pairs")
    remote = listed([f"{s3}/crawl/*.warc.gz"], None, "")
    extract.run(remote, out, Serial(), Pages())
    extracted(sources, tmp_path / "pairs")
    found = {path: out.read(path) for path in out.paths() if path.endswith(".parquet")}
    assert found == contents(tmp_path / "pairs")


TASKS = 3 + 1 + 3 + 1 + 3  # of the five rounds


@pytest.mark.parametrize("killed_after", range(1, TASKS + 1))
def test_killed_after_any_task_it_ends_with_the_same_bytes(
    sources: list[Source], tmp_path: Path, killed_after: int
) -> None:
    ended: list[str] = []

    def kill(step: str, _: object) -> None:
        ended.append(step)
        if len(ended) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extracted(sources, tmp_path / "killed", max_per_host=3, listener=kill)
    again: list[str] = []
    summary, _ = extracted(
        sources, tmp_path / "killed", max_per_host=3, listener=lambda step, _: again.append(step)
    )
    assert len(ended) + len(again) == TASKS  # nothing is done twice
    whole, _ = extracted(sources, tmp_path / "whole", max_per_host=3)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert summary == whole


def test_what_is_done_is_done_and_leaves_nothing_lying(
    sources: list[Source], tmp_path: Path
) -> None:
    first, _ = extracted(sources, tmp_path / "pairs")
    second, _ = extracted(
        sources, tmp_path / "pairs", listener=lambda *_: pytest.fail("nothing is to do")
    )
    assert first == second
    left = {path.name for path in (tmp_path / "pairs").rglob("*") if path.is_file()}
    assert left == {*(f"part-00000{n}.parquet" for n in range(FILES)), "begun.json", "done.json"}


def test_a_file_of_pairs_that_has_gone_is_missed(sources: list[Source], tmp_path: Path) -> None:
    extracted(sources, tmp_path / "pairs")
    (tmp_path / "pairs/part-000001.parquet").unlink()
    with pytest.raises(Stopped, match=r"part-000001\.parquet is gone; name another --out"):
        extracted(sources, tmp_path / "pairs")


def test_bad_records_are_counted_with_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "bad.warc.gz").write_bytes(b"\x1f\x8b\x08broken")
    sources = listed([str(tmp_path / "bad.warc.gz")], None, "")
    summary, rows = extracted(sources, tmp_path / "pairs")
    assert (summary.bad, rows) == ({"malformed": 1}, [])
    assert summary.examples == [[sources[0].location, 0, "malformed"]]


def test_a_source_that_has_gone_stops_and_can_be_gone_on_with(
    sources: list[Source], tmp_path: Path
) -> None:
    path = Path(sources[1].location)
    body = path.read_bytes()
    path.unlink()
    with pytest.raises(Stopped, match=r"1\.warc\.gz: there is no such file"):
        extracted(sources, tmp_path / "pairs")
    path.write_bytes(body)
    assert extracted(sources, tmp_path / "pairs")[0].pairs == 13


def test_other_sources_or_options_need_another_folder(
    sources: list[Source], tmp_path: Path
) -> None:
    extracted(sources, tmp_path / "pairs")
    with pytest.raises(BadOption, match="other options: max_per_host was None and is 3"):
        extracted(sources, tmp_path / "pairs", max_per_host=3)
    with pytest.raises(BadOption, match="other sources: 3 files then, 2 now"):
        extracted(sources[:2], tmp_path / "pairs")
    with pytest.raises(BadOption, match=r"other sources: .*1\.warc\.gz is new there"):
        extracted(sources[1:], tmp_path / "pairs")


def test_a_folder_with_something_else_is_refused(sources: list[Source], tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/mine.txt").write_text("mine")
    with pytest.raises(BadOption, match=r"--out: .*pairs holds mine\.txt, which is not of"):
        extracted(sources, tmp_path / "pairs")


def test_what_is_written_down_is_json(sources: list[Source], tmp_path: Path) -> None:
    extracted(sources, tmp_path / "pairs")
    begun = json.loads((tmp_path / "pairs/_extract/records/begun.json").read_text())
    assert begun["options"]["max_per_page"] == 1000
