"""`pairsieve extract` on the command line, and its page."""

import json
import sys
from pathlib import Path

import pytest

from pairsieve.jobs.bench_data.web_archives import CrawledPage, write_warc
from pairsieve.jobs.cli import main
from pairsieve.pipeline.pages.rows import FIELDS

PAGE = Path(__file__).parent.parent.parent.parent / "docs/common-crawl.md"
HTML = b"<img src=a.jpg alt='a cat'><img src=logo.png alt=logo><img src=b.jpg>"


def said(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["pairsieve", "extract", *words, "--engine", "serial"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "x.warc.gz"
    with path.open("wb") as file:
        write_warc(file, [CrawledPage("https://a.example/", HTML)])
    path.write_bytes(path.read_bytes() + b"\x1f\x8b\x08broken")
    return path


def test_it_says_what_was_found_and_what_was_not(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = archive.parent / "pairs"
    lines = said([str(archive), "--out", str(out)], monkeypatch, capsys).splitlines()
    assert lines[0] == "1 pairs of 1 pages in 1 files"
    assert [line.split(maxsplit=1) for line in lines[1:4]] == [
        ["1", "images left out: boilerplate"],
        ["1", "images left out: no_text"],
        ["1", "bad records: malformed"],
    ]
    assert lines[-1] == f"For a recipe: `input: {{path: {out}/*.parquet}}`"


def test_it_says_the_same_as_json(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(archive), "--out", str(archive.parent / "pairs"), "--json", "--keep-boilerplate"]
    told = json.loads(said(words, monkeypatch, capsys))
    assert (told["pairs"], told["left_out"], told["bad"]) == (2, {"no_text": 1}, {"malformed": 1})


def test_every_column_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = [each.name for each in FIELDS if f"| `{each.name}` | {each.doc} |" not in text]
    assert missing == []
