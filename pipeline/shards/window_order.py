"""The order of survivors by windows, `mix: window`: of some units each, drawn by the seed.

Every window is cut into shards of its own, of the same size but for one sample, so that its stored
images are read by one task, once; a shard that took from two windows would need the images of both.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.engine.engine import Crashed
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, unit_files
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.shards.members import Members, rows_in
from pairsieve.pipeline.shards.split import Part
from pairsieve.schemas.columns import IMAGE_BYTES, KEEP, ROW
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe_shard import Shard

BESIDES_BYTES = 4096  # of a sample in a tar: text, JSON, three headers and what fills blocks up
Count = tuple[int, int]  # survivors, and bytes of them


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


def windows(
    pool: Pool, options: Shard, part: Part, members: Members = (), first_shard: int = 0
) -> Iterator[Window]:
    """Yield the windows of so many units at most, cut into shards of one size but for a sample.

    The windows have as many units as one another but for one; shards have as many samples as the
    options say at most, or as many as come to so many bytes. Where there are `members`, which are
    in shards already, only units with other survivors are drawn.

    Raises:
        Stopped: a task's process kept dying.
    """
    counts = _survivors(pool, part, members)
    seed = options.seed
    ordered = sorted(counts, key=lambda unit: hashlib.md5(f"{seed}:{unit}".encode()).digest())
    if members:
        ordered = [unit for unit in ordered if counts[unit][0]]
    first, shard = 0, first_shard
    for width in equal_parts(len(ordered), options.window_units):
        drawn = sorted(ordered[first : first + width])
        sizes = _sizes(options, *map(sum, zip(*(counts[unit] for unit in drawn), strict=True)))
        yield Window(tuple(unit_files(pool.files, unit) for unit in drawn), shard, sizes)
        first, shard = first + width, shard + len(sizes)


def _sizes(options: Shard, samples: int, size: int) -> tuple[int, ...]:
    """Return the samples of each shard of a window with so many, of so many bytes together."""
    if options.by == "samples":
        return equal_parts(samples, options.samples)
    return _parts(samples, min(samples, -(-size // options.bytes)))


def equal_parts(whole: int, most: int) -> tuple[int, ...]:
    """Return the sizes of as few parts as can be of at most `most`, equal but for one."""
    return _parts(whole, -(-whole // most))


def _parts(whole: int, parts: int) -> tuple[int, ...]:
    return tuple((index + 1) * whole // parts - index * whole // parts for index in range(parts))


def _survivors(pool: Pool, part: Part, members: Members) -> Mapping[int, Count]:
    """Return how many survivors each unit has, and bytes of them, in the order of units."""
    counts: dict[int, Count] = {}
    for _, result in pool.engine.map(partial(_count, part, members), pool.blocks):
        if isinstance(result, Crashed):
            raise Stopped(f"the process of a count died ({result.reason}); run again")
        counts |= result
    return dict(sorted(counts.items()))


def _count(part: Part, members: Members, block: Block) -> dict[int, Count]:
    """Return how many survivors each unit of a block has, and bytes; its rows follow one another.

    Members do not count. Bytes are those of images and a guess at the rest, so that texts need not
    be read.
    """
    if not block.files.gathered:
        return {}
    columns = [KEEP.name, IMAGE_BYTES.name, *part.columns]
    table = block_table(block.store, block.files, columns, block.threads)
    rows, keep = table[ROW.name].to_numpy(), _kept(block, table, part)
    keep = keep & ~np.isin(rows, rows_in(block, members))
    firsts: dict[int, int] = {}
    for file in block.files.gathered:
        if not file.layer and (row := _first_row(block, file.name)) is not None:
            firsts[file.unit] = min(row, firsts.get(file.unit, row))
    starts = np.searchsorted(rows, list(firsts.values()))
    ends = [*starts[1:], len(rows)]
    sizes = np.where(keep, table[IMAGE_BYTES.name].fill_null(0).to_numpy() + BESIDES_BYTES, 0)
    return {
        unit: (int(keep[start:end].sum()), int(sizes[start:end].sum()))
        for unit, start, end in zip(firsts, starts, ends, strict=True)
    }


def _kept(block: Block, table: pa.Table, part: Part) -> NDArray[np.bool_]:
    """Return which rows survive and are of the part, (n,)."""
    keep: NDArray[np.bool_] = table[KEEP.name].fill_null(False).to_numpy()
    if part.name:
        with connect(block.store, threads=block.threads) as connection:
            connection.register("pairs", table)
            query = f"SELECT {ROW.name} FROM pairs WHERE {KEEP.name} AND {part.where}"
            rows = connection.sql(query).to_arrow_table()[ROW.name].to_numpy()
        keep = np.isin(table[ROW.name].to_numpy(), rows)
    return keep


def _first_row(block: Block, file: str) -> int | None:
    """Return the first row of a ledger part; None of one without any."""
    with block.store.reader(file) as source:
        found = pq.ParquetFile(source)
        if not found.metadata.num_rows:
            return None
        return int(found.read_row_group(0, columns=[ROW.name])[ROW.name][0].as_py())
