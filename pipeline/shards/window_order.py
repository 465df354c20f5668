"""The order of survivors by windows, `mix: window`: of some units each, drawn by the seed.

Every window is cut into shards of its own, of the same size but for one sample, so that its stored
images are read by one task, once; a shard that took from two windows would need the images of both.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from pairsieve.pipeline.engine.engine import Crashed
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, unit_files
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import KEEP, ROW
from pairsieve.schemas.errors import Stopped


class Window(NamedTuple):
    """Some units that are shuffled together.

    Attributes:
        units: The ledger of each, in the order in which they are read.
        shard: The number of its first shard.
        sizes: Samples of each of its shards.
    """

    units: tuple[LedgerFiles, ...]
    shard: int
    sizes: tuple[int, ...]

    @property
    def shards(self) -> range:
        """Return the numbers of its shards."""
        return range(self.shard, self.shard + len(self.sizes))


def windows(pool: Pool, seed: int, units: int, samples: int) -> Iterator[Window]:
    """Yield the windows of at most so many units, cut into shards of at most so many samples.

    The windows have as many units as one another but for one.

    Raises:
        Stopped: a task's process kept dying.
    """
    counts = _survivors(pool)
    ordered = sorted(counts, key=lambda unit: hashlib.md5(f"{seed}:{unit}".encode()).digest())
    first = shard = 0
    for width in equal_parts(len(ordered), units):
        members = sorted(ordered[first : first + width])
        sizes = equal_parts(sum(counts[unit] for unit in members), samples)
        yield Window(tuple(unit_files(pool.files, unit) for unit in members), shard, sizes)
        first, shard = first + width, shard + len(sizes)


def equal_parts(whole: int, most: int) -> tuple[int, ...]:
    """Return the sizes of as few parts as can be of at most `most`, equal but for one."""
    parts = -(-whole // most)
    return tuple((index + 1) * whole // parts - index * whole // parts for index in range(parts))


def _survivors(pool: Pool) -> Mapping[int, int]:
    """Return how many survivors each unit has, in the order of units."""
    counts: dict[int, int] = {}
    for _, result in pool.engine.map(_count, pool.blocks):
        if isinstance(result, Crashed):
            raise Stopped(f"the process of a count died ({result.reason}); run again")
        counts |= result
    return dict(sorted(counts.items()))


def _count(block: Block) -> dict[int, int]:
    """Return how many survivors each unit of a block has; its rows follow one another."""
    if not block.files.gathered:
        return {}
    table = block_table(block.store, block.files, [KEEP.name], block.threads)
    rows, keep = table[ROW.name].to_numpy(), table[KEEP.name].fill_null(False).to_numpy()
    firsts: dict[int, int] = {}
    for file in block.files.gathered:
        if not file.layer and (row := _first_row(block, file.name)) is not None:
            firsts[file.unit] = min(row, firsts.get(file.unit, row))
    starts = np.searchsorted(rows, list(firsts.values()))
    ends = [*starts[1:], len(rows)]
    return {u: int(keep[s:e].sum()) for u, s, e in zip(firsts, starts, ends, strict=True)}


def _first_row(block: Block, file: str) -> int | None:
    """Return the first row of a ledger part; None of one without any."""
    with block.store.reader(file) as source:
        found = pq.ParquetFile(source)
        if not found.metadata.num_rows:
            return None
        return int(found.read_row_group(0, columns=[ROW.name])[ROW.name][0].as_py())
