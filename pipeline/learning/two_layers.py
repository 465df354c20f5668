"""A network of two layers with ReLU between them and an L2 penalty; the same every time.

It learns what features say together, such as that a pair is good if one of two things holds and
bad if both or none do; no sum of weighted features tells that. The first weights are drawn by a
fixed seed. A penalised first layer lies in the space that the rows span, so what is minimised has
as many numbers per unit as there are pairs, not features: for 100 pairs and vectors of 512 a
fifteenth.
"""

from collections.abc import Sequence

import numpy as np

from pairsieve.pipeline.learning.logistic import Doubles, Labels, log_loss, scaling
from pairsieve.pipeline.vectors.pair_head import Network

STEPS = 300  # of the minimiser, at most
SEED = 0


def fit(
    features: Doubles, labels: Labels, blocks: Sequence[int], strength: float, units: int
) -> Network:
    """Return the network that minimises the mean log loss and `strength` / 2 of its squares.

    The squares are those of the weights of both layers; its hidden layer has so many units.
    """
    mean, scale = scaling(features, blocks)
    basis, rows = np.linalg.qr(((features - mean) * scale).T)
    rng = np.random.default_rng(SEED)
    first = rng.normal(size=(units, features.shape[1])) @ basis
    start = first, rng.normal(size=units), rng.normal(size=units) / np.sqrt(units)
    weights, bias, outer, offset = _minimised(rows.T, labels, strength, start)
    weights = weights @ basis.T * scale
    return Network(outer, offset, (weights, bias - weights @ mean))


def _minimised(
    features: Doubles, labels: Labels, strength: float, start: tuple[Doubles, Doubles, Doubles]
) -> tuple[Doubles, Doubles, Doubles, float]:
    """Return weights and bias of the hidden units, (units, d) and (units,), and of their sum."""
    from scipy.optimize import minimize

    signs, shape = np.where(labels, 1.0, -1.0), start[0].shape
    ends = np.cumsum([start[0].size, shape[0], shape[0]])

    def loss(values: Doubles) -> tuple[float, Doubles]:
        flat, bias, outer, offset = np.split(values, ends)
        weights = flat.reshape(shape)
        sums = features @ weights.T + bias
        units = np.maximum(sums, 0)
        value, pull = log_loss(units @ outer + offset[0], signs)
        back = np.outer(pull, outer) * (sums > 0)
        slopes = (
            (back.T @ features + strength * weights).reshape(-1),
            back.sum(axis=0),
            pull @ units + strength * outer,
            [pull.sum()],
        )
        squares = np.dot(flat, flat) + np.dot(outer, outer)
        return value + strength / 2 * float(squares), np.concatenate(slopes)

    first = np.concatenate([start[0].reshape(-1), *start[1:], [0.0]])
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    flat, bias, outer, offset = np.split(np.asarray(found, np.float64), ends)
    return flat.reshape(shape), bias, outer, float(offset[0])
