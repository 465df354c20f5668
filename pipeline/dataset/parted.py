"""Parted files: what a task leaves for the tasks of the next round, each its own part.

A part is a table, as a stream of Arrow's; at the end of the file stands where each begins and ends,
and its checksum. So a task reads its part of every such file and nothing else of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.checksums import CHANGED, of_image
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import FILES_AT_ONCE, Store
from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.schemas.errors import Stopped

SUFFIX = ".bin"
DAMAGED = "what a task has left for others is damaged"
_ENTRY_BYTES = 24  # where a part begins and ends, and its checksum
Entries = NDArray[np.uint64]  # (n, 3), these of n parts


class PartedFile(NamedTuple):
    """A parted file: its name, its size in bytes, and how many parts it has."""

    name: str
    bytes: int
    parts: int


def parted_files(markers: Iterable[Marker], parts: int) -> list[PartedFile]:
    """Return the parted files of a round, in the order of its markers."""
    named = (marker.entry(SUFFIX) for marker in markers)
    return [PartedFile(name, entry["bytes"], parts) for name, entry in named]


def split(table: pa.Table, numbers: NDArray[Any], parts: int) -> Iterator[pa.Table]:
    """Yield the rows of each part, in their order; `numbers`, (n,), says in which part each is."""
    if parts == 1:
        yield table
        return
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(parts + 1).astype(numbers.dtype))
    for first, last in pairwise(ends):
        yield table.take(order[first:last])


def cut(table: pa.Table, edges: Iterable[int]) -> Iterator[pa.Table]:
    """Yield the rows from each edge to the next."""
    for first, last in pairwise(edges):
        yield table.slice(first, last - first)


def share(hashes: NDArray[np.uint64], parts: int) -> NDArray[np.uint64]:
    """Return in which of some equal parts of all 64-bit numbers each is, (n,)."""
    return ((hashes >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32)


def write(
    store: Store, path: str, parts: Iterable[pa.Table], compression: Literal["zstd"] | None = "zstd"
) -> HashingWriter:
    """Write a file of these parts; return what wrote it, closed."""
    with store.writer(path) as sink:
        places = []
        for table in parts:
            data, begin = _packed(table, compression), sink.size
            sink.write(data)
            places.append((begin, sink.size, of_image(memoryview(data))))
        sink.write(np.array(places, "<u8"))
    return sink


def read(store: Store, file: PartedFile, number: int, damaged: str = DAMAGED) -> pa.Table:
    """Return one part of a file.

    Raises:
        Stopped: it is damaged, said in these words.
    """
    (table,) = read_some(store, file, entries(store, file, number, 1), damaged)
    return table


def entries(store: Store, file: PartedFile, first: int = 0, count: int | None = None) -> Entries:
    """Return where some consecutive parts of a file are, with their checksums: all by default."""
    count = file.parts - first if count is None else count
    place = file.bytes - _ENTRY_BYTES * (file.parts - first)
    (data,) = store.read_ranges(file.name, [place], [_ENTRY_BYTES * count])
    return np.frombuffer(data, "<u8").reshape(-1, 3)


def read_some(
    store: Store, file: PartedFile, some: Entries, damaged: str = DAMAGED
) -> list[pa.Table]:
    """Return the parts of a file that have these entries, in one request.

    Raises:
        Stopped: one is damaged, said in these words.
    """
    firsts, lasts, checksums = some.T.tolist()
    whole = all(first <= last <= file.bytes for first, last in zip(firsts, lasts, strict=True))
    lengths = [last - first for first, last in zip(firsts, lasts, strict=True)]
    found = store.read_ranges(file.name, firsts, lengths) if whole and firsts else []
    if not whole or [of_image(data) for data in found] != checksums:
        raise Stopped(f"{store.location(file.name)}: {damaged}: {CHANGED}; {store.remedy}")
    return [pa.ipc.open_stream(data).read_all() for data in found]


def read_all(
    store: Store, files: Sequence[PartedFile], number: int, damaged: str = DAMAGED
) -> pa.Table:
    """Return the part `number` of every file, one after the other.

    Raises:
        Stopped: one is damaged.
    """
    return pa.concat_tables(read_each(store, files, number, damaged))


def read_each(
    store: Store, files: Sequence[PartedFile], number: int, damaged: str = DAMAGED
) -> list[pa.Table]:
    """Return the part `number` of each file.

    Raises:
        Stopped: one is damaged.
    """
    with ThreadPoolExecutor(min(FILES_AT_ONCE, len(files))) as pool:
        return list(pool.map(lambda file: read(store, file, number, damaged), files))


def _packed(table: pa.Table, compression: Literal["zstd"] | None) -> pa.Buffer:
    """Return a table as a stream of Arrow's."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()
