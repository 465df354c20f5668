"""Members: which rows are in the shards of a selection, so that further shards hold only others.

Beside the shards their rows are kept block by block. Where the input has grown and every member
survives still, shards are appended: those that are there keep their bytes.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    MEMBERS_SUFFIX,
    content,
    marker_path,
    shard_members,
    task_name,
)
from pairsieve.pipeline.ledger.files import UNITS, ResultFile, any_of
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import KEEP, ROW, arrow_schema

Members = tuple[ResultFile, ...]


def files_of(done: Marker) -> Members:
    """Return the files of the rows in shards, given their marker."""
    return tuple(
        ResultFile(name, tuple(entry[UNITS]) if UNITS in entry else None, entry["sha256"])
        for name, entry in done.files.items()
        if name.endswith(MEMBERS_SUFFIX)
    )


def surviving(pool: Pool, members: Members) -> int:
    """Return how many of the members the selection keeps still.

    Raises:
        Stopped: a task's process kept dying.
    """
    return sum(count for _, count in pool.each(partial(_surviving, members), pool.blocks))


def rows_in(block: Block, members: Sequence[ResultFile]) -> NDArray[np.int64]:
    """Return the rows of a block that are in shards, and of some blocks beside it."""
    span = block.files.units or (0, np.iinfo(np.int64).max)
    parts = [np.zeros(0, np.int64)]
    for file in members:
        if file.units is None or any_of({UNITS: file.units}, *span):
            source = checksums.read(block.store, file.name, {"sha256": file.sha256})
            parts.append(pq.read_table(source)[ROW.name].to_numpy())
    return np.concatenate(parts)


def write(pool: Pool, name: str, identity: str) -> list[Marker]:
    """Commit the rows that the selection keeps, block by block; return the markers."""
    folder = shard_members(name, identity)
    return pool.run(partial(_write, folder), folder)


def _kept(block: Block) -> NDArray[np.int64]:
    with block.ledger([KEEP.name]) as connection:
        table = connection.sql("SELECT row FROM ledger WHERE keep ORDER BY row").to_arrow_table()
    rows: NDArray[np.int64] = table[ROW.name].to_numpy()
    return rows


def _surviving(members: Members, block: Block) -> int:
    return int(np.isin(_kept(block), rows_in(block, members)).sum())


def _write(folder: str, block: Block) -> Marker:
    rows = _kept(block) if block.files.gathered else np.zeros(0, np.int64)
    path = content(folder, task_name(block.number), MEMBERS_SUFFIX)
    with block.store.writer(path) as sink:
        pq.write_table(
            pa.table({ROW.name: rows}).cast(arrow_schema((ROW,))),
            sink,
            compression="zstd",
            use_dictionary=False,
            column_encoding="DELTA_BINARY_PACKED",
        )
    marker = Marker(len(rows), {path: block.entry(sink)})
    return commit(block.store, marker_path(folder, task_name(block.number)), marker)
