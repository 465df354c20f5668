"""The different ones among many hashes, each with the first row that has it.

Rows are parted by some bits of their hash once mixed, which different hashes share by chance only,
whatever they have in common; equal hashes meet in one part, small enough for a table in cache that
knows what was seen. Nothing is sorted.

Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014), for the
mixing, which takes different hashes to different numbers.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.hamming.union_find import Parents
from pairsieve.schemas.arrays import Hashes

PART_BITS = 13  # of the number of rows wanted in a part: their table stays in the cache of a core
MOST_PART_BITS = 12  # parts are written side by side; more of them miss the cache of addresses
SEATS = 2  # places in the table per hash

Counts = NDArray[np.int64]


class Distinct(NamedTuple):
    """Different hashes in no order of meaning, and the smallest row of each.

    Attributes:
        hashes: uint64 (k,).
        rows: uint32 (k,).
    """

    hashes: Hashes
    rows: NDArray[np.uint32]


def distinct(hashes: Hashes, parents: Parents, pool: Executor, threads: int) -> Distinct:
    """Return the different hashes; `parents` of a row becomes the first row of its hash."""
    count = len(hashes)
    bits = min(max(count.bit_length() - PART_BITS, 1), MOST_PART_BITS)
    cuts = np.linspace(0, count, threads + 1).astype(np.int64)
    spans = list(zip(cuts[:-1], cuts[1:], strict=True))
    sizes = np.array([*pool.map(lambda span: _sizes(hashes, span[0], span[1], bits), spans)])
    # Where each span writes the first of each part: after the part's rows of the spans before.
    free = np.cumsum(sizes.T.ravel()).reshape(sizes.T.shape).T - sizes
    starts = np.append(free[0], count)
    to, rows = np.empty(count, np.uint64), np.empty(count, np.uint32)

    def scatter(number: int) -> None:
        _scatter(hashes, spans[number][0], spans[number][1], bits, free[number], to, rows)

    list(pool.map(scatter, range(threads)))
    kept = np.empty(1 << bits, np.int64)

    def mark(share: tuple[int, int]) -> None:
        _mark(to, rows, starts, share[0], share[1], parents, kept)

    list(pool.map(mark, _shares(1 << bits, threads)))
    left = _close_up(to, rows, starts, kept)
    return Distinct(to[:left], rows[:left])


def _shares(parts: int, threads: int) -> Iterator[tuple[int, int]]:
    """Yield which parts are done together: several shares per thread, so that all end together."""
    step = max(1, parts // (8 * threads))
    for low in range(0, parts, step):
        yield low, min(low + step, parts)


@compiled
def _mixed(mine: np.uint64) -> np.uint64:
    """Return the hash with every bit depending on all: the last step of SplitMix64."""
    mine = (mine ^ (mine >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mine = (mine ^ (mine >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mine ^ (mine >> np.uint64(31))


@compiled
def _sizes(hashes: Hashes, low: int, high: int, bits: int) -> Counts:
    """Return how many rows of [low, high) go to each part."""
    sizes = np.zeros(1 << bits, np.int64)
    shift = np.uint64(64 - bits)
    for row in range(low, high):
        sizes[_mixed(hashes[row]) >> shift] += 1
    return sizes


@compiled
def _scatter(
    hashes: Hashes,
    low: int,
    high: int,
    bits: int,
    free: Counts,
    to_hashes: Hashes,
    to_rows: NDArray[np.uint32],
) -> None:
    """Write the rows of [low, high) to their parts, in their order."""
    shift = np.uint64(64 - bits)
    for row in range(low, high):
        mine = hashes[row]
        part = _mixed(mine) >> shift
        place = free[part]
        free[part] = place + 1
        to_hashes[place] = mine
        to_rows[place] = row


@compiled
def _mark(
    hashes: Hashes,
    rows: NDArray[np.uint32],
    starts: Counts,
    first: int,
    last: int,
    parents: Parents,
    kept: Counts,
) -> None:
    """Bring the different hashes of each part of [first, last) to its front, and count them."""
    usual = SEATS
    while usual < SEATS * (len(hashes) // len(kept)):
        usual *= 2
    seats = np.empty(usual, np.uint32)
    for part in range(first, last):
        low, count = starts[part], 0
        if len(seats) != usual:
            seats = np.empty(usual, np.uint32)
        seats[:] = 0
        place, high = low, starts[part + 1]
        while place < high:
            place, count = _take(hashes, rows, low, place, high, count, seats, parents)
            if place < high:
                seats = _wider(seats, hashes, low, count)
        kept[part] = count


@compiled
def _take(
    hashes: Hashes,
    rows: NDArray[np.uint32],
    low: int,
    place: int,
    high: int,
    count: int,
    seats: NDArray[np.uint32],
    parents: Parents,
) -> tuple[int, int]:
    """Add [place, high) to the `count` different ones at `low`, until the seats run short.

    Return how far that went, and the new count.
    """
    mask = np.uint64(len(seats) - 1)
    while place < high and SEATS * count < len(seats):
        mine, row = hashes[place], rows[place]
        seat = _mixed(mine) & mask
        number = seats[seat]
        while number and hashes[low + number - 1] != mine:
            seat = (seat + np.uint64(1)) & mask
            number = seats[seat]
        if number:
            parents[row] = rows[low + number - 1]
        else:
            parents[row] = row
            hashes[low + count], rows[low + count] = mine, row
            count += 1
            seats[seat] = count
        place += 1
    return place, count


@compiled
def _wider(seats: NDArray[np.uint32], hashes: Hashes, low: int, count: int) -> NDArray[np.uint32]:
    """Return a table of twice the seats for the `count` different hashes at `low`."""
    wider = np.zeros(2 * len(seats), np.uint32)
    mask = np.uint64(len(wider) - 1)
    for number in range(count):
        seat = _mixed(hashes[low + number]) & mask
        while wider[seat]:
            seat = (seat + np.uint64(1)) & mask
        wider[seat] = number + 1
    return wider


@compiled
def _close_up(hashes: Hashes, rows: NDArray[np.uint32], starts: Counts, kept: Counts) -> int:
    """Move what is kept of all parts together, in place; return how many there are."""
    free = 0
    for part in range(len(kept)):
        low = starts[part]
        if free == low:
            free += kept[part]
            continue
        for place in range(low, low + kept[part]):
            hashes[free], rows[free] = hashes[place], rows[place]
            free += 1
    return free
