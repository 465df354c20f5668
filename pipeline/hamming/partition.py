"""Partitioning: the first round of a distributed search, and what the second reads of it.

The 64 bits are cut into `max_distance + 1` blocks, as in `components.py`; each block is a table,
and the values of a block are shared out among partitions. What is equal in a block is in one
partition, so a partition of a table needs nothing of any other.

A task of this round reads the ledger parts of some units and writes one file: for each table, the
hashes in the order of their partitions, and which row each is of; a row may have several. A task of
the second round reads its own stretch of every such file.

The file, little-endian: int64 smallest row; int64 n, the hashes; int64 (tables, partitions + 1),
where each partition begins; then per table uint64 (n,) hashes and uint32 (n,) rows, counted from
the smallest. That is 12 bytes per hash and table.

Import this file where it is used: it imports numba.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import beside, marker_path, task_name
from pairsieve.pipeline.dataset.store import FILES_AT_ONCE, Store
from pairsieve.pipeline.engine.rounds import Numbered
from pairsieve.pipeline.hamming.cost_model import BITS, TINIEST, WIDEST, Costs, widths
from pairsieve.pipeline.hamming.tasks import Ends, Rows
from pairsieve.schemas.arrays import Hashes
from pairsieve.schemas.columns import GATHERED, OUTCOME, ROW
from pairsieve.schemas.outcomes import Outcome

HEAD = 16  # bytes: smallest row and number of hashes
EACH = 12  # bytes of a hash and its row
SCATTER = 0x9E3779B1  # odd: times this, a block's values are permuted, and neighbours separated

GlobalRows = NDArray[np.int64]  # (n,)
Unit = tuple[str, ...]  # the files of its ledger parts, the latest layer last


class Partitioning(NamedTuple):
    """How a search is spread: into `tables` times `partitions` tasks.

    Attributes:
        distance: Largest distance of a pair, bits.
        width: Bits of a block.
        partitions: Of each table, at most 2**width.
    """

    distance: int
    width: int
    partitions: int

    @property
    def tables(self) -> int:
        """Return how many blocks there are."""
        return self.distance + 1

    @property
    def header(self) -> int:
        """Return the bytes before the first table in a partitioned file."""
        return HEAD + 8 * self.tables * (self.partitions + 1)


def plan_partitions(count: int, distance: int, partitions: int) -> Partitioning:
    """Return how to spread a search of `count` hashes over `partitions` per table.

    Blocks are as wide as the plan says, or as so many partitions need. They cannot be wider
    than 64 / (distance + 1) bits, nor than 12: at distance 4 there are at most 4,096 partitions,
    at 10 at most 32.
    """
    log = round(np.log2(max(count, 1))) - TINIEST
    planned = int(widths(distance, Costs())[distance, BITS, log])
    needed = (partitions - 1).bit_length()
    width = min(max(planned, needed, 1), WIDEST, BITS // (distance + 1))
    return Partitioning(distance, width, min(partitions, 1 << width))


def partition(
    store: Store,
    folder: str,
    partitioning: Partitioning,
    columns: Sequence[str],
    item: Numbered[Sequence[Unit]],
) -> Marker:
    """Partition the hashes in `columns` of some units, in input order, and commit."""
    number, units = item
    commit_path = marker_path(folder, task_name(number))
    if done := store.marker(commit_path):
        return done
    hashes, rows = _hashes(store, columns, units)
    base = int(rows[0]) if len(rows) else 0
    offsets = (rows - base).astype(np.uint32)
    path = beside(commit_path, ".bin")
    starts = np.array(
        [_starts(hashes, table, partitioning) for table in range(partitioning.tables)], "<i8"
    )
    to_hashes, to_rows = np.empty_like(hashes), np.empty_like(offsets)
    with store.writer(path) as sink:
        sink.write(np.array([base, len(rows)], "<i8").tobytes())
        sink.write(starts.tobytes())
        for table in range(partitioning.tables):
            _scatter(hashes, offsets, table, partitioning, starts[table].copy(), to_hashes, to_rows)
            # Copies: what writes to an object store may look at the bytes later.
            sink.write(to_hashes.astype("<u8", copy=False).tobytes())
            sink.write(to_rows.astype("<u4", copy=False).tobytes())
    counts = {"hashes": len(rows)}
    return commit(store, commit_path, Marker(len(rows), {path: sink.entry()}, counts))


def read_partition(
    store: Store, files: Sequence[str], partitioning: Partitioning, table: int, partition: int
) -> tuple[Hashes, GlobalRows]:
    """Return the hashes of one partition of a table and their rows, ascending."""
    span_offset = HEAD + 8 * (table * (partitioning.partitions + 1) + partition)

    def read(file: str) -> tuple[Hashes, GlobalRows]:
        head, span = store.read_ranges(file, [0, span_offset], [HEAD, 16])
        base, count = np.frombuffer(head, "<i8").tolist()
        low, high = np.frombuffer(span, "<i8").tolist()
        if low == high:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        start = partitioning.header + EACH * count * table
        offsets = [start + 8 * low, start + 8 * count + 4 * low]
        lengths = [8 * (high - low), 4 * (high - low)]
        hashes, rows = store.read_ranges(file, offsets, lengths)
        return np.frombuffer(hashes, "<u8"), base + np.frombuffer(rows, "<u4").astype(np.int64)

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        parts = [*pool.map(read, files)]
    none = (np.empty(0, np.uint64), np.empty(0, np.int64))
    hashes, rows = zip(*parts, strict=True) if parts else ((none[0],), (none[1],))
    return np.concatenate(hashes), np.concatenate(rows)


def _hashes(
    store: Store, columns: Sequence[str], units: Iterable[Unit]
) -> tuple[Hashes, GlobalRows]:
    """Return the hashes and the rows of all pairs with an image, in row order."""
    parts = [_unit(store, columns, unit) for unit in units]
    hashes, rows = zip(*parts, strict=True)
    return np.concatenate(hashes), np.concatenate(rows)


def _unit(store: Store, columns: Sequence[str], files: Unit) -> tuple[Hashes, GlobalRows]:
    """Return the same for one unit; of a row, the latest layer is the one that holds.

    A row has a hash for each column that is not null, of a list the first.
    """
    import pyarrow.compute as pc

    parts = [_read(store, [ROW.name, OUTCOME.name, *columns], file) for file in files]
    every = pa.concat_tables(parts)
    _, from_end = np.unique(every[ROW.name].to_numpy()[::-1], return_index=True)
    every = every.take(pa.array(every.num_rows - 1 - from_end))
    every = every.filter(pc.equal(every[OUTCOME.name], str(Outcome.OK)))
    found = []
    for name in columns:
        known = every.filter(pc.is_valid(every[name]))
        values = known[name]
        first = pc.list_element(values, 0) if pa.types.is_list(values.type) else values
        found.append((first.to_numpy(), known[ROW.name].to_numpy()))
    hashes, rows = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.argsort(rows, kind="stable")
    return hashes[order], rows[order]


def _read(store: Store, names: Sequence[str], file: str) -> pa.Table:
    """Return columns of a ledger part, null where it has none of the name."""
    import pyarrow.parquet as pq

    types = {column.name: column.type for column in GATHERED}
    with store.reader(file) as source, pq.ParquetFile(source) as part:
        table = part.read([name for name in names if name in part.schema_arrow.names])
    for name in names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), types[name]))
    return table.select(names)


@compiled
def _partition(value: np.uint64, table: int, partitioning: Partitioning) -> np.uint64:
    """Return which partition of a table a hash is in."""
    width, mask = np.uint64(partitioning.width), np.uint64((1 << partitioning.width) - 1)
    block = (value >> (np.uint64(table) * width)) & mask
    return (((block * np.uint64(SCATTER)) & mask) * np.uint64(partitioning.partitions)) >> width


@compiled
def _starts(hashes: Hashes, table: int, partitioning: Partitioning) -> Ends:
    """Return where each partition of a table begins, and the end."""
    starts = np.zeros(partitioning.partitions + 1, np.int64)
    for index in range(len(hashes)):
        starts[_partition(hashes[index], table, partitioning) + np.uint64(1)] += 1
    return np.cumsum(starts)


@compiled
def _scatter(
    hashes: Hashes,
    rows: Rows,
    table: int,
    partitioning: Partitioning,
    free: Ends,
    to_hashes: Hashes,
    to_rows: Rows,
) -> None:
    """Write hashes and rows in the order of their partitions, within each in their own."""
    for index in range(len(hashes)):
        value = hashes[index]
        part = _partition(value, table, partitioning)
        target = free[part]
        free[part] = target + 1
        to_hashes[target], to_rows[target] = value, rows[index]
