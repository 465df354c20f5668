"""What a report counts around thresholds, on a dataset of 600 pairs, in one block and in three."""

import io
import re
from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from PIL import Image
from tests.pipeline.explore.dataset import PAIRS, Finished, make

from pairsieve.pipeline import report, select
from pairsieve.pipeline.dataset.costs import CPU_S
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, INDEX_PAGE, report_page, stats_file
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore.bounds import counted_bounds
from pairsieve.pipeline.selections import overrides
from pairsieve.pipeline.selections.sweep import sweep
from pairsieve.pipeline.stats.bound_counts import CountedBound
from pairsieve.pipeline.stats.histogram_bins import Bins, Measure, bins_of
from pairsieve.pipeline.stats.page import thumbnail
from pairsieve.schemas.errors import BadOption

THRESHOLDS = ("sharpness.min_sharpness", "size.min_side_px", "size.max_side_px")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    made = make(tmp_path_factory.mktemp("bounds"))
    report.run(made.recipe, made.store, Serial(), "default", units=1)
    return made


@pytest.fixture(scope="module")
def stats(made: Finished) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(made.store.location(stats_file("default")), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_survivors_are_those_that_a_sweep_counts(
    made: Finished, stats: duckdb.DuckDBPyConnection, threshold: str
) -> None:
    found = stats.execute(
        "SELECT value, survivors FROM sweeps WHERE threshold = ? ORDER BY value", [threshold]
    ).fetchall()
    whole = threshold.startswith("size")
    values = [int(value) if whole else value for value, _ in found if value >= 0]
    counted = sweep(made.store, Serial(), "default", threshold, values)
    assert len(values) > 10
    assert [n for value, n in found if value >= 0] == [n for (n,) in counted.survivors]


def test_the_value_as_it_is_keeps_what_the_selection_keeps(
    stats: duckdb.DuckDBPyConnection,
) -> None:
    kept = stats.execute("SELECT DISTINCT survivors FROM sweeps WHERE now").fetchall()
    assert kept == stats.execute('SELECT min("left") FROM funnel').fetchall()


def test_overlaps_are_counted_as_the_ledger_has_them(stats: duckdb.DuckDBPyConnection) -> None:
    counted = stats.execute("SELECT rule, other, pairs FROM rule_overlaps ORDER BY ALL").fetchall()
    rules = "(SELECT row, unnest(failing) AS rule FROM ledger)"
    expected = stats.execute(
        f"SELECT a.rule, b.rule, count(*) FROM {rules} AS a JOIN {rules} AS b USING (row) "
        "WHERE a.rule <> b.rule GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert counted == expected
    assert len(counted) >= 6


def test_the_page_shows_the_pairs_nearest_to_a_bound_on_either_side(
    made: Finished, stats: duckdb.DuckDBPyConnection
) -> None:
    page = made.store.read(report_page("default")).decode()
    strip = page.partition("sharpness.min_sharpness</code>")[2].partition("</section>")[0]
    inside, outside = strip.partition("Just outside")[::2]
    query = (
        "SELECT row FROM ledger WHERE outcome = 'ok' AND list_filter(failing, lambda r: "
        "r <> 'sharpness') = [] AND sharpness {} 0.3 ORDER BY abs(sharpness - 0.3), row LIMIT 4"
    )
    for side, compared in ((inside, ">="), (outside, "<")):
        shown = [int(row) for row in re.findall(r"http://h/(\d+)<", side)]
        assert shown == [row for (row,) in stats.execute(query.format(compared)).fetchall()]


def test_what_is_not_the_bound_of_its_rule_has_no_figures(
    made: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = CountedBound(
        "x.y", "sharpness", 0.4, True, False, False, "sharpness", "true", "sharpness >= 0.4",
        "false",
    )  # fmt: skip
    name = "counted_bounds"
    monkeypatch.setattr(report, name, lambda record: (*counted_bounds(record), wrong))
    report.run(made.recipe, made.store, Serial(), "default")
    page = made.store.read(report_page("default")).decode()
    assert "x.y</code>" not in page
    assert "sharpness.min_sharpness</code>" in page


def test_the_page_tells_what_stages_have_left(made: Finished) -> None:
    markers = made.store.markers(GATHER_FOLDER).values()
    entries = [entry for marker in markers for entry in marker.files.values()]
    size = sum(entry["bytes"] for entry in entries)
    page = made.store.read(report_page("default")).decode()
    cost = page.partition("<td>gather</td>")[2].partition("</tr>")[0]
    assert f'<td class="n">{len(entries)}</td><td class="n">{size / 1e6:,.2f}</td>' in cost
    spent = sum(marker.extra[CPU_S] for marker in markers)
    assert f'<td class="n">{spent:,.1f}</td>' in cost
    assert page.count("<td>select</td>") == 1


def test_what_a_model_cannot_know_is_not_shown(made: Finished) -> None:
    page = made.store.read(report_page("default")).decode()
    assert "means nothing and is not shown" in page
    assert "<b>nsfw</b>" not in page
    assert "<b>clip_similarity</b>" in page


def test_against_another_selection_it_shows_what_is_lost_and_the_index_leads_to_both(
    made: Finished,
) -> None:
    stricter = overrides.load(made.file, ["sharpness.min_sharpness=0.6"])
    kept = select.run(stricter, made.store, Serial(), "stricter").counts["kept"]
    report.run(stricter, made.store, Serial(), "stricter", against="default")
    page = made.store.read(report_page("stricter")).decode()
    before = sweep(made.store, Serial(), "default", "sharpness", [0.3]).survivors[0][0]
    assert f"<h3>Lost: {before - kept}</h3>" in page
    assert "<h3>Gained: 0</h3>" in page
    index = made.store.read(INDEX_PAGE).decode()
    assert re.findall(r'href="([^"]*)"', index) == list(map(report_page, ("default", "stricter")))
    assert f"{PAIRS}</td>" in index


def test_a_selection_is_not_held_against_itself(made: Finished) -> None:
    with pytest.raises(BadOption, match="is the selection itself"):
        report.run(made.recipe, made.store, Serial(), "default", against="default")


def test_a_thumbnail_takes_few_bytes_whatever_the_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).save(sink, "PNG")
    assert len(thumbnail(sink.getvalue())) < 8100


def _measure(whole: bool, at: float | None = None) -> Measure:
    return Measure("n", "n", frozenset(("n",)), whole, at)


def test_bins_are_of_logarithms_where_values_span_two_decades() -> None:
    assert bins_of(_measure(True), 4, 40_000) == Bins(0.2, 3, 23, True)
    assert bins_of(_measure(False), 0.001, 0.1) == Bins(0.1, -30, -10, True)
    assert not bins_of(_measure(True), 4, 399).decades
    assert not bins_of(_measure(True), 0, 40_000).decades
    assert Bins(0.2, 3, 23, True).edge(5) == 10


def test_bins_hold_the_threshold_too() -> None:
    assert bins_of(_measure(False, 2.0), 0.1, 0.9) == Bins(0.1, 1, 20)


@pytest.mark.parametrize(("value", "index"), [(0.7, 7), (0.6999, 6), (-5, 2), (99, 9)])
def test_a_value_lies_in_the_bin_that_it_begins(value: float, index: int) -> None:
    found = duckdb.execute(f"SELECT {Bins(0.1, 2, 9).index(str(value))}").fetchall()
    assert found == [(index,)]


@pytest.mark.parametrize(("value", "index"), [(1000, 15), (999, 14), (0, 3), (-1, 3), (1e9, 20)])
def test_a_value_without_a_logarithm_is_in_the_first_bin(value: float, index: int) -> None:
    bins = Bins(0.2, 3, 20, True)
    found = duckdb.execute(f"SELECT {bins.index(f'{value}::DOUBLE')}").fetchall()
    assert found == [(index,)]
