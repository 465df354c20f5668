"""AUC by counting pairs, and learning where there is nothing to learn."""

import numpy as np

from pairsieve.pipeline.learning.cross_validation import auc, learn
from pairsieve.pipeline.learning.logistic import sigmoid


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
