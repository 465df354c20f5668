"""The arithmetic of `neg_clip_loss` and `norm_sim` on vectors of length 1.

Products of matrices have one shape always, so that a row's result does not depend on the rows
beside it; sums run in double precision.

Source: Wang et al., "CLIPLoss and Norm-Based Data Selection Methods for Multimodal Contrastive
Learning" (NeurIPS 2024, arXiv:2405.19547) and its code, ypwang61/negCLIPLoss_NormSim.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pairsieve.schemas.arrays import Floats, Vectors

ROWS_AT_ONCE = 256  # pairs in one product
OTHERS_AT_ONCE = 4096  # vectors that they meet in one product

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Rows, (n,), ascending or not, and the vectors of their images and texts, (n, d)."""

    rows: Rows
    images: Vectors
    texts: Vectors

    def take(self, which: NDArray[Any]) -> Self:
        """Return some of them, by index or by mask."""
        return type(self)(self.rows[which], self.images[which], self.texts[which])


def neg_clip_loss(pairs: Pairs, batches: Sequence[Pairs], temperature: float) -> Floats:
    """Return of each pair i the mean over the batches of what stands below, (n,).

    cos(image_i, text_i) - t/2 * (log sum_j exp(cos(image_i, text_j) / t)
                                  + log sum_j exp(cos(image_j, text_i) / t))

    j runs over the pairs of a batch and i itself. At most 0: a pair alone in its batch has 0.
    """
    cosines: Doubles = np.sum(pairs.images * pairs.texts, axis=1, dtype=np.float64)
    own = cosines / temperature
    total = np.zeros(len(pairs.rows))
    for batch in batches:
        of_image = _log_sum_exp(pairs.rows, pairs.images, batch.rows, batch.texts, temperature)
        of_text = _log_sum_exp(pairs.rows, pairs.texts, batch.rows, batch.images, temperature)
        total += np.logaddexp(of_image, own) + np.logaddexp(of_text, own)
    return (cosines - temperature / 2 * total / len(batches)).astype(np.float32)


def norm_sim(images: Vectors, targets: Vectors, norm: str) -> Floats:
    """Return the norm of each image's cosines to the targets, (n,); see `recipe_alignment`."""
    found = np.zeros(len(images))
    for rows, low, block in _products(images, targets):
        cosines = block[: len(rows), : len(targets) - low].astype(np.float64)
        if norm == "max":
            found[rows] = np.maximum(found[rows], np.abs(cosines).max(axis=1))
        else:
            found[rows] += np.sum(cosines**2, axis=1)
    return (found if norm == "max" else np.sqrt(found)).astype(np.float32)


def _log_sum_exp(
    rows: Rows, vectors: Vectors, other_rows: Rows, others: Vectors, temperature: float
) -> Doubles:
    """Return log sum_j exp(cos_ij / t) over the other rows but i itself, (n,)."""
    found = np.full(len(rows), -np.inf)
    for mine, low, block in _products(vectors, others):
        theirs = other_rows[low : low + OTHERS_AT_ONCE]
        scaled = block[: len(mine), : len(theirs)] / np.float32(temperature)
        scaled[rows[mine][:, None] == theirs] = -np.inf
        highest = scaled.max(axis=1, keepdims=True)
        some = np.isfinite(highest[:, 0])
        powers = np.exp(scaled[some] - highest[some])
        part = highest[some, 0] + np.log(np.sum(powers, axis=1, dtype=np.float64))
        found[mine[some]] = np.logaddexp(found[mine[some]], part)
    return found


def _products(
    vectors: Vectors, others: Vectors
) -> Iterator[tuple[NDArray[np.intp], int, NDArray[np.float32]]]:
    """Yield indices of vectors, the first other, and the products of both, of one shape always."""
    width = vectors.shape[1]
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        indices = np.arange(start, min(start + ROWS_AT_ONCE, len(vectors)))
        mine = np.zeros((ROWS_AT_ONCE, width), np.float32)
        mine[: len(indices)] = vectors[indices]
        for low in range(0, len(others), OTHERS_AT_ONCE):
            part = others[low : low + OTHERS_AT_ONCE]
            theirs = np.zeros((OTHERS_AT_ONCE, width), np.float32)
            theirs[: len(part)] = part
            yield indices, low, mine @ theirs.T
