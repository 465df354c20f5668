"""The shards that hold pairs: they are streamed without them, and keep their names.

A sample whose captions lose a text is written anew; every other is copied as it is.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.removal.groups import INDICES
from pairsieve.pipeline.removal.replacement import Replacement
from pairsieve.pipeline.removal.rows import files_in, read_rows
from pairsieve.pipeline.shards.sample_tar import header, tar_bytes
from pairsieve.pipeline.shards.shard_parts import MANIFEST, SHARD_SHA256
from pairsieve.schemas.columns import CAPTIONS, ROW, SHARD, SHARD_OFFSET, UID, arrow_schema

SHARDS_AT_ONCE = 64  # whose part of the manifest a task looks through
BLOCK = tarfile.BLOCKSIZE
JSON = ".json"
WRITTEN = "shard"  # in the marker of a shard: its name, checksums, and samples


class Member(NamedTuple):
    """A file of a sample in a tar: its name, and header, content and zeros as they stand there."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ShardTask:
    """Prepares the shards of a selection without the pairs.

    Attributes:
        store: The dataset.
        folder: Of the round.
        name: The selection.
        done: The marker of its shards.
        found: The markers of the blocks in which pairs were found.
        changes: The files of captions that leave keepers.
    """

    store: Store
    folder: str
    name: str
    done: Marker
    found: tuple[Marker, ...]
    changes: tuple[str, ...]

    def touched(self, files: Sequence[str]) -> list[str]:
        """Return which of these shards hold such a pair, or a keeper whose captions change."""
        columns = [ROW.name, SHARD.name]
        some = [(SHARD.name, "in", list(files))]
        with self.store.reader(paths.manifest(self.name)) as source:
            table = pq.read_table(source, columns=columns, filters=some)
        rows = table[ROW.name].to_numpy()
        hit = np.isin(rows, read_rows(self.store, files_in(self.found)))
        hit |= np.isin(rows, read_rows(self.store, self.changes))
        return sorted(set(table.filter(pa.array(hit))[SHARD.name].to_pylist()))

    def __call__(self, file: str) -> Marker:
        """Prepare one shard and commit it."""
        number = int(file.partition(".")[0])
        with self.store.reader(paths.manifest(self.name)) as source:
            listed = pq.read_table(source, filters=[(SHARD.name, "=", file)])
        rows = listed[ROW.name].to_numpy()
        gone = np.isin(rows, read_rows(self.store, files_in(self.found)))
        left = listed.filter(pa.array(~gone))
        dropped = set(listed.filter(pa.array(gone))[UID.name].to_pylist())
        changes = self._leaving(rows)
        path = f"{paths.shards_folder(self.name)}/{file}"
        made = content(self.folder, task_name(number), ".tar")
        offsets = []
        left_rows = iter(left[ROW.name].to_pylist())
        with self.store.reader(path) as source, self.store.writer(made) as sink:
            for key, members in _samples(source):
                if key not in dropped:
                    offsets.append(sink.size)
                    leaving = changes.get(next(left_rows), set())
                    for member in members:
                        sink.write(_recaptioned(member, leaving).data)
            sink.write(bytes(tar_bytes(sink.size) - sink.size))
        part = _part(left, offsets, sink.entry()["sha256"])
        listing = content(self.folder, task_name(number), ".parquet")
        with self.store.writer(listing) as listed_sink:
            pq.write_table(part, listed_sink)
        new = Replacement(int(gone.sum()), {made: sink.entry(), listing: listed_sink.entry()})
        new.moved[made] = path
        before = self.done.files[path]["sha256"]
        new.extra[WRITTEN] = [file, before, sink.entry()["sha256"], left.num_rows]
        return new.commit(self.store, self.folder, number)

    def _leaving(self, rows: NDArray[np.int64]) -> dict[int, set[int]]:
        """Return the indices of the captions that leave keepers among these rows, by row."""
        found: dict[int, set[int]] = {}
        for file in self.changes:
            with self.store.reader(file) as source:
                own = pq.read_table(source, filters=pa.compute.field(ROW.name).isin(rows))
            columns = (own[name].to_pylist() for name in (ROW.name, INDICES))
            found |= {row: set(indices) for row, indices in zip(*columns, strict=True)}
        return found


def _samples(source: Any) -> Iterator[tuple[str, list[Member]]]:
    """Yield key and files of the samples of a tar; files that follow each other with one key."""
    key, members = "", list[Member]()
    while (head := source.read(BLOCK)) != bytes(BLOCK):
        info = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        body = source.read(-(-info.size // BLOCK) * BLOCK)
        own = info.name.partition(".")[0]
        if own != key and members:
            yield key, members
            members = []
        key = own
        members.append(Member(info.name, head + body))
    if members:
        yield key, members


def _recaptioned(member: Member, leaving: set[int]) -> Member:
    """Return a file of a sample, of its JSON the captions without those that leave."""
    if not leaving or not member.name.endswith(JSON):
        return member
    size = tarfile.TarInfo.frombuf(member.data[:BLOCK], "utf-8", "surrogateescape").size
    sample = json.loads(member.data[BLOCK : BLOCK + size])
    captions = sample.get(CAPTIONS.name)
    if not captions:
        return member
    sample[CAPTIONS.name] = [text for n, text in enumerate(captions) if n not in leaving]
    body = json.dumps(sample, ensure_ascii=False).encode()
    padding = bytes(-len(body) % BLOCK)
    return Member(member.name, header(member.name, len(body)) + body + padding)


def _part(left: pa.Table, offsets: list[int], sha256: str) -> pa.Table:
    """Return the part of the manifest of a shard as it is now."""
    columns = {column.name: left[column.name] for column in MANIFEST}
    columns[SHARD_OFFSET.name] = pa.array(offsets, pa.int64())
    columns[SHARD_SHA256.name] = pa.array([sha256] * left.num_rows, pa.string())
    return pa.table(columns).cast(arrow_schema(MANIFEST))


def sharded_without(
    store: Store, name: str, folder: str, done: Marker, prepared: Sequence[Marker]
) -> Replacement:
    """Return the listings of all shards and their marker, now that some shards are others."""
    written = {one.extra[WRITTEN][0]: one for one in prepared}
    sizes = json.loads(store.read(paths.sizes(name)))
    sizes |= {file: one.extra[WRITTEN][3] for file, one in written.items()}
    data = json.dumps(sizes, indent=1).encode()
    made = [content(folder, task_name(0), suffix) for suffix in (".list", ".parquet")]
    store.write(made[0], data)
    entries: dict[str, dict[str, Any]] = {
        paths.sizes(name): {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        paths.manifest(name): _manifest(store, name, made[1], written),
    }
    new = Replacement(moved=dict(zip(made, (paths.sizes(name), paths.manifest(name)), strict=True)))
    new.files = dict(zip(made, entries.values(), strict=True))
    for one in prepared:
        ((source, path),) = one.extra["moved"].items()
        entries[path] = one.files[source]
    rows = sum(sizes.values())
    counts = done.counts | {"kept": rows}
    marker = replace(done, rows=rows, files=done.files | entries, counts=counts)
    new.markers[paths.shard_marker(name)] = marker
    return new


def _manifest(store: Store, name: str, path: str, written: Mapping[str, Marker]) -> dict[str, Any]:
    """Write the manifest, with the parts of shards that are others; return its entry."""
    left = dict(written)
    with (
        store.reader(paths.manifest(name)) as source,
        store.writer(path) as sink,
        pq.ParquetWriter(sink, arrow_schema(MANIFEST), compression="zstd") as writer,
    ):
        old = pq.ParquetFile(source)
        for group in range(old.num_row_groups):  # each is of one shard
            table = old.read_row_group(group)
            shard = table[SHARD.name][0].as_py()
            if shard in left:
                with store.reader(left.pop(shard).file(".parquet")) as part:
                    writer.write_table(pq.read_table(part))
            elif shard not in written:
                writer.write_table(table)
    return sink.entry()
