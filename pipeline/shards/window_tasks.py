"""The work on one window: its shards, from stored images that are read once, in order.

First the records of its units are made and laid aside on the disk. Their sizes say where in which
shard each sample stands; so its image, when its turn comes in the gathered tar, is written to its
place in a file per shard. In memory are some numbers per sample and the records of one unit. Where
that file is not yet the shard, since it is no tar or images become smaller, only images are written
to it, and the shard is made of them and the records afterwards.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import SCRATCH
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import storage_errors
from pairsieve.pipeline.ledger.files import LedgerFiles
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.samples.layout import SAMPLE, TarLayout
from pairsieve.pipeline.samples.sample_tar import Bytes, tar_bytes
from pairsieve.pipeline.shards.images import in_order
from pairsieve.pipeline.shards.records import HIGH, LOW, SIZE, Content, records, seeded_order
from pairsieve.pipeline.shards.shard_parts import Samples, ShardsOf
from pairsieve.pipeline.shards.window_order import Window
from pairsieve.schemas.columns import IMAGE_BYTES, ROW, UID

SAMPLES_AT_ONCE = 256  # samples of which a shard is made together, where it is made afterwards
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WindowPacker:
    """Makes the shards of windows.

    Attributes:
        store: The dataset.
        shards: Which shards.
        content: What samples hold.
        threads: Threads of a task, None for as many as there are processors.
    """

    store: Store
    shards: ShardsOf
    content: Content
    threads: int | None

    def __call__(self, window: Window) -> list[Marker]:
        """Make the shards of a window and commit each."""
        with (
            tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self.store.local) as folder,
            storage_errors(folder),
        ):
            return self._made(window, Path(folder))

    @property
    def _in_place(self) -> TarLayout | None:
        """Return the layout if samples can be written to their places; else they are afterwards."""
        layout = self.content.layout
        return layout if isinstance(layout, TarLayout) and not self.content.smaller else None

    def _made(self, window: Window, folder: Path) -> list[Marker]:
        laid = [self._lay_aside(unit, folder, n) for n, unit in enumerate(window.units)]
        table = pa.concat_tables(laid).combine_chunks()
        places = Places.of(table, window.sizes)
        first = 0
        for number, part in enumerate(laid):
            self._write(folder, number, places.of_samples(first, first + len(part)))
            first += len(part)
        commit = self._commit if self._in_place else self._commit_afterwards
        return [commit(folder, window, shard, places, table) for shard in window.shards]

    def _lay_aside(self, unit: LedgerFiles, folder: Path, number: int) -> pa.Table:
        """Write the records of a unit to the disk; return what is needed to put them in order."""
        block = Block(number, self.store, unit, self.threads)
        table = records(block, self.content)
        path = str(_aside(folder, number))
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return table.select([HIGH, LOW, ROW.name, UID.name, SIZE, IMAGE_BYTES.name])

    def _write(self, folder: Path, number: int, places: "Places") -> None:
        """Write the samples of a unit to their places, or their images alone."""
        with pa.memory_map(str(_aside(folder, number))) as source:
            table = pa.ipc.open_file(source).read_all()
            paths = [str(_shard(folder, shard)) for shard in range(len(places.firsts) - 1)]
            layout = self._in_place
            columns = zip(*(table[name].to_pylist() for name in SAMPLE), strict=True)
            samples = list(columns) if layout else []
            for index, image in in_order(self.store, table):
                parts = layout.parts(samples[index], image) if layout else [image]
                _put(paths[places.shards[index]], parts, int(places.offsets[index]))

    def _commit(
        self, folder: Path, window: Window, shard: int, places: "Places", table: pa.Table
    ) -> Marker:
        """Put a finished file into the dataset and commit it."""
        number = shard - window.shard
        members = places.members(number)
        offsets = places.offsets[members]
        path = _shard(folder, number)
        os.truncate(path, tar_bytes(int(offsets[-1] + places.sizes[members[-1]])))
        entry = self.store.adopt(path, self.shards.file(shard))
        return self._committed(shard, entry, table.take(members), offsets)

    def _commit_afterwards(
        self, folder: Path, window: Window, shard: int, places: "Places", table: pa.Table
    ) -> Marker:
        """Make a shard of the images that were put down and the records; commit it."""
        number = shard - window.shard
        members = places.members(number)
        some = table.take(members)
        at = zip(places.offsets[members], some[IMAGE_BYTES.name].to_pylist(), strict=True)
        located = [(int(offset), int(size)) for offset, size in at]
        path, offsets = _shard(folder, number), list[int]()
        laid = _Laid(folder, len(window.units))
        with (
            self.store.writer(self.shards.file(shard)) as sink,
            self.content.layout.writing(sink) as writer,
            path.open("rb") as source,
        ):
            for first in range(0, len(members), SAMPLES_AT_ONCE):
                last = first + SAMPLES_AT_ONCE
                images = [_read(source, *one) for one in located[first:last]]
                of = laid.records(members[first:last])
                offsets += writer.write(of, self.content.images(images))
        path.unlink()
        return self._committed(shard, sink.entry(), some, offsets)

    def _committed(
        self, shard: int, entry: dict[str, Any], some: pa.Table, offsets: Sequence[int] | Numbers
    ) -> Marker:
        samples = Samples(some[ROW.name].to_numpy(), some[UID.name].to_pylist(), offsets)
        return self.shards.commit(self.store, shard, entry, samples)


class _Laid:
    """The records of a window that were laid aside, mapped into memory."""

    def __init__(self, folder: Path, units: int) -> None:
        paths = (str(_aside(folder, number)) for number in range(units))
        self._tables = [pa.ipc.open_file(pa.memory_map(path)).read_all() for path in paths]
        self._ends = np.cumsum([len(table) for table in self._tables])

    def records(self, indices: Numbers) -> pa.Table:
        """Return the records at some indices of the window, in that order."""
        of_unit = np.searchsorted(self._ends, indices, side="right")
        order = np.argsort(of_unit, kind="stable")
        parts = []
        for unit in np.unique(of_unit):
            table = self._tables[unit]
            first = self._ends[unit] - len(table)
            parts.append(table.take(indices[of_unit == unit] - first))
        return pa.concat_tables(parts).take(np.argsort(order))


@dataclass(frozen=True, slots=True)
class Places:
    """Where samples stand.

    Attributes:
        order: Their indices in the order of the shards, (n,).
        firsts: Where in that order each shard begins, and the end, (shards + 1,).
        shards: In which shard of the window each is, from 0, (n,).
        offsets: Where in the tar each begins, bytes, (n,).
        sizes: How many bytes each has, (n,).
    """

    order: Numbers
    firsts: Sequence[int]
    shards: Numbers
    offsets: Numbers
    sizes: Numbers

    def members(self, shard: int) -> Numbers:
        """Return the indices of the samples of a shard of the window, in order, (n,)."""
        return self.order[self.firsts[shard] : self.firsts[shard + 1]]

    @classmethod
    def of(cls, table: pa.Table, sizes: Sequence[int]) -> "Places":
        """Return the places of samples in shards of these sizes, samples."""
        order = seeded_order(table)
        size = table[SIZE].to_numpy()
        firsts = [0, *accumulate(sizes)]
        shards, offsets = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
        for shard, (first, count) in enumerate(zip(firsts, sizes, strict=False)):
            members = order[first : first + count]
            shards[members] = shard
            offsets[members] = np.cumsum(size[members]) - size[members]
        return cls(order, firsts, shards, offsets, size)

    def of_samples(self, first: int, last: int) -> "Places":
        """Return the places of some samples that follow one another."""
        some = slice(first, last)
        return Places(
            self.order, self.firsts, self.shards[some], self.offsets[some], self.sizes[some]
        )


def _aside(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.arrow"


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.tar"


def _read(source: BinaryIO, offset: int, size: int) -> bytes:
    source.seek(offset)
    return source.read(size)


def _put(path: str, parts: Sequence[Bytes], offset: int) -> None:
    """Write one after the other at a place of a file; there may be too many shards to keep open."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        expected = sum(map(len, parts))
        written = os.pwritev(file, parts, offset)
        while written < expected:
            rest = memoryview(b"".join(parts))[written:]
            written += os.pwrite(file, rest, offset + written)
    finally:
        os.close(file)
