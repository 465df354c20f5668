"""The order of all survivors, `mix: pool`: by the MD5 of seed and uid, in two rounds of tasks.

The first parts the survivors of each block by the leading bits of their keys; the second sorts each
partition. One after the other the partitions are the order of the whole, which depends on nothing
but seed and uids; in how many blocks and partitions it was made leaves no trace.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content as content_path
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.shards.records import HIGH, SIZE, Content, records, seeded_order
from pairsieve.schemas.errors import Stopped

PARTITION_SAMPLES = 1 << 18  # of a partition, about: 250 MB of records
SORTED_ROWS = 1024  # of a row group of a sorted partition
DAMAGED = "the order of the samples is damaged"


class Slice(NamedTuple):
    """Some samples of a sorted partition: its file, the first of them, and how many."""

    file: str
    first: int
    samples: int


@dataclass(frozen=True, slots=True)
class Rounds:
    """What the tasks of both rounds need.

    Attributes:
        partition_folder: Where the first round is committed.
        sort_folder: Where the second is.
        partitions: How many partitions.
        content: What samples hold.
    """

    partition_folder: str
    sort_folder: str
    partitions: int
    content: Content


def pool_order(pool: Pool, order: Rounds) -> list[Marker]:
    """Put all survivors in order; return the marker of each sorted partition, in order.

    Raises:
        Stopped: a task's process kept dying.
    """
    partitioned = pool.run(partial(_partition, order), order.partition_folder)
    files = parted.parted_files(partitioned, order.partitions)
    task = partial(_sort, order, pool.store, files)
    return pool.run_numbered(task, order.sort_folder, order.partitions)


def _partition(order: Rounds, block: Block) -> Marker:
    """Part the survivors of a block and commit them."""
    table = records(block, order.content)
    numbers = parted.share(table[HIGH].to_numpy(), order.partitions)
    path = content_path(order.partition_folder, task_name(block.number), parted.SUFFIX)
    sink = parted.write(block.store, path, parted.split(table, numbers, order.partitions))
    marker = Marker(table.num_rows, {path: sink.entry()})
    return commit(block.store, marker_path(order.partition_folder, task_name(block.number)), marker)


def _sort(order: Rounds, store: Store, files: Sequence[parted.PartedFile], number: int) -> Marker:
    """Sort one partition and commit it."""
    import pyarrow.parquet as pq

    table = parted.read_all(store, files, number, DAMAGED).combine_chunks()
    path = content_path(order.sort_folder, task_name(number), ".parquet")
    sorted_rows, schema = seeded_order(table), order.content.record
    with (
        store.writer(path) as sink,
        pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for first in range(0, len(sorted_rows), SORTED_ROWS):
            writer.write_table(table.take(sorted_rows[first : first + SORTED_ROWS]))
    counts = {SIZE: pa.compute.sum(table[SIZE]).as_py() or 0}
    marker = Marker(table.num_rows, {path: sink.entry()}, counts)
    return commit(store, marker_path(order.sort_folder, task_name(number)), marker)


def slices(partitions: Sequence[Marker], samples: int) -> Iterator[list[Slice]]:
    """Yield the samples of each shard of so many, the last excepted, by the partitions they are in.

    A shard may lie in several partitions.
    """
    ends = list(accumulate(marker.rows for marker in partitions))
    whole = ends[-1] if ends else 0
    for first in range(0, whole, samples):
        yield list(_slices(partitions, ends, first, min(first + samples, whole)))


def _slices(
    partitions: Sequence[Marker], ends: Sequence[int], first: int, last: int
) -> Iterator[Slice]:
    number = bisect_right(ends, first)
    while first < last:
        begin = ends[number] - partitions[number].rows
        end = min(last, ends[number])
        if end > first:
            yield Slice(partitions[number].file(".parquet"), first - begin, end - first)
        first, number = end, number + 1


def slices_of_bytes(pool: Pool, partitions: Sequence[Marker], size: int) -> Iterator[list[Slice]]:
    """Yield the samples of each shard of about so many bytes, by the partitions they are in.

    A sample goes by where it would begin if all were one file: so where shards are cut depends on
    the order of the samples alone.

    Raises:
        Stopped: a task's process kept dying.
    """
    ends = accumulate((marker.counts[SIZE] for marker in partitions), initial=0)
    files = [marker.file(".parquet") for marker in partitions]
    begins = dict(zip(files, ends, strict=False))
    cuts: dict[str, list[tuple[int, int]]] = {}
    for (file, _), cut in pool.engine.map(partial(_cut, pool.store, size), begins.items()):
        if isinstance(cut, Crashed):
            raise Stopped(f"{file}: the process of a task died ({cut.reason}); run again")
        cuts[file] = cut
    shards: dict[int, list[Slice]] = {}
    for file in files:
        first = 0
        for number, samples in cuts[file]:
            shards.setdefault(number, []).append(Slice(file, first, samples))
            first += samples
    yield from shards.values()


def _cut(store: Store, size: int, partition: tuple[str, int]) -> list[tuple[int, int]]:
    """Return which shards the samples of a partition are in, and how many in each."""
    import pyarrow.parquet as pq

    file, begin = partition
    with store.reader(file) as source:
        sizes = pq.read_table(source, columns=[SIZE])[SIZE].to_numpy()
    numbers, counts = np.unique((np.cumsum(sizes) - sizes + begin) // size, return_counts=True)
    return list(zip(numbers.tolist(), counts.tolist(), strict=True))


def read(store: Store, parts: Sequence[Slice]) -> Iterator[pa.Table]:
    """Yield the samples of a shard in order, some at a time.

    The files' own checksums of their pages are compared.

    Raises:
        Stopped: a file is damaged.
    """
    for part in parts:
        try:
            yield from _read(store, part)
        except (pa.ArrowException, OSError) as error:
            where = store.location(part.file)
            raise Stopped(f"{where}: {DAMAGED}: {error}; {store.remedy}") from error


def _read(store: Store, part: Slice) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    with store.reader(part.file) as source:
        file = pq.ParquetFile(source, page_checksum_verification=True)
        last = part.first + part.samples
        for group in range(part.first // SORTED_ROWS, -(-last // SORTED_ROWS)):
            begin = max(part.first - group * SORTED_ROWS, 0)
            end = min(last - group * SORTED_ROWS, SORTED_ROWS)
            yield file.read_row_group(group).slice(begin, end - begin)
