"""The fit against its own gradient, AUC by counting pairs."""

import numpy as np

from pairsieve.pipeline.learning.logistic import auc, fit, learn, sigmoid


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


def test_auc_is_the_share_of_pairs_in_order_and_half_of_the_draws() -> None:
    scores, labels = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    # of (0.4, 0.9) over (0.1, 0.4): 1, a draw, 1, 1
    assert auc(scores, labels) == 3.5 / 4


def test_labels_without_a_pattern_are_not_learnt() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(100, 6)), np.arange(100) % 2 == 0
    learned = learn(features, labels, np.arange(100) // 2 % 5, [5, 1])
    assert auc(learned.logits, labels) < 0.65
    assert np.abs(sigmoid(learned.logits) - 0.5).max() < 0.35
