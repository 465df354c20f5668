"""Which rows belong together: trees in one array, in which every parent is a smaller row.

So the root of a tree is its smallest row, and one pass from the smallest row on makes the labels.
"""

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled

Labels = NDArray[np.int64]  # (n,)
Parents = NDArray[np.uint32]  # (n,)
Pairs = NDArray[np.uint32]  # (k, 2)


@compiled
def _find(parents: Parents, row: int) -> int:
    """Return the root of a row, halving the way to it."""
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row


@compiled
def _union(parents: Parents, one: int, other: int) -> None:
    """Make two rows one component, whose root is the smaller of the two roots."""
    one, other = _find(parents, one), _find(parents, other)
    if one < other:
        parents[other] = one
    elif other < one:
        parents[one] = other


@compiled
def unite(parents: Parents, pairs: Pairs) -> None:
    """Join the two rows of every pair."""
    for pair in range(len(pairs)):
        _union(parents, pairs[pair, 0], pairs[pair, 1])


@compiled
def flatten(parents: Parents) -> None:
    """Make every row point at its root."""
    for row in range(len(parents)):
        parents[row] = parents[parents[row]]  # a parent is smaller, so flat by now
