"""`--quiet` and `--log-json`, on every command."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.cli import main


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recipe of three pairs without a usable URL: everything runs, and warns."""
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"url": ["x", "y", "z"], "text": ["a", "b", "c"]}), "p.parquet")
    path = tmp_path / "r.yaml"
    path.write_text(
        'input: {path: p.parquet}\nfetch: {user_agent: "me/1 (+https://me.example/x)"}\n'
    )
    return path


class Said:
    """What a command says: exit code, standard output, standard error."""

    def __init__(self, code: Any, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.splitlines()]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["pairsieve", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(ended.value.code, said.out, said.err)

    return run


def test_a_run_speaks_json_alone_on_standard_error(recipe: Path, say: Any) -> None:
    said = say("run", str(recipe), "--dataset", "out", "--engine", "serial", "--log-json")
    assert said.code == 0
    events = said.events
    assert all(datetime.fromisoformat(event["time"]).utcoffset() is not None for event in events)
    (gathered,) = (e for e in events if (e["event"], e.get("stage")) == ("progress", "gather"))
    assert (gathered["pairs"], gathered["total"], gathered["level"]) == (3, 3, "info")
    assert gathered["outcomes"] == {"no_url": 3}
    warned = [event for event in events if event["level"] == "warning"]
    assert [event["event"] for event in warned] == ["warning"]
    assert "no pair has an image" in warned[0]["message"]
    assert "Funnel" in said.out


def test_a_quiet_run_says_nothing_on_standard_error(recipe: Path, say: Any) -> None:
    said = say("run", str(recipe), "--dataset", "out", "--engine", "serial", "--quiet")
    assert (said.code, said.err) == (0, "")
    plain = say("run", str(recipe), "--dataset", "again", "--engine", "serial")
    assert "gather" in plain.err
    assert "Warning: no pair has an image" in plain.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("status", "nope"), 2, "no dataset here yet"),
        (("status",), 2, "Missing argument 'DATASET'"),
        (("nope",), 2, "No such command 'nope'"),
        (("gc", "x", "--min-age-h", "-1"), 2, "Invalid value for '--min-age-h'"),
    ],
)
def test_errors_are_one_object_and_quiet_does_not_hide_them(
    say: Any, words: tuple[str, ...], code: int, message: str
) -> None:
    for more in (("--log-json",), ("--log-json", "--quiet")):
        said = say(*words, *more)
        (event,) = said.events
        assert (said.code, event["exit_code"], event["level"]) == (code, code, "error")
        assert message in event["message"]
    assert message.split("'")[0] in " ".join(say(*words, "--quiet").err.split())


def test_a_fault_of_our_own_is_one_object_too(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pairsieve.jobs.cli.app", broken)
    said = say("status", "x", "--log-json")
    (event,) = said.events
    assert (said.code, event["event"]) == (1, "fault")
    assert "ZeroDivisionError" in event["traceback"]


def test_complaints_of_status_are_objects(recipe: Path, say: Any) -> None:
    say("run", str(recipe), "--dataset", "out", "--engine", "serial", "--quiet")
    (Path("out") / "shards/default/sizes.json").unlink()
    said = say("status", "out", "--log-json")
    assert said.code == 1
    (event,) = said.events
    assert event["event"] == "complaint"
    assert "sizes.json: it is gone" in event["message"]


def test_a_limited_run_says_so_everywhere(recipe: Path, say: Any) -> None:
    words = ("run", str(recipe), "--dataset", "out", "--engine", "serial")
    limited = "Limited: the first 2 pairs of the input alone."
    assert limited in say(*words, "--limit", "2").err
    assert limited in say("status", "out").out
    assert limited in (Path("out") / "report/default/report.html").read_text()
    again = say("plan", str(recipe), "--dataset", "out", "--limit", "2")
    assert (limited in again.err, again.out) == (True, "2 pairs in 1 units\n")
    refused = say(*words)
    assert (refused.code, "made with `--limit 2`" in refused.err) == (2, True)
    sampled = say(*words[:3], "sampled", *words[4:], "--limit", "2", "--sample")
    assert "Limited: a sample of 2 of the input's 3 pairs alone, seed 0." in sampled.err
    assert (
        say(*words, "--sample").err
        == "pairsieve: --sample: needs --limit, which says how many pairs\n"
    )
