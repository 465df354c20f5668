"""What is said to a person who has asked for something that cannot be: all of it, in a table."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pairsieve.jobs.cli import main
from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.recipe_file import load

TABLE: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("wrong_uses.yaml").read_text(encoding="utf-8")
)
GOOD = 'input: {path: p.parquet}\nfetch: {user_agent: "me/1 (+https://me.example/x)"}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the comment in the table says."""
    folder = tmp_path_factory.mktemp("wrong")
    pair = {"url": ["http://a/1"], "text": ["a text"]}
    pq.write_table(pa.table(pair | {"n": [1]}), folder / "p.parquet")
    half = pa.array([0.5], pa.float16())
    pq.write_table(pa.table(pair | {"h": half}), folder / "half.parquet")
    bodies = pa.array([{"bytes": b"x", "path": "x"}])
    pq.write_table(pa.table({"text": ["a"], "image": bodies}), folder / "images.parquet")
    (folder / "scores.csv").write_text("url,text,score\nhttp://a/1,a,9\n")
    (folder / "latin_1.csv").write_bytes(b"url,text\nhttp://a/1,caf\xe9\n")
    (folder / "foreign").mkdir()
    (folder / "foreign/mine.txt").write_text("mine")
    (folder / "good.yaml").write_text(GOOD)
    for name in ("planned", "damaged"):
        plan.run(load(folder / "good.yaml"), Store.at(folder / name))
    (folder / "damaged/plan.json").write_text("{")
    return folder


def words(text: str) -> str:
    """Return the text without the box that typer draws around an error, and where it breaks it."""
    boxed = [line.strip("│ ") for line in text.splitlines() if line.startswith("│")]
    return " ".join(boxed) if boxed else text.strip().removeprefix("pairsieve: ")


@pytest.mark.parametrize("name", TABLE)
def test_a_wrong_use_is_told_in_plain_words(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = TABLE[name]
    monkeypatch.chdir(folder)
    Path("r.yaml").write_text(case.get("recipe", ""))
    before = set(folder.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["pairsieve", *shlex.split(case["command"])])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert words(said.err).replace(str(folder), "{here}") == case["says"]
    assert ended.value.code == case["exit"]
    assert said.out == ""
    made = [path for path in folder.rglob("*") if path not in before]
    assert [path for path in made if folder / name not in (path, *path.parents)] == []


def test_there_are_as_many_as_were_met() -> None:
    assert len(TABLE) >= 60


def test_a_fault_of_our_own_says_where_to_go(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pairsieve.jobs.cli.app", broken)
    with pytest.raises(ZeroDivisionError):
        main()
    assert "a fault of pairsieve's own; please report it" in capsys.readouterr().err
