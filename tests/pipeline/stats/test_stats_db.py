from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pairsieve.pipeline import report, select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import REQUESTS_SUFFIX, stats_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.stats.histogram_bins import Bins, Measure, bins_of, spread
from pairsieve.pipeline.stats.stats_views import column_comments
from pairsieve.schemas.columns import CLIP_SIMILARITY, Column
from pairsieve.schemas.recipe import Recipe

START = datetime.fromtimestamp(1_700_000_000, UTC)
RECIPE = Recipe.model_validate({"input": {"path": "p"}, "keep": [{"where": "row % 4 = 0"}]})


@pytest.fixture(scope="module")
def stats(tmp_path_factory: pytest.TempPathFactory, put_gathered: Callable[..., None]) -> Path:
    """Return the statistics of 10,000 pairs whose width is their row, the last a billion px."""
    store = Store.at(tmp_path_factory.mktemp("stats"))
    pairs = [
        {
            "width": 1_000_000_000 if row == 9999 else row,
            "sharpness": 0.25 if row else float("nan"),
            "fetched_at": START + timedelta(seconds=row // 100),
        }
        for row in range(10_000)
    ]
    put_gathered(store, pairs)
    for unit, sent in enumerate(REQUESTS):
        path = f"gather/{unit + 1}.x{REQUESTS_SUFFIX}"
        with store.writer(path) as sink:
            request_rates.write(Counter(sent), sink)
        commit(store, f"gather/{unit + 1:08d}.json", Marker(0, {path: sink.entry()}))
    select.run(RECIPE, store, Serial(), "default")
    report.run(RECIPE, store, Serial(), "default")
    return Path(store.location(stats_file("default")))


# (host, second): requests; of two units at the same time, and in another minute
REQUESTS: list[dict[tuple[str, int], int]] = [
    {("a.example", 60): 3, ("a.example", 61): 1, ("a.example", 120): 6, ("b.example", 60): 5},
    {("a.example", 60): 4},
]


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


def test_every_view_and_every_column_says_what_it_holds(stats: Path) -> None:
    silent = _ask(
        stats,
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE NOT internal AND comment IS NULL",
    )
    assert silent == []


def test_a_range_is_looked_for_in_units_all_over_the_pool() -> None:
    assert spread(list(range(5))) == [0, 1, 2, 3, 4]
    assert spread(list(range(64))) == list(range(0, 64, 2))
    assert spread([]) == []


def test_a_number_measured_nowhere_else_has_bins_from_its_lowest_to_its_highest() -> None:
    column = Column("n", pa.int32(), "px", "A number.")
    assert bins_of(Measure.of(column), 0, 299) == Bins(10.0, 0, 29)


def test_columns_of_the_input_and_of_further_models_say_what_they_hold() -> None:
    told = dict(column_comments("ledger", ["clip_similarity_big", "note", "row"]))
    assert told["clip_similarity_big"].startswith(CLIP_SIMILARITY.doc)
    assert told["note"] == "A column of the input, as it is there."
    assert told["row"] == "Position of the pair in the input, from 0. [rows]"
