"""Logistic regression with an L2 penalty; the same every time.

Features are centred and scaled by block, so that a vector of 512 weighs as much as one column.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.vectors.pair_head import Network

STEPS = 500  # of the minimiser, at most

Doubles = NDArray[np.float64]
Labels = NDArray[np.bool_]


def fit(features: Doubles, labels: Labels, blocks: Sequence[int], strength: float) -> Network:
    """Return the weights that minimise the mean log loss and `strength` / 2 of their squares."""
    mean, scale = scaling(features, blocks)
    weights, bias = minimised((features - mean) * scale, labels, strength)
    return Network(weights * scale, bias - float(np.dot(mean, weights * scale)))


def scaling(features: Doubles, blocks: Sequence[int]) -> tuple[Doubles, Doubles]:
    """Return what is subtracted from features and what the rest is multiplied by, (d,) each."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    widths = np.repeat(np.sqrt(blocks), blocks)
    return mean, np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0) / widths


def minimised(features: Doubles, labels: Labels, strength: float) -> tuple[Doubles, float]:
    """Return the weights and the offset of scaled features."""
    from scipy.optimize import minimize

    signs = np.where(labels, 1.0, -1.0)

    def loss(values: Doubles) -> tuple[float, Doubles]:
        weights, bias = values[:-1], values[-1]
        value, pull = log_loss(features @ weights + bias, signs)
        slope = np.append(features.T @ pull + strength * weights, pull.sum())
        return value + strength / 2 * float(np.dot(weights, weights)), slope

    start = np.zeros(features.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    return np.asarray(found[:-1]), float(found[-1])


def log_loss(logits: Doubles, signs: Doubles) -> tuple[float, Doubles]:
    """Return the mean log loss of logits for labels of 1 and -1, and its slope in each, (n,)."""
    margins = signs * logits
    return float(np.mean(np.logaddexp(0, -margins))), -signs * sigmoid(-margins) / len(signs)


def sigmoid(logits: NDArray[Any]) -> Doubles:
    """Return probabilities, in [0, 1]."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))
