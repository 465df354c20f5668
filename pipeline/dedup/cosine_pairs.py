"""Which of a set of vectors are alike, exactly: of those that are, the best is kept.

Vectors are float16 and of length about 1, as `embed` stores them; so the products of two components
are multiples of 2**-48, and their sum, at most about 1, fits in the 53 bits of a float64. A matrix
product in float64 is then exact, whatever order the library adds in. That is why neither the size
of a block nor threads nor the processor change a cosine, and the same images are kept everywhere.

It is a star, not a chain: an image goes only if it is itself near enough to one that stays.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]  # (n, d)
Doubles = NDArray[np.float64]

BLOCK = 1024  # vectors decided together
KEPT_AT_ONCE = 8192  # kept ones that a block is compared with at once: 64 MB of cosines
TARGETS = 4  # kept ones noted of one that goes, best first


class SimilarPairs(NamedTuple):
    """Vectors that go, each with kept ones that it is near to, best first.

    Attributes:
        gone: Position of the vector, (k,), ascending.
        kept: Position of a kept one before it, (k,).
        cosine: Their cosine, (k,).
    """

    gone: NDArray[np.int64]
    kept: NDArray[np.int64]
    cosine: NDArray[np.float32]


def squares(vectors: Doubles) -> Doubles:
    """Return the squared length of each vector, (n,); infinite for one without a direction."""
    found = np.einsum("nd,nd->n", vectors, vectors)
    return np.where(found == 0, np.inf, found)


def similar_pairs(vectors: Halves, min_cosine: float) -> SimilarPairs:
    """Return which of `vectors`, the best first, go for one before them.

    Memory beside the vectors: 200 MB for 512 components, whatever their number.
    """
    kept = np.empty(0, np.int64)
    found = []
    for low in range(0, len(vectors), BLOCK):
        block = vectors[low : low + BLOCK].astype(np.float64)
        own = np.arange(low, low + len(block))
        met = [
            _near(block, own, vectors, kept[start : start + KEPT_AT_ONCE], min_cosine)
            for start in range(0, len(kept), KEPT_AT_ONCE)
        ]
        stays = ~np.isin(own, _joined(met).gone)
        inside = _within(block, own, stays, min_cosine)
        found.append(_first([*met, inside]))
        kept = np.concatenate((kept, own[stays]))
    return _joined(found)


def _near(
    block: Doubles,
    own: NDArray[np.int64],
    vectors: Halves,
    kept: NDArray[np.int64],
    min_cosine: float,
) -> SimilarPairs:
    """Return which of a block are near to which of those kept before."""
    cosines = _cosines(block, vectors[kept].astype(np.float64))
    one, other = np.nonzero(cosines >= min_cosine)
    return SimilarPairs(own[one], kept[other], cosines[one, other].astype(np.float32))


def _within(
    block: Doubles, own: NDArray[np.int64], stays: NDArray[np.bool_], min_cosine: float
) -> SimilarPairs:
    """Return which of a block go for which others of it; `stays` becomes what is left of it."""
    cosines = _cosines(block, block)
    near = np.triu(cosines >= min_cosine, 1)
    for one in np.flatnonzero(near.any(axis=1)).tolist():
        if stays[one]:
            stays[near[one]] = False
    near[~stays] = False
    gone, kept = np.nonzero(near.T)
    return SimilarPairs(own[gone], own[kept], cosines[kept, gone].astype(np.float32))


def _cosines(some: Doubles, others: Doubles) -> Doubles:
    """Return the cosine of each of some to each of the others; equal vectors have exactly 1."""
    cosines = some @ others.T
    cosines /= np.sqrt(np.outer(squares(some), squares(others)))
    return np.asarray(cosines)


def _first(parts: list[SimilarPairs]) -> SimilarPairs:
    """Return of each that goes the first few that it goes for."""
    gone, kept, cosine = _joined(parts)
    order = np.lexsort((kept, gone))
    nth = np.arange(len(gone)) - np.searchsorted(gone[order], gone[order])
    few = order[nth < TARGETS]
    return SimilarPairs(gone[few], kept[few], cosine[few])


def _joined(parts: list[SimilarPairs]) -> SimilarPairs:
    """Return all of these together."""
    none = SimilarPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    gone, kept, cosine = zip(none, *parts, strict=True)
    return SimilarPairs(np.concatenate(gone), np.concatenate(kept), np.concatenate(cosine))
