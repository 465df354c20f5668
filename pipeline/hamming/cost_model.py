"""How the search of `hamming` cuts the bits: what every cut should cost, and so the cheapest.

A node of the search is a set of hashes, the bits of which nothing is known yet, and how many of
them may still differ. It is either compared, each pair, or cut: into one block more than bits may
differ, all of one width, so that one block at least is equal. The plan says which width, for nodes
of every size.

Wide blocks make small parts but leave few bits for cutting again. To cut into `max_distance + r`
blocks and bring together what is equal in `r` of them, for all choices, is what this comes to if
all nodes take the width 64 / (max_distance + r): so the plan chooses r, from the number of hashes
and the distance, at the root by what random hashes cost, below by the size that a node really has.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled

BITS = 64
WIDEST = 12  # bits of a block, so that what counts its parts stays in cache
TINIEST = -24  # binary logarithm of the smallest expected size of a node
LARGEST = 40  # and of the largest

# (may differ, unknown bits, binary logarithm of the size - TINIEST); 0 where to compare
Widths = NDArray[np.int8]


class Costs(NamedTuple):
    """What the search costs, CPU-ns. It changes the time taken, never the result.

    Estimates, not a fit: for 10 M random hashes they foresee 1.0 s, where the search took 0.8 s and
    picking what to search another 0.4.

    Attributes:
        compare: Comparing a hash with one other.
        row: Beginning to compare one.
        move: Bringing one to its part.
        fetch: The same where the node does not fit in the cache of a core.
        part: Opening a part, empty or not.
    """

    compare: float = 0.1
    row: float = 2.0
    move: float = 2.0
    fetch: float = 5.0
    part: float = 3.0


CACHED = 16  # binary logarithm of the largest node that fits in the cache of a core


def widths(max_distance: int, costs: Costs) -> Widths:
    """Return the widths of the blocks into which to cut nodes."""
    return _plan(max_distance, costs)[0]


def expected_s(count: int, max_distance: int, costs: Costs) -> float:
    """Return the CPU-seconds that a search of `count` different random hashes should take."""
    cost = _plan(max_distance, costs)[1][max_distance, BITS, -TINIEST:]
    return float(np.interp(np.log2(max(count, 1)), np.arange(len(cost)), cost)) / 1e9


@lru_cache(maxsize=16)  # up to 0.4 MB and 4 ms each
def _plan(max_distance: int, costs: Costs) -> tuple[Widths, NDArray[np.float64]]:
    """Return what `_planned` does, from memory where it was asked before."""
    planned: tuple[Widths, NDArray[np.float64]] = _planned(max_distance, costs)
    return planned


@compiled
def _planned(max_distance: int, costs: Costs) -> tuple[Widths, NDArray[np.float64]]:
    """Return the cheapest width of every node and what it costs."""
    sizes = LARGEST - TINIEST + 1
    chosen = np.zeros((max_distance + 1, BITS + 1, sizes), np.int8)
    cost = np.empty((max_distance + 1, BITS + 1, sizes), np.float64)
    for differ in range(max_distance + 1):
        for bits in range(BITS + 1):
            for log in range(sizes):
                size = 2.0 ** (log + TINIEST)
                cost[differ, bits, log] = size * (
                    min(size, 1) * costs.row + size / 2 * costs.compare
                )
                for width in range(1, min(WIDEST, bits // (differ + 1), log) + 1):
                    partitioning = _cut(cost, differ, bits, log, width, costs)
                    if partitioning < cost[differ, bits, log]:
                        cost[differ, bits, log] = partitioning
                        chosen[differ, bits, log] = width
    return chosen, cost


@compiled
def _cut(
    cost: NDArray[np.float64], differ: int, bits: int, log: int, width: int, costs: Costs
) -> float:
    """Return what cutting a node into blocks of that width costs, with all that follows."""
    parts = 2.0**width
    moved = costs.move if log + TINIEST <= CACHED else costs.fetch
    total = (differ + 1) * (2.0 ** (log + TINIEST) * moved + parts * costs.part)
    for block in range(differ + 1):  # the first that is equal: those before it differ
        total += parts * cost[differ - block, bits - (block + 1) * width, log - width]
    return total
