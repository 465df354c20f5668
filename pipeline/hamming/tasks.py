"""What the search of `hamming` is divided into: tasks that need nothing of one another.

The root is cut into blocks, and each block's values into ranges of about as many hashes; a task is
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


def tasks(found: Distinct, block: int, width: int, most: int) -> list[Task]:
    """Return the tasks of one block of the root, of at most `most` hashes where that can be."""
    sizes = _values(found.hashes, block * width, width)
    made, low = [], 0
    ends = np.cumsum(sizes)
    while low < len(sizes):
        done = ends[low - 1] if low else 0
        high = max(low + 1, int(np.searchsorted(ends, done + most, "right")))
        made.append(Task(block, width, low, high, int(ends[high - 1] - done)))
        low = high
    return [task for task in made if task.hashes > 1]


@compiled
def _values(hashes: Hashes, bit: int, width: int) -> Ends:
    """Return how many hashes have each value of a block."""
    sizes = np.zeros(1 << width, np.int64)
    shift, mask = np.uint64(bit), np.uint64((1 << width) - 1)
    for place in range(len(hashes)):
        sizes[(hashes[place] >> shift) & mask] += 1
    return sizes


@compiled
def pick(found: Distinct, task: Task, hashes: Hashes, rows: Rows, ends: Ends) -> None:
    """Write the hashes of a task to `hashes` and `rows`, parted; `ends` becomes where parts end.

    A tile of them is picked without a jump that the processor could guess wrong, then parted.
    """
    count = len(found.hashes)
    shift, mask = np.uint64(task.block * task.width), np.uint64((1 << task.width) - 1)
    low, span = np.uint64(task.low), np.uint64(task.high - task.low)
    ends[: 1 << task.width] = 0
    for place in range(count):
        ends[(found.hashes[place] >> shift) & mask] += 1
    _to_starts(ends, task.low, task.high, 0)
    ends[: task.low] = 0
    ends[task.high : 1 << task.width] = task.hashes
    tile_hashes, tile_rows = np.empty(TILE, np.uint64), np.empty(TILE, np.uint32)
    for start in range(0, count, TILE):
        picked = 0
        for place in range(start, min(start + TILE, count)):
            mine = found.hashes[place]
            tile_hashes[picked], tile_rows[picked] = mine, found.rows[place]
            picked += ((mine >> shift) & mask) - low < span
        for place in range(picked):
            mine = tile_hashes[place]
            part = (mine >> shift) & mask
            target = ends[part]
            ends[part] = target + 1
            hashes[target], rows[target] = mine, tile_rows[place]


@compiled
def _to_starts(sizes: Ends, first: int, last: int, start: int) -> None:
    """Turn the sizes of parts, in place, into where each begins."""
    for part in range(first, last):
        size = sizes[part]
        sizes[part] = start
        start += size
