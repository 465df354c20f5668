"""Members: which rows are in the shards of a selection, so that further shards hold only others.

Beside the shards of a selection, or of a part of it, their rows are kept block by block. Where the
input has grown shards are appended: those that are there keep their bytes, but for what has to
leave them.
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
from pairsieve.pipeline.shards.split import Part
from pairsieve.schemas.columns import KEEP, ROW, arrow_schema

Members = tuple[ResultFile, ...]


def files_of(done: Marker, own: str) -> Members:
    """Return the files of the rows in the shards that go by this name, given their marker."""
    return tuple(
        ResultFile(name, tuple(entry[UNITS]) if UNITS in entry else None, entry["sha256"])
        for name, entry in done.files.items()
        if name.startswith(f"{shard_members(own)}/") and name.endswith(MEMBERS_SUFFIX)
    )


def surviving(pool: Pool, members: Members, part: Part) -> int:
    """Return how many of the members of a part the selection keeps still, and in this part.

    Raises:
        Stopped: a task's process kept dying.
    """
    return sum(count for _, count in pool.each(partial(_surviving, members, part), pool.blocks))


def rows_in(block: Block, members: Sequence[ResultFile]) -> NDArray[np.int64]:
    """Return the rows of a block that are in shards, and of some blocks beside it."""
    span = block.files.units or (0, np.iinfo(np.int64).max)
    parts = [np.zeros(0, np.int64)]
    for file in members:
        if file.units is None or any_of({UNITS: file.units}, *span):
            source = checksums.read(block.store, file.name, {"sha256": file.sha256})
            parts.append(pq.read_table(source)[ROW.name].to_numpy())
    return np.concatenate(parts)


def write(
    pool: Pool, own: str, identity: str, part: Part, among: Members | None = None
) -> list[Marker]:
    """Commit the rows of a part that the selection keeps, block by block; return the markers.

    Where `among` is given, only those of these members.
    """
    folder = shard_members(own, identity)
    return pool.run(partial(_write, folder, part, among), folder)


def write_gone(pool: Pool, folder: str, part: Part, members: Members) -> list[Marker]:
    """Commit the members of a part that it has no more, block by block; return the markers."""
    return pool.run(partial(_write_gone, folder, part, members), folder)


def _kept(block: Block, part: Part) -> NDArray[np.int64]:
    with block.ledger([KEEP.name, *part.columns]) as connection:
        query = f"SELECT row FROM ledger WHERE keep AND {part.where} ORDER BY row"
        table = connection.sql(query).to_arrow_table()
    rows: NDArray[np.int64] = table[ROW.name].to_numpy()
    return rows


def _surviving(members: Members, part: Part, block: Block) -> int:
    return int(np.isin(_kept(block, part), rows_in(block, members)).sum())


def _write(folder: str, part: Part, among: Members | None, block: Block) -> Marker:
    rows = _kept(block, part) if block.files.gathered else np.zeros(0, np.int64)
    if among is not None:
        rows = rows[np.isin(rows, rows_in(block, among))]
    return _committed(folder, block, rows, MEMBERS_SUFFIX)


def _write_gone(folder: str, part: Part, members: Members, block: Block) -> Marker:
    rows = rows_in(block, members)
    rows = rows[~np.isin(rows, _kept(block, part))] if len(rows) else rows
    return _committed(folder, block, rows, ".parquet")


def _committed(folder: str, block: Block, rows: NDArray[np.int64], suffix: str) -> Marker:
    """Commit rows of a block."""
    path = content(folder, task_name(block.number), suffix)
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
