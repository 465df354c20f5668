"""What the search of `hamming` is divided into: tasks that need nothing of one another.

The bits are cut into blocks, and each block's values into ranges of about as many hashes; a task is
one range of one block. It reads all hashes and keeps its own, so it can run in any thread, or on
any machine that reads them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.hamming.distinct import Distinct
from pairsieve.schemas.arrays import Hashes

TILE = 1024  # hashes picked at once

Rows = NDArray[np.uint32]
Ends = NDArray[np.int64]


class Task(NamedTuple):
    """A part of a search: the hashes whose value of a block is in [low, high).

    Attributes:
        block: Which block of the root; those before it differ.
        width: Bits of the block; 0 for all hashes, each to be compared with each.
        low: First value.
        high: End of the values.
        hashes: How many there are.
    """

    block: int
    width: int
    low: int
    high: int
    hashes: int


def tasks(unique_hashes: Distinct, block: int, width: int, most: int) -> list[Task]:
    """Return the tasks of one block of the root, of at most `most` hashes where that can be."""
    sizes = _values(unique_hashes.hashes, block * width, width)
    planned, low = [], 0
    ends = np.cumsum(sizes)
    while low < len(sizes):
        assigned = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, assigned + most, "right")))
        planned.append(Task(block, width, low, high, int(ends[high - 1] - assigned)))
        low = high
    return [task for task in planned if task.hashes > 1]


@compiled
def _values(hashes: Hashes, bit: int, width: int) -> Ends:
    """Return how many hashes have each value of a block."""
    sizes = np.zeros(1 << width, np.int64)
    shift, mask = np.uint64(bit), np.uint64((1 << width) - 1)
    for index in range(len(hashes)):
        sizes[(hashes[index] >> shift) & mask] += 1
    return sizes


@compiled
def pick(unique_hashes: Distinct, task: Task, hashes: Hashes, rows: Rows, ends: Ends) -> None:
    """Write a task's hashes to `hashes` and `rows`, partitioned; `ends` becomes where parts end.

    A tile of them is picked without a jump that the processor could guess wrong, then partitioned.
    """
    count = len(unique_hashes.hashes)
    shift, mask = np.uint64(task.block * task.width), np.uint64((1 << task.width) - 1)
    low, span = np.uint64(task.low), np.uint64(task.high - task.low)
    ends[: 1 << task.width] = 0
    for index in range(count):
        ends[(unique_hashes.hashes[index] >> shift) & mask] += 1
    _to_starts(ends, task.low, task.high, 0)
    ends[: task.low] = 0
    ends[task.high : 1 << task.width] = task.hashes
    tile_hashes, tile_rows = np.empty(TILE, np.uint64), np.empty(TILE, np.uint32)
    for start in range(0, count, TILE):
        picked = 0
        for index in range(start, min(start + TILE, count)):
            value = unique_hashes.hashes[index]
            tile_hashes[picked], tile_rows[picked] = value, unique_hashes.rows[index]
            picked += ((value >> shift) & mask) - low < span
        for index in range(picked):
            value = tile_hashes[index]
            part = (value >> shift) & mask
            target = ends[part]
            ends[part] = target + 1
            hashes[target], rows[target] = value, tile_rows[index]


@compiled
def _to_starts(sizes: Ends, first: int, last: int, start: int) -> None:
    """Turn the sizes of parts, in place, into where each begins."""
    for part in range(first, last):
        size = sizes[part]
        sizes[part] = start
        start += size
