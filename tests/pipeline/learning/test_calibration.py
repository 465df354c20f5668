"""The bins of a calibration and their plot, by hand."""

import re
from xml.etree import ElementTree

import numpy as np

from pairsieve.pipeline.learning import calibration


def test_bins_have_the_mean_prediction_and_the_share_of_good_pairs() -> None:
    predicted, labels = np.array([0.0, 0.1, 0.2, 0.9, 1.0]), np.array([0, 1, 1, 1, 1], bool)
    found = calibration.bins(predicted, labels)
    assert [(one["from"], one["pairs"], one["good"]) for one in found] == [
        (0.0, 2, 0.5),
        (0.2, 1, 1.0),
        (0.8, 2, 1.0),
    ]
    assert [round(one["predicted"], 6) for one in found] == [0.05, 0.2, 0.95]


def test_the_plot_has_a_dot_for_each_bin_with_the_interval_of_its_share() -> None:
    found = [{"from": 0.2, "pairs": 263, "predicted": 0.25, "good": 81 / 263}]
    drawn = calibration.svg(found)
    ElementTree.fromstring(drawn)
    # 81 of 263 with Newcombe's interval (test_intervals.py), of 260 px from the bottom, at 310
    assert re.findall(r'cx="([^"]+)" cy="([^"]+)"', drawn) == [("115.0", "229.9")]
    assert "M115.0 243.6V214.8" in drawn
