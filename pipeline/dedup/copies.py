"""Copies: the rounds that find the copies of the whole pool, and their columns block by block.

1. `keys`: what is compared of each image of a block is parted by key (`keys.py`);
2. `equal`: of a partition of the keys, which files and which pairs are equal;
3. `alone`, or those of `hamming/distributed.py`: which pHashes are near;
4. `components`: which images all that connects (`image_components.py`);
5. `candidates`: the features of these, parted by component (`candidates.py`);
6. `decided`: of a partition of the components, who is kept (`near_duplicates.py`);
7. here: the columns of every image of a block, which for most are those of one without copies, and
   beside them what others have found of the block (`counts/pool_counts.py`).

Each task commits to the dataset, so what was killed goes on. The values do not depend on how the
pool is cut.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dataset.paths import content, marker_path, task_name
from pairsieve.pipeline.dedup import candidates, keys, near_duplicates
from pairsieve.pipeline.dedup.candidates import Sources
from pairsieve.pipeline.dedup.image_components import find as find_components
from pairsieve.pipeline.dedup.keys import Rounds
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import SliceFile
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE
from pairsieve.pipeline.ledger.pool import Block, Further, Pool
from pairsieve.schemas.columns import (
    CAPTIONS,
    CLUSTER,
    COPIES,
    GROUPED,
    REPEATED,
    ROW,
    TEXT,
    arrow_schema,
)

Counting = Mapping[str, Callable[[dict[str, Any]], int]]
BLOCKS_OF_KEYS = 8  # for each partition of the keys: 4 million pairs, 0.4 GB


@dataclass(frozen=True, slots=True)
class Found:
    """What the rounds have found, for the tasks that write it.

    Attributes:
        images: The files of keys, one of each block.
        repeats: The files of rows that repeat an earlier one, by block.
        decided: The files of copies, by block.
        counts: What the marker of `group` counts of copies.
        starts: The first row of each block.
    """

    images: Sequence[PartedFile]
    repeats: Sequence[PartedFile]
    decided: Sequence[PartedFile]
    counts: dict[str, int]
    starts: keys.Ints


def key_partitions(pool: Pool, partitions: int | None) -> int:
    """Return how many partitions of keys there are, if nobody says."""
    return partitions or -(-len(pool.blocks) // BLOCKS_OF_KEYS)


def find(
    pool: Pool,
    of: Rounds,
    scattered: Sequence[Marker],
    vectors: Sequence[SliceFile],
    partitions: int | None = None,
) -> Found:
    """Go through the rounds between the first and the last.

    Args:
        pool: The pool.
        of: What all tasks need.
        scattered: The markers of the first round, of all blocks.
        vectors: The files of image vectors, where they verify copies.
        partitions: Of everything; by default as many as there should be for so many pairs.

    Raises:
        Stopped: a task's process kept dying.
    """
    from pairsieve.pipeline.hamming.distributed import default_partitions

    blocks = len(pool.blocks)
    images, starts = parted_files(scattered, of.images + 1), keys.first_rows(scattered)
    task = partial(keys.compare, of, images, starts)
    equal = pool.run_numbered(task, of.of("equal"), of.images)
    files = [marker.file(".parquet") for marker in equal[: of.partitions]]
    repeats = parted_files(equal[of.partitions :], blocks)
    hashes = len(keys.searched(of.options)) * sum(marker.rows for marker in scattered)
    searched = partitions or default_partitions(hashes)
    components = find_components(pool, of, images, files, starts, searched)
    sources = Sources(parted_files([components], blocks)[0], repeats, vectors)
    decided = _decided(pool, of, sources, starts, partitions or _partitions(components.rows))
    counts = _summed(decided)
    return Found(images, repeats, parted_files(decided, blocks), counts, starts)


def _partitions(images: int) -> int:
    """Return how many partitions so many candidates need."""
    return max(1, -(-images // candidates.PER_TASK))


def _decided(
    pool: Pool, of: Rounds, sources: Sources, starts: keys.Ints, partitions: int
) -> list[Marker]:
    """Part the candidates and decide each partition; return their markers."""
    task = partial(candidates.scatter, of, sources, partitions)
    files = parted_files(pool.run(task, of.of("candidates")), partitions)
    decide = partial(near_duplicates.decide, of, files, starts)
    return pool.run_numbered(decide, of.of("decided"), partitions)


def _summed(markers: Sequence[Marker]) -> dict[str, int]:
    return {name: sum(each.counts[name] for each in markers) for name in markers[0].counts}


def write(
    of: Rounds,
    found: Found,
    further: Sequence[Further],
    counting: Counting,
    folder: str,
    block: Block,
) -> Marker:
    """Write `row` and GROUPED of every image of a block, and commit in `folder`.

    `further` give columns beside those of copies; others are null. The marker's counts: `repeated`,
    and what `counting` says of the columns.
    """
    import pyarrow.parquet as pq

    images = parted.read(block.store, found.images[block.number], of.images)
    rows = images[ROW.name].to_numpy()
    columns = _columns(of, found, block, rows)
    for each in further:
        columns |= each(block, rows)
    path = content(folder, task_name(block.number), ".parquet")
    schema = arrow_schema((ROW, *GROUPED))
    with (
        block.store.writer(path) as sink,
        pq.ParquetWriter(sink, schema, compression="zstd") as writer,
    ):
        for first in range(0, len(rows), ROWS_AT_ONCE):
            size = min(ROWS_AT_ONCE, len(rows) - first)
            arrays = [
                columns[field.name].slice(first, size)
                if field.name in columns
                else pa.nulls(size, field.type)
                for field in schema
            ]
            writer.write_table(pa.table(arrays, schema.names).cast(schema))
    repeated = int(np.count_nonzero(columns[REPEATED.name].to_numpy(zero_copy_only=False)))
    counts = {"repeated": repeated, **{name: count(columns) for name, count in counting.items()}}
    marker = Marker(len(rows), {path: block.entry(sink)}, counts)
    return commit(block.store, marker_path(folder, task_name(block.number)), marker)


def _columns(of: Rounds, found: Found, block: Block, rows: keys.Ints) -> dict[str, Any]:
    """Return the columns of COPIES of these images of a block, in row order."""
    copies = parted.read_all(block.store, found.decided, block.number).sort_by(ROW.name)
    repeats = parted.read_all(block.store, found.repeats, block.number)[ROW.name].to_numpy()
    theirs = np.searchsorted(rows, copies[ROW.name].to_numpy())
    taken = np.zeros(len(rows), np.int64)
    alone = np.ones(len(rows), bool)
    taken[theirs], alone[theirs] = np.arange(len(copies)), False
    indices = pa.array(taken, mask=alone)
    columns = {c.name: _taken(copies[c.name], indices) for c in COPIES}
    clusters = rows.copy()
    clusters[theirs] = copies[CLUSTER.name].to_numpy()
    own = {ROW.name: rows, REPEATED.name: np.isin(rows, repeats), CLUSTER.name: clusters}
    columns |= {name: pa.array(values) for name, values in own.items()}
    if of.options.captions == "all_as_list":
        columns[CAPTIONS.name] = _captions(columns[CAPTIONS.name], alone, block, rows)
    return columns


def _taken(column: pa.ChunkedArray, indices: pa.Array) -> pa.Array:
    return pa.concat_arrays([chunk for chunk in column.take(indices).chunks])


def _captions(lists: pa.Array, alone: Any, block: Block, rows: keys.Ints) -> pa.Array:
    """Return the captions of each image: of one without copies its own."""
    table = block_table(block.store, block.files, [TEXT.name], block.threads)
    texts = table[TEXT.name].take(np.searchsorted(table[ROW.name].to_numpy(), rows))
    found = [
        [text] if single else theirs
        for single, text, theirs in zip(alone, texts.to_pylist(), lists.to_pylist(), strict=True)
    ]
    return pa.array(found, CAPTIONS.type)
