from dataclasses import replace

import numpy as np
import pytest
from tests.pipeline.explore.dataset import Finished

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore.effect import (
    command,
    effect,
    estimate,
    failing,
    histogram,
    settings,
)
from pairsieve.pipeline.explore.sample import Sample, draw
from pairsieve.pipeline.learning.intervals import of_share
from pairsieve.pipeline.selections import overrides
from pairsieve.pipeline.selections.sweep import sweep, what_if

SHARP, SIMILAR = "sharpness.min_sharpness", "clip_similarity.min_similarity"


@pytest.fixture(scope="module")
def drawn(finished: Finished) -> Sample:
    return draw(finished.store, Serial(), "default")


def test_at_the_selections_values_it_is_the_selection(finished: Finished, drawn: Sample) -> None:
    marker = finished.store.marker(select_marker("default"))
    assert marker
    found = effect(drawn, {})
    assert found.survivors.pairs == marker.counts["kept"]
    assert (found.gained.pairs, found.lost.pairs) == (0, 0)
    alone = {one.rule: one.only_this.pairs for one in found.rules}
    for step in marker.extra["funnel"][1:]:
        assert alone[step["rule"]] == step["only_this"]


@pytest.mark.parametrize("key", [SHARP, SIMILAR, "size.min_side_px", "size.max_side_px"])
def test_survivors_are_those_that_sweep_counts(finished: Finished, drawn: Sample, key: str) -> None:
    swept = sweep(finished.store, Serial(), "default", key)
    assert len(swept.axes[0].values) > 5
    for value, (survivors,) in zip(swept.axes[0].values, swept.survivors, strict=True):
        assert effect(drawn, {key: value}).survivors.pairs == survivors, value


def test_two_thresholds_are_moved_together(finished: Finished, drawn: Sample) -> None:
    counted = what_if(finished.store, Serial(), "default", [(SHARP, [0.5]), (SIMILAR, [0.1])])
    both = effect(drawn, {SHARP: 0.5, SIMILAR: 0.1})
    assert both.survivors.pairs == counted.survivors[0][0]
    assert both.survivors.pairs == effect(drawn, {}).survivors.pairs + (
        both.gained.pairs - both.lost.pairs
    )
    assert min(both.gained.pairs, both.lost.pairs) > 0


def test_a_pair_exactly_at_a_bound_is_on_the_side_where_select_has_it(
    finished: Finished, drawn: Sample
) -> None:
    """The scores are 32 bits wide; 0.1 is none of them, and a bound that is kept all the same."""
    bound, values = drawn.bound(SIMILAR)
    assert np.float32(0.1) in values
    assert bound.passes(values, 0.1)[values == np.float32(0.1)].all()


def test_saved_it_is_what_select_makes(finished: Finished, drawn: Sample) -> None:
    values = {SHARP: 0.45, SIMILAR: 0.25, "size.min_side_px": 200.0}
    given = settings(drawn, values)
    assert given == [f"{SHARP}=0.45", f"{SIMILAR}=0.25"]
    recipe = overrides.load(finished.file, given)
    marker = select.run(recipe, finished.store, Serial(), "saved")
    assert marker.counts["kept"] == effect(drawn, values).survivors.pairs


def test_the_command_is_written_for_a_shell(drawn: Sample) -> None:
    said = command(drawn, {"size.max_side_px": 800.0}, ("my recipe.yaml", "s3://b/d", "a;b"))
    assert said == (
        "pairsieve select 'my recipe.yaml' --dataset s3://b/d --set size.max_side_px=800 "
        "--name 'a;b'"
    )


def test_a_histogram_counts_every_measured_pair_once(drawn: Sample) -> None:
    bars = histogram(drawn, SHARP, failing(drawn, {}))
    _, values = drawn.bound(SHARP)
    assert sum(bar.passing + bar.others for bar in bars) == np.isfinite(values).sum()
    inside = sum(bar.passing for bar in bars if bar.low >= 0.3)
    assert abs(inside - effect(drawn, {}).survivors.pairs) < 40  # but for the bar of the bound
    assert bars[0].low <= 0.3 <= bars[-1].high


def test_whole_numbers_have_whole_bars(drawn: Sample) -> None:
    bars = histogram(drawn, "size.min_side_px", failing(drawn, {}))
    assert all(bar.low == int(bar.low) for bar in bars)


def test_a_sample_is_told_with_an_interval_that_holds_the_count(
    finished: Finished, drawn: Sample
) -> None:
    some = draw(finished.store, Serial(), "default", most=250)
    exact = effect(drawn, {}).survivors
    told = effect(some, {}).survivors
    assert exact.exact
    assert not told.exact
    assert told.low <= exact.pairs <= told.high
    assert str(told) == f"{told.pairs:,} ({told.low:,} to {told.high:,})"


def test_where_blocks_were_left_out_the_interval_is_as_wide_as_they_differ() -> None:
    """Two blocks of a hundred, one kept and one not, are worth two draws, not two hundred."""
    chosen = np.repeat([True, False], 100)
    base = Sample("n", 10_000, np.arange(200), np.repeat([0, 7], 100), True, (),
                  np.zeros((0, 200), bool), (), (), {})  # fmt: skip
    narrow, wide = estimate(base, chosen), estimate(replace(base, all_blocks=False), chosen)
    assert (narrow.pairs, wide.pairs) == (5000, 5000)
    assert narrow.high - narrow.low == pytest.approx(10_000 * 2 * 0.0687, rel=0.01)
    assert (wide.low, wide.high) == tuple(round(10_000 * one) for one in of_share(0.5, 2))
