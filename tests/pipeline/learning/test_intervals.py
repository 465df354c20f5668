"""Intervals against published values, and against what repetition shows."""

import numpy as np
import pytest

from pairsieve.pipeline.learning.intervals import (
    of_classes,
    of_groups,
    of_repetitions,
    of_share,
    wilson,
)


def test_the_interval_of_a_share_is_wilsons() -> None:
    # 81 of 263: Newcombe, "Two-sided confidence intervals for the single proportion" (1998)
    assert wilson(81, 263) == pytest.approx((0.3080, 0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20)[1:] == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0, 0, 1)
    assert of_share(0.3, float("inf")) == (0.3, 0.3)


def test_groups_of_one_trial_have_about_wilsons_interval() -> None:
    hits = np.repeat([1, 0], [81, 182])
    assert of_groups(hits, np.ones(263, np.int64)) == pytest.approx(wilson(81, 263), abs=0.01)


def test_trials_that_go_together_tell_less() -> None:
    groups = np.repeat([5, 0], [20, 20])
    share, low, high = of_groups(groups, np.full(40, 5))
    assert share == 0.5
    # of 40 groups, not of 200 trials
    assert (low, high) == pytest.approx(wilson(20, 40)[1:], abs=0.03)


def test_small_classes_weigh_as_much_as_large_ones() -> None:
    share, low, high = of_classes([np.ones(2, bool), np.zeros(50, bool)])
    assert (share, low, high) == (0.5, 0.5, 0.5)


def test_three_repetitions_have_students_interval() -> None:
    # standard error 1/sqrt(3), t of 2 degrees of freedom 4.303
    assert of_repetitions([1.0, 2.0, 3.0]) == pytest.approx((2, 2 - 2.484, 2 + 2.484), abs=1e-3)
