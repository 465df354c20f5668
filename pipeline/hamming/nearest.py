"""The nearest of many reference hashes, 64 bits, to each of many queries: two sets, exactly.

The 64 bits are cut into `max_distance + r` blocks. Hashes within `max_distance` bits differ in at
most so many blocks, so at least `r` blocks are equal: for every choice of `r` blocks the references
are partitioned by what these blocks hold, and each query is compared with its own part, eight at a
time. Recall is exactly 1. `r` is what should cost least for so many hashes.

Only the nearest so far is kept of each, never a pair: memory does not grow with how many are
similar. Equal hashes are one before the search begins. Crowds (many hashes around one, in both
sets) are compared all with all, which costs 0.1 ns a pair. `lookup.py` is for a few queries.

Import this file where it is used: it imports numba.

Source: Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling" (WWW 2007), section 3.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.filters.duplicate import MAX_DISTANCE
from pairsieve.pipeline.hamming.popcount import LANES, near_lanes, popcount
from pairsieve.schemas.arrays import Hashes

BITS = 64
WIDEST = 22  # bits of a key: where the parts begin takes 16 MB
NONE = np.int64(1) << np.int64(62)  # no neighbour yet
INDEX_BITS = 32  # of a neighbour's index; above them the distance
# What it costs, ns: comparing a pair, moving a reference to its part, looking up a query.
COMPARE, MOVE, LOOK_UP = 0.1, 10.0, 30.0

Integers = NDArray[np.int64]


class Partitioned(NamedTuple):
    """The references, partitioned by a key.

    Attributes:
        hashes: uint64 (n + LANES,).
        indices: int64 (n,), of each among the references as the caller has them.
        starts: int64 (parts + 1,), where each part begins.
    """

    hashes: Hashes
    indices: Integers
    starts: Integers


def nearest(
    queries: Hashes, references: Hashes, max_distance: int, threads: int | None = None
) -> tuple[Integers, Integers]:
    """Return the index of the reference nearest to each query, and the bits between them.

    Both (n,), -1 where none is within `max_distance`; of equally near ones the first counts.

    Raises:
        ValueError: a distance out of range.
    """
    if max_distance not in range(MAX_DISTANCE + 1):
        raise ValueError(f"max_distance must be 0 to {MAX_DISTANCE}, got {max_distance}")
    distinct, inverse = np.unique(queries, return_inverse=True)
    hashes, indices = np.unique(references, return_index=True)
    best = _equal(distinct, hashes, indices)
    threads = threads or int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if len(distinct) and len(hashes) and max_distance:
        with ThreadPoolExecutor(threads) as pool:
            edges = np.linspace(0, len(distinct), threads + 1).astype(np.int64).tolist()
            for lows, widths in _keys(max_distance, len(distinct), len(hashes)):
                partitioned = _partition(hashes, indices, lows, widths)
                for future in [
                    pool.submit(
                        _compare_range,
                        distinct,
                        partitioned,
                        lows,
                        widths,
                        max_distance,
                        best,
                        *span,
                    )
                    for span in zip(edges, edges[1:], strict=False)
                ]:
                    future.result()
    best = best[inverse]
    within = best < NONE
    return (
        np.where(within, best & ((1 << INDEX_BITS) - 1), -1),
        np.where(within, best >> INDEX_BITS, -1),
    )


def _equal(queries: Hashes, references: Hashes, indices: Integers) -> Integers:
    """Return for each query the index of its equal, at distance 0; `NONE` without one."""
    best = np.full(len(queries), NONE, np.int64)
    if len(references):
        position = np.minimum(np.searchsorted(references, queries), len(references) - 1)
        equal = references[position] == queries
        best[equal] = indices[position[equal]]
    return best


def _keys(
    distance: int, query_count: int, reference_count: int
) -> Iterator[tuple[Integers, Integers]]:
    """Yield for every choice of blocks the first bit and the width of each."""
    equal = min(
        range(MAX_DISTANCE), key=lambda equal: _cost(distance, equal, query_count, reference_count)
    )
    edges = [BITS * block // (distance + equal) for block in range(distance + equal + 1)]
    for chosen in combinations(range(distance + equal), equal):
        lows = np.array([edges[block] for block in chosen], np.int64)
        widths = np.array([edges[block + 1] - edges[block] for block in chosen], np.int64)
        yield lows, widths


def _cost(distance: int, equal: int, query_count: int, reference_count: int) -> float:
    """Return what choosing `equal` of so many blocks more than `distance` costs, ns."""
    width = -(-BITS // (distance + equal)) * equal  # of the widest key
    if width > WIDEST:
        return float("inf")
    compared = query_count * reference_count / 2.0 ** (BITS * equal / (distance + equal))
    each = reference_count * MOVE + query_count * LOOK_UP + compared * COMPARE + 2.0**width
    return float(comb(distance + equal, equal) * each)


@compiled
def _key(value: np.uint64, lows: Integers, widths: Integers) -> np.int64:
    """Return what a hash holds in the chosen blocks."""
    key = np.uint64(0)
    for block in range(len(lows)):
        mask = (np.uint64(1) << np.uint64(widths[block])) - np.uint64(1)
        key = key << np.uint64(widths[block]) | (value >> np.uint64(lows[block])) & mask
    return np.int64(key)


@compiled
def _partition(hashes: Hashes, indices: Integers, lows: Integers, widths: Integers) -> Any:
    """Return the references, those with one key side by side."""
    starts = np.zeros((1 << widths.sum()) + 1, np.int64)
    for value in hashes:
        starts[_key(value, lows, widths) + 1] += 1
    for part in range(1, len(starts)):
        starts[part] += starts[part - 1]
    target = starts[:-1].copy()
    moved = np.zeros(len(hashes) + LANES, np.uint64)
    moved_indices = np.empty(len(hashes), np.int64)
    for row in range(len(hashes)):
        key = _key(hashes[row], lows, widths)
        moved[target[key]], moved_indices[target[key]] = hashes[row], indices[row]
        target[key] += 1
    return Partitioned(moved, moved_indices, starts)


@compiled
def _compare_range(
    queries: Hashes,
    partitioned: Partitioned,
    lows: Integers,
    widths: Integers,
    distance: int,
    best: Integers,
    start: int,
    stop: int,
) -> None:
    """Compare the queries [start, stop), each with its part; keep what is nearer."""
    hashes, indices, starts = partitioned.hashes, partitioned.indices, partitioned.starts
    for row in range(start, stop):
        if best[row] >> INDEX_BITS == 0:  # its equal is known
            continue
        value, key = queries[row], _key(queries[row], lows, widths)
        low, high = starts[key], starts[key + 1]
        for other in range(low, high, LANES):
            within = near_lanes(hashes, other, value, min(distance, best[row] >> INDEX_BITS))
            position = other
            while within and position < high:
                if within & 1:
                    bits = popcount(value ^ hashes[position])
                    best[row] = min(best[row], bits << INDEX_BITS | indices[position])
                within >>= 1
                position += 1
