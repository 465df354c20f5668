"""Which pairs are asked about, and what the answers say: against counts and a known truth."""

import numpy as np
import pytest
from tests.pipeline.explore.dataset import Finished

from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore.effect import effect
from pairsieve.pipeline.explore.labelling import (
    NEAREST,
    Stratum,
    judge,
    next_rows,
    strata,
)
from pairsieve.pipeline.explore.sample import Sample, draw

KEY = "sharpness.min_sharpness"


@pytest.fixture(scope="module")
def sample(finished: Finished) -> Sample:
    return draw(finished.store, Serial(), "default")


def _stratum(inside: bool, first: int, pairs: int, nearest: bool = False) -> Stratum:
    return Stratum(inside, nearest, 0.0, 1.0, np.arange(first, first + pairs))


def test_strata_hold_every_pair_that_the_other_rules_keep_once(sample: Sample) -> None:
    found = strata(sample, KEY, 0.3)
    inside = [row for one in found if one.inside for row in one.rows]
    outside = [row for one in found if not one.inside for row in one.rows]
    now = effect(sample, {})
    assert len(inside) == len(set(inside)) == now.survivors.pairs
    assert not set(inside) & set(outside)
    values = dict(zip(sample.rows, sample.bound(KEY)[1], strict=True))
    assert all(values[row] >= np.float32(0.3) for row in inside)
    assert all(values[row] < np.float32(0.3) for row in outside)


def test_the_nearest_of_either_side_are_asked_first_and_none_twice(sample: Sample) -> None:
    found = strata(sample, KEY, 0.3)
    asked = next_rows(found, {}, 2 * NEAREST + 30)
    near = [list(one.rows) for one in found if one.nearest]
    assert asked[:4] == [near[0][0], near[1][0], near[0][1], near[1][1]]
    assert set(asked[: 2 * NEAREST]) == {int(row) for rows in near for row in rows}
    assert len(set(asked)) == len(asked)
    labels = dict.fromkeys(asked[:8], True)
    assert next_rows(found, labels, 3, frozenset(asked[8:10])) == asked[10:13]


def test_then_the_stratum_that_is_least_certain_for_its_size_is_asked() -> None:
    found = [_stratum(True, 0, 100), _stratum(True, 100, 300), _stratum(False, 400, 150)]
    assert next_rows(found, {}, 1) == [100]
    certain = dict.fromkeys(range(100, 140), True)
    assert next_rows(found, certain, 1) == [400]


def test_of_pairs_that_are_all_marked_the_figures_are_counts() -> None:
    found = [_stratum(True, 0, 10), _stratum(False, 10, 10)]
    labels = {row: row not in (0, 10, 11, 12, 13, 14) for row in range(20)}
    judged = judge(found, labels)
    assert judged
    assert (judged.precision.low, judged.precision.high) == pytest.approx((0.9, 0.9))
    assert (judged.recall.low, judged.recall.high) == pytest.approx((9 / 14, 9 / 14))
    assert (judged.good, judged.bad) == (14, 6)


def test_labels_of_one_stratum_say_nothing_of_another() -> None:
    """Fifty bad pairs at the bound, of a thousand: the others are not thought bad for it."""
    found = [_stratum(True, 0, 50, nearest=True), _stratum(True, 50, 950)]
    labels = dict.fromkeys(range(50), False) | dict.fromkeys(range(50, 90), True)
    judged = judge(found, labels)
    assert judged
    assert judged.precision.low > 0.85
    assert judged.precision.high <= 0.95


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    found = [_stratum(True, 0, 400), _stratum(True, 400, 400), _stratum(False, 800, 400)]
    shares, held = np.repeat([0.9, 0.6, 0.2], 400), np.zeros(2)
    for _ in range(200):
        truth = random.random(1200) < shares
        asked = np.concatenate([start + random.permutation(400)[:40] for start in (0, 400, 800)])
        judged = judge(found, {int(row): bool(truth[row]) for row in asked})
        assert judged
        facts = truth[:800].mean(), truth[:800].sum() / truth.sum()
        told = judged.precision, judged.recall
        held += [one.low <= fact <= one.high for one, fact in zip(told, facts, strict=True)]
    assert (held / 200 > 0.91).all()
    assert (held / 200 < 0.99).all()


def test_without_pairs_inside_nothing_is_said() -> None:
    assert judge([_stratum(False, 0, 10)], {}) is None
