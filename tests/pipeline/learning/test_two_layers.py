"""Two layers: the fit against its own gradient, and a defect that one layer cannot see."""

from typing import Any

import numpy as np

from pairsieve.pipeline.learning import logistic, two_layers
from pairsieve.pipeline.learning.cross_validation import STRENGTHS, auc
from pairsieve.pipeline.vectors import pair_head

WIDTH, UNITS = 4, 8
BLOCKS = [WIDTH, WIDTH, WIDTH, 1]


def pairs(count: int, seed: int) -> tuple[Any, Any]:
    """Return features and labels: a pair is good if both of two things hold, or none."""
    rng = np.random.default_rng(seed)
    images, texts = rng.normal(size=(2, count, WIDTH)).astype(np.float32)
    one, other = np.where(rng.random(size=(2, count)) < 0.5, -2, 2)
    images[:, 0] += one
    texts[:, 1] += other
    return pair_head.features(images, texts, np.zeros((count, 0))), one == other


def test_two_layers_learn_what_no_sum_of_features_tells_and_again_the_same() -> None:
    marked, (features, labels) = pairs(120, 0), pairs(300, 1)
    for strength in STRENGTHS:
        one_layer = logistic.fit(*marked, BLOCKS, strength)
        assert auc(one_layer.logits(features), labels) < 0.65
    network, same = (two_layers.fit(*marked, BLOCKS, 0.01, UNITS) for _ in range(2))
    assert auc(network.logits(features), labels) > 0.9
    assert network.weights.tobytes() == same.weights.tobytes()
    assert network.hidden is not None
    assert same.hidden is not None
    assert network.hidden[0].tobytes() == same.hidden[0].tobytes()


def test_the_fit_is_where_the_penalised_loss_has_no_slope() -> None:
    features, labels = pairs(80, 2)
    network = two_layers.fit(features, labels, BLOCKS, 0.1, 2)
    assert network.hidden is not None
    mean, scale = logistic.scaling(features, BLOCKS)
    scaled, matrix = (features - mean) * scale, network.hidden[0] / scale
    sums = features @ network.hidden[0].T + network.hidden[1]
    wrong = (logistic.sigmoid(network.logits(features)) - labels) / 80
    outer = np.maximum(sums, 0).T @ wrong + 0.1 * network.weights
    inner = (np.outer(wrong, network.weights) * (sums > 0)).T @ scaled + 0.1 * matrix
    assert np.abs(outer).max() < 1e-3
    assert np.abs(inner).max() < 1e-3
    assert abs(wrong.sum()) < 1e-3
