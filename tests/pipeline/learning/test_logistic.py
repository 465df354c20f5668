"""The fit against its own gradient."""

import numpy as np

from pairsieve.pipeline.learning.logistic import fit, sigmoid


def test_the_fit_is_where_the_penalised_loss_has_no_slope() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3)) * [1, 5, 0.1] + [0, 3, 1]
    labels = features[:, 0] + rng.normal(size=60) > 0
    made = fit(features, labels, [2, 1], 0.1)
    deviation = features.std(axis=0) * np.sqrt([2, 2, 1])
    own = made.weights * deviation  # weights of the scaled features
    scaled = (features - features.mean(axis=0)) / deviation
    wrong = sigmoid(made.logits(features)) - labels
    assert np.abs(scaled.T @ wrong / 60 + 0.1 * own).max() < 1e-4
    assert abs(wrong.mean()) < 1e-4
