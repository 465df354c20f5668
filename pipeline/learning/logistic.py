"""Logistic regression with an L2 penalty, cross-validated and calibrated; the same every time.

Features are centred and scaled by block, so that a vector of 512 weighs as much as one column. How
strong the penalty is follows from an inner cross-validation within each outer fold, so no pair has
a part in what its own prediction is made by. The logits that the outer folds predict give the
calibration, a slope and an offset (Platt, "Probabilistic outputs for support vector machines",
1999).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the penalty that are tried
FOLDS = 5

Doubles = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Fit:
    """A weight per feature, (d,), and an offset; a pair's logit is their sum."""

    weights: Doubles
    bias: float

    def logits(self, features: Doubles) -> Doubles:
        """Return the logit of every row, (n,)."""
        return np.asarray(features @ self.weights + self.bias)


@dataclass(frozen=True)
class Learned:
    """What was learnt: the calibrated fit on all pairs, the penalty, and predictions out of fold.

    Attributes:
        fit: On all pairs.
        strength: Of its penalty.
        logits: Calibrated, each by a fit that has not seen the pair, (n,).
    """

    fit: Fit
    strength: float
    logits: Doubles


def learn(features: Doubles, labels: Labels, folds: NDArray[Any], blocks: Sequence[int]) -> Learned:
    """Return what is learnt of `labels`, (n,), from `features`, (n, d).

    `folds` says of each pair in which fold it is, from 0; `blocks` are the widths of the blocks
    that weigh the same, d in all.
    """
    out = np.zeros(len(labels))
    for fold in range(FOLDS):
        inside, outside = folds != fold, folds == fold
        part = features[inside], labels[inside]
        strength = _best(*part, folds[inside], blocks)
        out[outside] = fit(*part, blocks, strength).logits(features[outside])
    strength = _best(features, labels, folds, blocks)
    slope, offset = _platt(out, labels)
    whole = fit(features, labels, blocks, strength)
    calibrated = Fit(slope * whole.weights, slope * whole.bias + offset)
    return Learned(calibrated, strength, slope * out + offset)


def fit(features: Doubles, labels: Labels, blocks: Sequence[int], strength: float) -> Fit:
    """Return the weights that minimise the mean log loss and `strength` / 2 of their squares."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    widths = np.repeat(np.sqrt(blocks), blocks)
    scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0) / widths
    weights, bias = _minimised((features - mean) * scale, labels, strength)
    return Fit(weights * scale, bias - float(np.dot(mean, weights * scale)))


def _minimised(features: Doubles, labels: Labels, strength: float) -> tuple[Doubles, float]:
    from scipy.optimize import minimize

    signs = np.where(labels, 1.0, -1.0)

    def loss(values: Doubles) -> tuple[float, Doubles]:
        weights, bias = values[:-1], values[-1]
        margins = signs * (features @ weights + bias)
        pull = -signs * sigmoid(-margins) / len(signs)
        slope = np.append(features.T @ pull + strength * weights, pull.sum())
        value = np.mean(np.logaddexp(0, -margins)) + strength / 2 * np.dot(weights, weights)
        return float(value), slope

    start = np.zeros(features.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return np.asarray(found[:-1]), float(found[-1])


def _best(features: Doubles, labels: Labels, folds: NDArray[Any], blocks: Sequence[int]) -> float:
    """Return the penalty with the least log loss out of fold; of equals the strongest."""
    losses = {}
    for strength in STRENGTHS[::-1]:
        total = 0.0
        for fold in np.unique(folds):
            inside = folds != fold
            made = fit(features[inside], labels[inside], blocks, strength)
            margins = np.where(labels, 1, -1)[~inside] * made.logits(features[~inside])
            total += float(np.logaddexp(0, -margins).sum())
        losses[strength] = total
    return min(losses, key=lambda strength: losses[strength])


def _platt(logits: Doubles, labels: Labels) -> tuple[float, float]:
    """Return the slope and the offset that make logits fit the labels best."""
    scale = max(float(logits.std()), 1e-9)
    weights, bias = _minimised(logits[:, None] / scale, labels, 1e-3)
    return max(float(weights[0]), 1e-3) / scale, bias


def sigmoid(logits: Doubles) -> Doubles:
    """Return probabilities, in [0, 1]."""
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


def auc(scores: Doubles, labels: Labels) -> float:
    """Return the share of pairs of a good and a bad one in which the good scores higher."""
    from scipy.stats import rankdata

    good = int(labels.sum())
    ranks = rankdata(scores)[labels].sum() - good * (good + 1) / 2
    return float(ranks / (good * (len(labels) - good)))
