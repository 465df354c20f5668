import csv
import io
import json
import sys

import pytest
from tests.jobs.conftest import command
from tests.pipeline.explore.dataset import PAIRS, SCRIPT, Finished

from pairsieve.jobs.explore.sql import plain


def _sql(finished: Finished, *words: str) -> str:
    done = command("sql", finished.store.url, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_json_has_an_object_a_row(finished: Finished) -> None:
    query = "SELECT row, failing, sum(row) OVER () AS big, 'nan'::FLOAT AS n FROM ledger LIMIT 2"
    rows = json.loads(_sql(finished, query, "--json"))
    assert [(row["big"], row["n"]) for row in rows] == [(PAIRS * (PAIRS - 1) // 2, None)] * 2
    assert isinstance(rows[0]["failing"], list)
    assert json.loads(_sql(finished, "SELECT 1 WHERE false", "--json")) == []


def test_csv_has_all_rows_and_captions_as_they_are(finished: Finished) -> None:
    said = _sql(finished, "SELECT row, text FROM ledger ORDER BY row", "--csv")
    rows = list(csv.reader(io.StringIO(said)))
    assert rows[0] == ["row", "text"]
    assert (len(rows), rows[8]) == (PAIRS + 1, ["7", SCRIPT])


def test_a_table_is_cut_and_says_so(finished: Finished) -> None:
    said = _sql(finished, "SELECT row FROM ledger; SELECT * FROM ledger")
    assert "The first 100 rows; --csv and --json give all" in said
    assert "The first 5 rows" in said
    assert "Row 5" in said


def test_a_prompt_answers_goes_on_after_a_mistake_and_ends(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["SELEC 1;", "SELECT 40 + 2", "AS answer;", ".tables", ".what", ".quit"]
    lines = iter(typed)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    done = command("sql", finished.store.url)
    assert done.returncode == 0
    assert "42" in done.stdout
    assert "One row per rule, in the order applied." in done.stdout
    assert done.stdout.count("`.tables` lists") == 2
    assert "sql: Parser Error" in done.stderr


def test_what_is_piped_in_is_answered(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 'piped' AS how"))
    assert "piped" in _sql(finished)


def test_wrong_uses_are_told(finished: Finished) -> None:
    both = command("sql", finished.store.url, "SELECT 1", "--csv", "--json")
    assert (both.returncode, both.stderr) == (2, "pairsieve: --csv, --json: one of the two\n")
    two = command("sql", finished.store.url, "SELECT 1; SELECT 2", "--csv")
    assert "2 statements, of which one is answered at once" in two.stderr
    nowhere = command("sql", "nowhere", "SELECT 1")
    assert (nowhere.returncode, "nowhere" in nowhere.stderr) == (2, True)
    none = command("sql", finished.store.url, " ; ")
    assert "there is no statement in the query" in none.stderr


def test_values_that_json_lacks_become_ones_that_it_has() -> None:
    assert plain({"a": [float("inf"), True, b"x", 1.5]}) == {"a": [None, True, "b'x'", 1.5]}
