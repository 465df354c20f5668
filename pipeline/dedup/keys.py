"""Keys: which images have the same file, and which pairs were in an earlier row.

Two rounds. The first parts the keys of each block: the SHA-256 and the uid, as the 64-bit words
that their hex digits stand for. In the second a task has all keys that begin alike, sorts them by
their first word, and compares all words of those that share it; so the result is exact.

Beside them the first round leaves row and pHash of every image of its block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.paths import content, marker_path, round_folder, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.hamming import labels
from pairsieve.pipeline.hamming.labels import UnionFindLabels
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.schemas.columns import (
    ORIENTATION_HASHES,
    OUTCOME,
    PERCEPTUAL_HASH,
    ROW,
    SHA256,
    UID,
    Column,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_group import Group

WORDS = {SHA256: 4, UID: 2}  # of 64 bits
FIRST = "first"  # in a marker of the first round: the first row of the block
_DIGITS = 16  # of a word

Words = NDArray[np.uint64]  # (n, words)
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rounds:
    """What the tasks of all rounds need.

    Attributes:
        store: The dataset.
        folder: Where the rounds are.
        options: How copies are found.
        distance: Largest distance of two pHashes, bits.
        partitions: Of the keys of each kind.
        threads: Of a task; None for all that there are.
    """

    store: Store
    folder: str
    options: Group
    distance: int
    partitions: int
    threads: int | None

    def of(self, name: str) -> str:
        """Return the folder of a round."""
        return round_folder(self.folder, name)

    @property
    def images(self) -> int:
        """Return which part of a file of keys has row and pHash of every image."""
        return len(WORDS) * self.partitions

    def new(self, name: str, number: int, suffix: str = parted.SUFFIX) -> str:
        """Return a new name for the file of a task of a round."""
        return content(self.of(name), task_name(number), suffix)

    def commit(self, name: str, number: int, marker: Marker) -> Marker:
        """Commit a task of a round."""
        return commit(self.store, marker_path(self.of(name), task_name(number)), marker)


def scatter(rounds: Rounds, block: Block) -> Marker:
    """Part the keys of the images of a block; of each the latest retry layer is read."""
    names = [column.name for column in (OUTCOME, SHA256, UID, PERCEPTUAL_HASH, ORIENTATION_HASHES)]
    read = names if rounds.options.compared else names[:-1]
    table = block_table(block.store, block.files, read, block.threads)
    first = table[ROW.name][0].as_py() if len(table) else None
    images = table.filter(pc.equal(_column(table, OUTCOME), str(Outcome.OK)))
    path = rounds.new("keys", block.number)
    sink = parted.write(block.store, path, _parts(images, rounds), compression=None)
    marker = Marker(len(images), {path: sink.entry()}, {}, {FIRST: first})
    return rounds.commit("keys", block.number, marker)


def _parts(images: pa.Table, rounds: Rounds) -> Iterator[pa.Table]:
    """Yield the keys of each kind by partition, and then row and hashes of every image."""
    for column, count in WORDS.items():
        known = images.filter(pc.is_valid(_column(images, column)))
        table = pa.table({ROW.name: known[ROW.name]})
        keys = words(_column(known, column), count)
        for place in range(count):
            table = table.append_column(
                f"word{place}", pa.array(np.ascontiguousarray(keys[:, place]))
            )
        yield from parted.split(
            table, parted.share(keys[:, 0], rounds.partitions), rounds.partitions
        )
    hashes = [PERCEPTUAL_HASH, *[ORIENTATION_HASHES] * bool(rounds.options.compared)]
    yield pa.table({ROW.name: images[ROW.name]} | {c.name: _column(images, c) for c in hashes})


def _column(table: pa.Table, column: Column) -> pa.ChunkedArray:
    """Return a column, of nulls where the table lacks it."""
    if column.name in table.column_names:
        return table[column.name].cast(column.type)
    return pa.chunked_array([pa.nulls(len(table), column.type)])


def words(texts: pa.ChunkedArray, count: int) -> Words:
    """Return the numbers that texts of so many times 16 hex digits stand for, (n, count).

    A text of another form has those of its BLAKE2b digest.
    """
    column = pa.concat_arrays(
        texts.cast(pa.large_string()).chunks or [pa.array([], pa.large_string())]
    )
    found = np.zeros((len(column), count), np.uint64)
    if not len(column):
        return found
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    characters = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    for index in np.flatnonzero(~_read_hex()(starts, characters, _values(), found)).tolist():
        digest = blake2b(column[index].as_py().encode(), digest_size=8 * count).digest()
        found[index] = np.frombuffer(digest, ">u8")
    return found


@cache
def _values() -> NDArray[np.uint64]:
    """Return the value of every character as a hex digit, 16 for what is none, (256,)."""
    found = np.full(256, 16, np.uint64)
    for value, digit in enumerate(b"0123456789abcdef"):
        found[digit] = value
    return found


@cache
def _read_hex() -> Any:
    """Return the compiled function that reads words; numba is imported where it is used."""
    from pairsieve.pipeline.dedup.hex_words import read_hex

    return read_hex


def compare(rounds: Rounds, files: Sequence[PartedFile], starts: Ints, number: int) -> Marker:
    """Find the equal keys of one partition of one kind, and commit them.

    Of files these are union-find labels; of uids the rows that repeat an earlier one, by block.
    """
    kind, _ = divmod(number, rounds.partitions)
    equal = _equal(parted.read_all(rounds.store, files, number))
    if list(WORDS)[kind] == SHA256:
        path = marker_path(rounds.of("equal"), task_name(number))
        return labels.write(rounds.store, path, equal, {})
    path = rounds.new("equal", number)
    sink = parted.write(rounds.store, path, by_block(pa.table({ROW.name: equal.rows}), starts))
    return rounds.commit("equal", number, Marker(len(equal.rows), {path: sink.entry()}))


def _equal(table: pa.Table) -> UnionFindLabels:
    """Return the rows that have the key of an earlier one, and the first that has it."""
    rows, *parts = (column.to_numpy() for column in table.columns)
    order = np.argsort(parts[0], kind="stable")
    same = np.diff(parts[0][order]) == 0
    shared = np.append(same, False) | np.append(False, same)
    suspects = np.sort(order[shared[: len(order)]])
    found = suspects[np.lexsort([part[suspects] for part in reversed(parts)])]
    differs = [part[found][1:] != part[found][:-1] for part in parts]
    begins = np.append(True, np.any(differs, axis=0))[: len(found)]
    firsts = np.maximum.accumulate(np.where(begins, np.arange(len(found)), 0))
    again = np.sort(np.flatnonzero(~begins))
    by_row = np.argsort(rows[found[again]])
    return UnionFindLabels(rows[found[again]][by_row], rows[found[firsts[again]]][by_row])


def first_rows(markers: Sequence[Marker]) -> Ints:
    """Return the first row of each block, (blocks,), given the markers of the first round."""
    known = [marker.extra[FIRST] for marker in markers]
    found = np.array([np.iinfo(np.int64).max if row is None else row for row in known])
    return np.minimum.accumulate(found[::-1])[::-1]


def by_block(table: pa.Table, starts: Ints) -> Iterator[pa.Table]:
    """Yield the rows of each block of a table that is sorted by row, given their first rows."""
    edges = np.searchsorted(table[ROW.name].to_numpy(), starts).tolist()
    edges[0] = 0
    for first, last in zip(edges, [*edges[1:], len(table)], strict=True):
        yield table.slice(first, last - first)
