"""Random batches of the pool's pairs, drawn by the hash of seed and uid in rounds of tasks.

The range of the hash is cut into as many parts as the pool has batches; the pairs whose hash lies
in the n-th part are the n-th batch. So a batch is the same however the pool is cut into tasks, and
has about as many pairs as was asked for. A round over the vectors picks the pairs of all batches,
another puts each batch into one file.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.alignment.measures import Pairs, Rows
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, marker_path, round_folder, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.vectors.lengths import of_length_1_float32
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.columns import IMAGE_EMBEDDING, ROW, TEXT_EMBEDDING, UID
from pairsieve.schemas.recipe_alignment import NegClipLoss

SLICES_AT_ONCE = 64  # task slices of vectors that one task picks from
BATCH = "batch"  # the column with the number of the batch


@dataclass(frozen=True)
class SliceFiles:
    """The files of one task slice: what was gathered, its vectors, and how many there are."""

    gathered: str
    vectors: str
    rows: int


@dataclass(frozen=True)
class Draw:
    """What is drawn: `parts` of the range of the hash, of which the first `count` are batches."""

    store: Store
    folder: str
    seed: int
    parts: int
    count: int


def draw(
    store: Store, engine: Engine, folder: str, options: NegClipLoss, slices: Sequence[SliceFiles]
) -> list[str]:
    """Return the files of the batches, drawn now unless they are there.

    Raises:
        Stopped: a task's process kept dying.
    """
    parts = max(1, round(sum(each.rows for each in slices) / options.batch))
    wanted = Draw(store, folder, options.seed, parts, min(parts, options.batches))
    groups = [slices[n : n + SLICES_AT_ONCE] for n in range(0, len(slices), SLICES_AT_ONCE)]
    picked = round_folder(folder, "pick")
    rounds.run(store, engine, picked, partial(_pick, wanted), rounds.numbered(groups))
    files = rounds.files(store, picked, ".parquet")
    batches = round_folder(folder, "batch")
    items = {task_name(number): number for number in range(wanted.count)}
    rounds.run(store, engine, batches, partial(_put_together, wanted, files), items)
    return rounds.files(store, batches, ".parquet")


def read(store: Store, file: str) -> Pairs:
    """Return the pairs of a batch."""
    with checksums.open_parquet(store, file) as source:
        table = source.read()
    return Pairs(
        table[ROW.name].to_numpy(),
        of_length_1_float32(matrix(table[IMAGE_EMBEDDING.name])),
        of_length_1_float32(matrix(table[TEXT_EMBEDDING.name])),
    )


def part_of(seed: int, uid: str, parts: int) -> int:
    """Return in which part of the range of the hash a pair lies, from 0."""
    digest = hashlib.blake2b(f"{seed}:{uid}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") * parts >> 64


def _pick(wanted: Draw, item: tuple[int, Sequence[SliceFiles]]) -> Marker:
    """Commit the pairs of some task slices that are in a batch, sorted by batch."""
    number, slices = item
    tables = [_picked(wanted, each) for each in slices]
    return _commit(wanted, "pick", number, pa.concat_tables(tables).sort_by(BATCH))


def _picked(wanted: Draw, slice_: SliceFiles) -> pa.Table:
    """Return the vectors of the pairs of a task slice that are in a batch."""
    with checksums.open_parquet(wanted.store, slice_.vectors) as source:
        vectors = source.read([ROW.name, IMAGE_EMBEDDING.name, TEXT_EMBEDDING.name])
    uids = _uids(wanted.store, slice_.gathered, vectors[ROW.name].to_numpy())
    parts = np.array([part_of(wanted.seed, uid, wanted.parts) for uid in uids], np.int64)
    table = vectors.append_column(BATCH, pa.array(parts)).filter(pa.array(parts < wanted.count))
    return table.replace_schema_metadata(None).cast(
        pa.schema([field.with_metadata(None) for field in table.schema])
    )


def _uids(store: Store, file: str, rows: Rows) -> list[str]:
    """Return the uids of some rows of a gathered task slice."""
    with checksums.open_parquet(store, file) as source:
        table = source.read([ROW.name, UID.name])
    own = table[ROW.name].to_numpy()
    order = np.argsort(own, kind="stable")
    places = order[np.searchsorted(own[order], rows)]
    uids: list[str] = table[UID.name].take(pa.array(places)).to_pylist()
    return uids


def _put_together(wanted: Draw, files: Sequence[str], number: int) -> Marker:
    """Commit one batch, sorted by row."""
    import pyarrow.parquet as pq

    tables = []
    for file in files:
        with wanted.store.reader(file) as source:
            tables.append(pq.read_table(source, filters=[(BATCH, "=", number)], use_threads=False))
    return _commit(wanted, "batch", number, pa.concat_tables(tables).sort_by(ROW.name))


def _commit(wanted: Draw, name: str, number: int, table: Any) -> Marker:
    import pyarrow.parquet as pq

    folder = round_folder(wanted.folder, name)
    path = content(folder, task_name(number), ".parquet")
    with wanted.store.writer(path) as sink:
        pq.write_table(table, sink, row_group_size=1024, write_page_checksum=True)
    marker = Marker(table.num_rows, {path: sink.entry()}, {})
    return commit(wanted.store, marker_path(folder, task_name(number)), marker)
