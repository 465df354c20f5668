from pathlib import Path
from typing import Any

import duckdb
import pytest

from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.stats.stats_db import build, finish
from pairsieve.schemas.columns import COLUMNS


@pytest.fixture(scope="module")
def stats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the statistics of 10,000 pairs whose width is their row, the last a billion px."""
    values = {
        "row": "range",
        "uid": "md5(range::VARCHAR)",
        "outcome": "'ok'",
        "fetched_at": "to_timestamp(1_700_000_000 + range // 100)",
        "keep": "range % 4 = 0",
        "failing": "[]::VARCHAR[]",
        "width": "if(range = 9999, 1_000_000_000, range)::INTEGER",
        "sharpness": "if(range = 0, 'nan'::FLOAT, 0.25::FLOAT)",
    }
    columns = ", ".join(f'{values.get(c.name, "NULL")} AS "{c.name}"' for c in COLUMNS)
    file = tmp_path_factory.mktemp("stats") / "stats.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW ledger AS SELECT {columns} FROM range(9999, -1, -1)")
        connection.execute("CREATE VIEW superseded AS FROM ledger LIMIT 0")
        connection.execute(f"CREATE VIEW requests AS SELECT * FROM {REQUESTS}")
        build(connection, file, [])
        finish(connection)
    return file


# host, second, requests: of two units at the same time, and in another minute
REQUESTS = """(VALUES ('a.example', 60, 3), ('a.example', 61, 1), ('a.example', 60, 4),
    ('a.example', 120, 6), ('b.example', 60, 5)) AS r (host, second, requests)"""


def _ask(file: Path, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(file, read_only=True) as connection:
        return rows(connection, query)


def test_rows_are_put_in_input_order(stats: Path) -> None:
    result = _ask(stats, "SELECT row FROM ledger")
    assert [pair["row"] for pair in result] == list(range(10_000))


def test_one_value_far_out_does_not_flatten_the_histogram(stats: Path) -> None:
    bins = _ask(stats, "FROM histograms WHERE name = 'width' ORDER BY bin")
    # 1 % and 99 % are 99 and 9899: 30 bins would be 326.7 wide, the next round number is 500.
    assert [(entry["low"], entry["high"], entry["pairs"]) for entry in bins] == [
        *((low, low + 500, 500) for low in range(0, 9500, 500)),
        (9500, 1_000_000_000, 500),
    ]
    assert {entry["kept"] for entry in bins} == {125}


def test_not_a_number_is_not_measured(stats: Path) -> None:
    (measure,) = _ask(stats, "FROM measures WHERE name = 'sharpness'")
    bins = _ask(stats, "FROM histograms WHERE name = 'sharpness'")
    assert (measure["measured"], measure["lowest"], measure["highest"]) == (9999, 0.25, 0.25)
    assert [entry["pairs"] for entry in bins] == [9999]


def test_column_that_nothing_measured_has_no_histogram(stats: Path) -> None:
    (measure,) = _ask(stats, "FROM measures WHERE name = 'nsfw'")
    assert (measure["measured"], measure["unmeasured"], measure["lowest"]) == (0, 10_000, None)
    assert _ask(stats, "FROM histograms WHERE name = 'nsfw'") == []


def test_politeness_adds_up_units_that_ran_at_the_same_time(stats: Path) -> None:
    assert _ask(stats, "FROM politeness") == [
        {"host": "a.example", "requests": 14, "peak_per_s": 7, "per_s": 8 / 60},
        {"host": "b.example", "requests": 5, "peak_per_s": 5, "per_s": 5 / 60},
    ]


def test_steps_of_time_suit_the_span(stats: Path) -> None:
    result = _ask(stats, "FROM outcomes_over_time")
    # 100 s in at most 60 steps: 2 s would do, 5 s is the next of the list.
    assert {row["seconds"] for row in result} == {5}
    assert [row["pairs"] for row in result] == [500] * 20
    assert str(result[0]["start"]) == "2023-11-14 22:13:20"
