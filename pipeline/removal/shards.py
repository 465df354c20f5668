"""The shards that hold pairs: they are streamed without them, and keep their names.

A sample whose captions lose a text is written anew; every other is copied as it is.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.marker import SAMPLES, Marker
from pairsieve.pipeline.dataset.paths import content, task_name
from pairsieve.pipeline.dataset.shard_names import is_shard_index
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.removal import parquet_shards, samples
from pairsieve.pipeline.removal.groups import BEST, INDICES, TEXTS
from pairsieve.pipeline.removal.replacement import MOVED, Replacement, each
from pairsieve.pipeline.removal.rows import files_in, read_rows
from pairsieve.pipeline.removal.samples import Rest
from pairsieve.pipeline.samples.parquet import SUFFIX
from pairsieve.pipeline.shards.finished import shards_of, told_samples, told_sizes
from pairsieve.pipeline.shards.indexes import INDEX
from pairsieve.pipeline.shards.shard_parts import HISTORY, MANIFEST, SHARD_SHA256
from pairsieve.schemas.columns import ROW, SHARD, SHARD_OFFSET, UID, arrow_schema

SHARDS_AT_ONCE = 64  # whose part of the manifest a task looks through
WRITTEN = "shard"  # in the marker of a shard: its name, checksums, and samples


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Prepares the shards of a selection without the pairs.

    Attributes:
        store: The dataset.
        folder: Of the round.
        name: The selection.
        own: By what name these shards go in `paths`: the selection, or a part of it.
        done: The marker of its shards.
        found: The markers of the blocks in which pairs were found.
        changes: The files of captions that leave keepers.
    """

    store: Store
    folder: str
    name: str
    own: str
    done: Marker
    found: tuple[Marker, ...]
    changes: tuple[str, ...]

    def touched(self, files: Sequence[str]) -> list[str]:
        """Return which of these shards hold such a pair, or a keeper whose captions change."""
        columns = [ROW.name, SHARD.name]
        some = [(SHARD.name, "in", list(files))]
        with self.store.reader(paths.manifest(self.own)) as source:
            table = pq.read_table(source, columns=columns, filters=some)
        rows = table[ROW.name].to_numpy()
        hit = np.isin(rows, read_rows(self.store, files_in(self.found)))
        hit |= np.isin(rows, read_rows(self.store, self.changes))
        return sorted(set(table.filter(pa.array(hit))[SHARD.name].to_pylist()))

    def __call__(self, file: str) -> Marker:
        """Prepare one shard and commit it."""
        path = f"{paths.shards_folder(self.name)}/{file}"
        number = shard_number(file)
        with self.store.reader(paths.manifest(self.own)) as source:
            listed = pq.read_table(source, filters=[(SHARD.name, "=", file)])
        rows = listed[ROW.name].to_numpy()
        gone = np.isin(rows, read_rows(self.store, files_in(self.found)))
        left = listed.filter(pa.array(~gone))
        dropped = set(listed.filter(pa.array(gone))[UID.name].to_pylist())
        changes, best = self._leaving(rows)
        made = content(self.folder, task_name(number), f".{file.rpartition('.')[2]}")
        uids = dict(zip(left[ROW.name].to_pylist(), left[UID.name].to_pylist(), strict=True))
        leaving = {uids[row]: captions for row, captions in changes.items() if row in uids}
        bests = {uids[row]: text for row, text in best.items() if row in uids}
        rest = Rest(frozenset(dropped), leaving, self.done.extra.get(SAMPLES, {}), bests)
        write = parquet_shards.write if file.endswith(SUFFIX) else samples.write
        with self.store.reader(path) as source, self.store.writer(made) as sink:
            offsets = write(source, sink, rest)
        part = _part(left, offsets, sink.entry()["sha256"])
        listing = content(self.folder, task_name(number), ".parquet")
        with self.store.writer(listing) as listed_sink:
            pq.write_table(part, listed_sink)
        new = Replacement(int(gone.sum()), {made: sink.entry(), listing: listed_sink.entry()})
        new.moved[made] = path
        before = self.done.files[path]["sha256"]
        new.extra[WRITTEN] = [file, before, sink.entry()["sha256"], left.num_rows]
        return new.commit(self.store, self.folder, number)

    def _leaving(
        self, rows: NDArray[np.int64]
    ) -> tuple[dict[int, dict[int, str]], dict[int, str | None]]:
        """Return place and text of the captions that leave keepers among these rows, by row.

        And of each the best caption that stays.
        """
        found: dict[int, dict[int, str]] = {}
        best: dict[int, str | None] = {}
        for file in self.changes:
            with self.store.reader(file) as source:
                own = pq.read_table(source, filters=pa.compute.field(ROW.name).isin(rows))
            columns = (own[name].to_pylist() for name in (ROW.name, INDICES, TEXTS, BEST))
            for row, indices, texts, left in zip(*columns, strict=True):
                found[row] = dict(zip(indices, texts, strict=True))
                best[row] = left
        return found, best


def _part(left: pa.Table, offsets: list[int], sha256: str) -> pa.Table:
    """Return the part of the manifest of a shard as it is now."""
    columns = {column.name: left[column.name] for column in MANIFEST}
    columns[SHARD_OFFSET.name] = pa.array(offsets, pa.int64())
    columns[SHARD_SHA256.name] = pa.array([sha256] * left.num_rows, pa.string())
    return pa.table(columns).cast(arrow_schema(MANIFEST))


def shard_number(file: str) -> int:
    """Return the number of a shard, given what the ledger calls it."""
    return int(file.rpartition("/")[2].partition(".")[0])


def prepared_shards(engine: Engine, task: ShardTask) -> list[Marker]:
    """Prepare those shards that change, of one selection or part; return their markers.

    Raises:
        Stopped: a task's process kept dying.
    """
    files = shards_of(task.done, task.name, task.own)
    starts = range(0, len(files), SHARDS_AT_ONCE)
    batches = [files[first : first + SHARDS_AT_ONCE] for first in starts]
    touched = [file for some in each(engine, task.touched, batches) for file in some]
    items = {task_name(shard_number(file)): file for file in sorted(touched)}
    rounds.run(task.store, engine, task.folder, task, items)
    return list(task.store.markers(task.folder).values())


def sharded_without(
    store: Store, folder: str, name: str, done: Marker, changed: Mapping[str, Sequence[Marker]]
) -> Replacement:
    """Return the listings of the parts of a selection and its marker, now that shards are others.

    Args:
        store: The dataset.
        folder: Of the round in which this is prepared.
        name: The selection.
        done: The marker of its shards.
        changed: By the name of each part, what was prepared of its shards.

    Indexes for loaders leave: the next `shard` makes those that are wanted.
    """
    new, taken = Replacement(), 0
    new.old = [file for file in done.files if is_shard_index(file)]
    entries = {file: entry for file, entry in done.files.items() if file not in new.old}
    for own, prepared in changed.items():
        shards = shards_of(done, name, own)
        entries |= _listed(store, (folder, own), prepared, shards, new)
        taken += sum(one.rows for one in prepared)
        for one in prepared:
            ((source, path),) = one.extra[MOVED].items()
            entries[path] = one.files[source]
    extra = {key: value for key, value in done.extra.items() if key != INDEX} | {HISTORY: True}
    rows = done.rows - taken
    counts = done.counts | {"kept": rows}
    marker = replace(done, rows=rows, files=entries, counts=counts, extra=extra)
    new.markers[paths.shard_marker(name)] = marker
    return new


def _listed(
    store: Store,
    where: tuple[str, str],
    prepared: Sequence[Marker],
    shards: Collection[str],
    new: Replacement,
) -> dict[str, dict[str, Any]]:
    """Prepare what lists the shards of a part; return its entries in the marker."""
    folder, own = where
    written = {one.extra[WRITTEN][0]: one for one in prepared}
    sizes = told_sizes(store, own, shards)
    sizes |= {f.rpartition("/")[2]: one.extra[WRITTEN][3] for f, one in written.items()}
    data = json.dumps(sizes, indent=1).encode()
    made = [content(folder, task_name(0), suffix) for suffix in (".list", ".parquet")]
    store.write(made[0], data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    listing = {
        paths.sizes(own): entry,
        paths.manifest(own): _manifest(store, own, made[1], written, shards),
    }
    new.moved |= dict(zip(made, listing, strict=True))
    new.files |= dict(zip(made, listing.values(), strict=True))
    return listing


def _manifest(
    store: Store, own: str, path: str, written: Mapping[str, Marker], shards: Collection[str]
) -> dict[str, Any]:
    """Write the manifest, with the parts of shards that are others; return its entry."""
    left = dict(written)
    with (
        store.writer(path) as sink,
        pq.ParquetWriter(sink, arrow_schema(MANIFEST), compression="zstd") as writer,
    ):
        for shard, table in told_samples(store, own, shards):
            if shard in left:
                with store.reader(_listing(left.pop(shard))) as part:
                    writer.write_table(pq.read_table(part))
            elif shard not in written:
                writer.write_table(table)
    return sink.entry()


def _listing(prepared: Marker) -> str:
    """Return the file of the part of the manifest, given the marker of a shard."""
    (name,) = (name for name in prepared.files if name not in prepared.extra[MOVED])
    return name
