"""The nearest of many listed 64-bit hashes to each of many asked about: two sets, compared exactly.

The 64 bits are cut into `max_distance + r` blocks. Hashes within `max_distance` bits differ in at
most so many blocks, so at least `r` blocks are equal: for every choice of `r` blocks the listed are
parted by what these blocks hold, and each hash asked about is compared with its own part, eight at
a time. Recall is exactly 1. `r` is what should cost least for so many hashes.

Only the nearest so far is kept of each, never a pair: memory does not grow with how many are alike.
Equal hashes are one before the search begins. Crowds (many hashes around one, in both sets) are
compared all with all, which costs 0.1 ns a pair. `near` answers a few questions at a time.

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
NONE = np.int64(1) << np.int64(62)  # "nothing near yet"
PLACE = 32  # bits of a place; above them the distance
# What it costs, ns: comparing a pair, bringing a listed hash to its part, looking up one asked.
COMPARE, MOVE, LOOK = 0.1, 10.0, 30.0

Places = NDArray[np.int64]


class Parted(NamedTuple):
    """The listed hashes, parted by a key.

    Attributes:
        hashes: uint64 (n + LANES,).
        places: int64 (n,), where each stands among those given.
        starts: int64 (parts + 1,), where each part begins.
    """

    hashes: Hashes
    places: Places
    starts: Places


def nearest(
    asked: Hashes, listed: Hashes, max_distance: int, threads: int | None = None
) -> tuple[Places, Places]:
    """Return the place in `listed` of the nearest one to each asked, and the bits between them.

    Both (n,), -1 where none is within `max_distance`; of equally near ones the first listed counts.

    Raises:
        ValueError: a distance out of range.
    """
    if max_distance not in range(MAX_DISTANCE + 1):
        raise ValueError(f"max_distance must be 0 to {MAX_DISTANCE}, got {max_distance}")
    distinct, back = np.unique(asked, return_inverse=True)
    hashes, places = np.unique(listed, return_index=True)
    best = _equal(distinct, hashes, places)
    threads = threads or int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if len(distinct) and len(hashes) and max_distance:
        with ThreadPoolExecutor(threads) as pool:
            edges = np.linspace(0, len(distinct), threads + 1).astype(np.int64).tolist()
            for lows, widths in _keys(max_distance, len(distinct), len(hashes)):
                parted = _part(hashes, places, lows, widths)
                for looking in [
                    pool.submit(_look, distinct, parted, lows, widths, max_distance, best, *span)
                    for span in zip(edges, edges[1:], strict=False)
                ]:
                    looking.result()
    best = best[back]
    found = best < NONE
    return (
        np.where(found, best & ((1 << PLACE) - 1), -1),
        np.where(found, best >> PLACE, -1),
    )


def _equal(asked: Hashes, listed: Hashes, places: Places) -> Places:
    """Return for each asked what is kept of its equal: its place, at distance 0; else `NONE`."""
    best = np.full(len(asked), NONE, np.int64)
    if len(listed):
        at = np.minimum(np.searchsorted(listed, asked), len(listed) - 1)
        equal = listed[at] == asked
        best[equal] = places[at[equal]]
    return best


def _keys(distance: int, asked: int, listed: int) -> Iterator[tuple[Places, Places]]:
    """Yield for every choice of blocks the first bit and the width of each."""
    equal = min(range(MAX_DISTANCE), key=lambda equal: _cost(distance, equal, asked, listed))
    edges = [BITS * block // (distance + equal) for block in range(distance + equal + 1)]
    for chosen in combinations(range(distance + equal), equal):
        lows = np.array([edges[block] for block in chosen], np.int64)
        widths = np.array([edges[block + 1] - edges[block] for block in chosen], np.int64)
        yield lows, widths


def _cost(distance: int, equal: int, asked: int, listed: int) -> float:
    """Return what choosing `equal` of so many blocks more than `distance` costs, ns."""
    width = -(-BITS // (distance + equal)) * equal  # of the widest key
    if width > WIDEST:
        return float("inf")
    compared = asked * listed / 2.0 ** (BITS * equal / (distance + equal))
    each = listed * MOVE + asked * LOOK + compared * COMPARE + 2.0**width
    return float(comb(distance + equal, equal) * each)


@compiled
def _key(mine: np.uint64, lows: Places, widths: Places) -> np.int64:
    """Return what a hash holds in the chosen blocks."""
    key = np.uint64(0)
    for block in range(len(lows)):
        mask = (np.uint64(1) << np.uint64(widths[block])) - np.uint64(1)
        key = key << np.uint64(widths[block]) | (mine >> np.uint64(lows[block])) & mask
    return np.int64(key)


@compiled
def _part(hashes: Hashes, places: Places, lows: Places, widths: Places) -> Any:
    """Return the listed hashes, those with one key side by side."""
    starts = np.zeros((1 << widths.sum()) + 1, np.int64)
    for mine in hashes:
        starts[_key(mine, lows, widths) + 1] += 1
    for part in range(1, len(starts)):
        starts[part] += starts[part - 1]
    target = starts[:-1].copy()
    moved = np.zeros(len(hashes) + LANES, np.uint64)
    moved_places = np.empty(len(hashes), np.int64)
    for row in range(len(hashes)):
        key = _key(hashes[row], lows, widths)
        moved[target[key]], moved_places[target[key]] = hashes[row], places[row]
        target[key] += 1
    return Parted(moved, moved_places, starts)


@compiled
def _look(
    asked: Hashes,
    parted: Parted,
    lows: Places,
    widths: Places,
    distance: int,
    best: Places,
    start: int,
    stop: int,
) -> None:
    """Compare the hashes asked about, [start, stop), each with its part; keep what is nearer."""
    hashes, places, starts = parted.hashes, parted.places, parted.starts
    for row in range(start, stop):
        if best[row] >> PLACE == 0:  # its equal is listed
            continue
        mine, key = asked[row], _key(asked[row], lows, widths)
        low, high = starts[key], starts[key + 1]
        for other in range(low, high, LANES):
            near = near_lanes(hashes, other, mine, min(distance, best[row] >> PLACE))
            place = other
            while near and place < high:
                if near & 1:
                    bits = popcount(mine ^ hashes[place])
                    best[row] = min(best[row], bits << PLACE | places[place])
                near >>= 1
                place += 1
