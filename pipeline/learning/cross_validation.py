"""Learning with predictions for pairs that were not learnt from, calibrated; the same every time.

How strong the penalty is follows from an inner cross-validation within each outer fold, so no pair
has a part in what its own prediction is made by. The logits that the outer folds predict give the
calibration, a slope and an offset (Platt, "Probabilistic outputs for support vector machines",
1999).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.learning import logistic
from pairsieve.pipeline.learning.logistic import Doubles, Labels, minimised
from pairsieve.pipeline.vectors.pair_head import Network

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the penalty that are tried
FOLDS = 5

Fit = Callable[[Doubles, Labels, Sequence[int], float], Network]  # the last is the strength


@dataclass(frozen=True)
class Learned:
    """What was learnt: the calibrated network on all pairs, the penalty, predictions out of fold.

    Attributes:
        network: Learnt from all pairs.
        strength: Of its penalty.
        logits: Calibrated, each by a network that has not seen the pair, (n,).
    """

    network: Network
    strength: float
    logits: Doubles


def learn(
    features: Doubles,
    labels: Labels,
    folds: NDArray[Any],
    blocks: Sequence[int],
    fit: Fit = logistic.fit,
) -> Learned:
    """Return what is learnt of `labels`, (n,), from `features`, (n, d).

    `folds` says of each pair in which fold it is, from 0; `blocks` are the widths of the blocks
    that weigh the same, d in all.
    """
    out = np.zeros(len(labels))
    for fold in range(FOLDS):
        inside, outside = folds != fold, folds == fold
        part = features[inside], labels[inside]
        strength = _best(*part, folds[inside], blocks, fit)
        out[outside] = fit(*part, blocks, strength).logits(features[outside])
    strength = _best(features, labels, folds, blocks, fit)
    slope, offset = _platt(out, labels)
    network = fit(features, labels, blocks, strength).scaled(slope, offset)
    return Learned(network, strength, slope * out + offset)


def _best(
    features: Doubles, labels: Labels, folds: NDArray[Any], blocks: Sequence[int], fit: Fit
) -> float:
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
    weights, bias = minimised(logits[:, None] / scale, labels, 1e-3)
    return max(float(weights[0]), 1e-3) / scale, bias


def auc(scores: Doubles, labels: Labels) -> float:
    """Return the share of pairs of a good and a bad one in which the good scores higher."""
    from scipy.stats import rankdata

    good = int(labels.sum())
    ranks = rankdata(scores)[labels].sum() - good * (good + 1) / 2
    return float(ranks / (good * (len(labels) - good)))
