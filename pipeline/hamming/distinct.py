"""The different ones among many hashes, each with the first row that has it.

Rows are partitioned by some bits of their hash once mixed, which different hashes share by chance
only, whatever they have in common; equal hashes are in one part, small enough for a hash table in
cache. Nothing is sorted.

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

PART_BITS = 13  # of the number of rows aimed at in a part: their table stays in a core's cache
MOST_PART_BITS = 12  # parts are written side by side; more of them miss the cache of addresses
SLOTS = 2  # of the hash table, at least, per hash

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
    # Index at which each span writes to each part: after the part's rows of the spans before.
    free = np.cumsum(sizes.T.ravel()).reshape(sizes.T.shape).T - sizes
    starts = np.append(free[0], count)
    part_hashes, part_rows = np.empty(count, np.uint64), np.empty(count, np.uint32)

    def scatter(number: int) -> None:
        _scatter(
            hashes, spans[number][0], spans[number][1], bits, free[number], part_hashes, part_rows
        )

    list(pool.map(scatter, range(threads)))
    kept_counts = np.empty(1 << bits, np.int64)

    def mark(share: tuple[int, int]) -> None:
        _mark(part_hashes, part_rows, starts, share[0], share[1], parents, kept_counts)

    list(pool.map(mark, _shares(1 << bits, threads)))
    kept_count = _close_up(part_hashes, part_rows, starts, kept_counts)
    return Distinct(part_hashes[:kept_count], part_rows[:kept_count])


def _shares(parts: int, threads: int) -> Iterator[tuple[int, int]]:
    """Yield which parts are done together: several shares per thread, so that all end together."""
    step = max(1, parts // (8 * threads))
    for low in range(0, parts, step):
        yield low, min(low + step, parts)


@compiled
def _mixed(value: np.uint64) -> np.uint64:
    """Return the hash with every bit depending on all: the last step of SplitMix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


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
        value = hashes[row]
        part = _mixed(value) >> shift
        target = free[part]
        free[part] = target + 1
        to_hashes[target] = value
        to_rows[target] = row


@compiled
def _mark(
    hashes: Hashes,
    rows: NDArray[np.uint32],
    starts: Counts,
    first: int,
    last: int,
    parents: Parents,
    kept_counts: Counts,
) -> None:
    """Move the different hashes of each part of [first, last) to its front, and count them."""
    usual_slots = SLOTS
    while usual_slots < SLOTS * (len(hashes) // len(kept_counts)):
        usual_slots *= 2
    slots = np.empty(usual_slots, np.uint32)
    for part in range(first, last):
        low, count = starts[part], 0
        if len(slots) != usual_slots:
            slots = np.empty(usual_slots, np.uint32)
        slots[:] = 0
        start, high = low, starts[part + 1]
        while start < high:
            start, count = _insert(hashes, rows, low, start, high, count, slots, parents)
            if start < high:
                slots = _doubled(slots, hashes, low, count)
        kept_counts[part] = count


@compiled
def _insert(
    hashes: Hashes,
    rows: NDArray[np.uint32],
    low: int,
    start: int,
    high: int,
    count: int,
    slots: NDArray[np.uint32],
    parents: Parents,
) -> tuple[int, int]:
    """Add [start, high) to the `count` different ones at `low`, until the slots run short.

    Return how far that went, and the new count.
    """
    mask = np.uint64(len(slots) - 1)
    while start < high and SLOTS * count < len(slots):
        value, row = hashes[start], rows[start]
        slot = _mixed(value) & mask
        number = slots[slot]
        while number and hashes[low + number - 1] != value:
            slot = (slot + np.uint64(1)) & mask
            number = slots[slot]
        if number:
            parents[row] = rows[low + number - 1]
        else:
            parents[row] = row
            hashes[low + count], rows[low + count] = value, row
            count += 1
            slots[slot] = count
        start += 1
    return start, count


@compiled
def _doubled(slots: NDArray[np.uint32], hashes: Hashes, low: int, count: int) -> NDArray[np.uint32]:
    """Return a table of twice the slots for the `count` different hashes at `low`."""
    doubled = np.zeros(2 * len(slots), np.uint32)
    mask = np.uint64(len(doubled) - 1)
    for number in range(count):
        slot = _mixed(hashes[low + number]) & mask
        while doubled[slot]:
            slot = (slot + np.uint64(1)) & mask
        doubled[slot] = number + 1
    return doubled


@compiled
def _close_up(hashes: Hashes, rows: NDArray[np.uint32], starts: Counts, kept_counts: Counts) -> int:
    """Move what is kept of all parts together, in place; return how many there are."""
    free = 0
    for part in range(len(kept_counts)):
        low = starts[part]
        if free == low:
            free += kept_counts[part]
            continue
        for index in range(low, low + kept_counts[part]):
            hashes[free], rows[free] = hashes[index], rows[index]
            free += 1
    return free
