"""Keys: which images have the same file, and which pairs were in an earlier row.

Two rounds. The first parts the keys of each block: the SHA-256 and the uid, as the 64-bit words
that their hex digits stand for. In the second a task has all keys that begin alike, sorts them by
their first word, and compares all words of those that share it; so the result is exact.

Beside them the first round leaves row and pHash of every image of its block.
"""

import binascii
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

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
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.schemas.columns import (
    CENTRE_HASH,
    ORIENTATION_HASHES,
    OUTCOME,
    PERCEPTUAL_HASH,
    ROW,
    SHA256,
    TRIMMED_HASHES,
    UID,
    Column,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_group import Group

if TYPE_CHECKING:
    from pairsieve.pipeline.hamming.labels import UnionFindLabels

WORDS = {SHA256: 4, UID: 2}  # of 64 bits
FIRST = "first"  # in a marker of the first round: the first row of the block
DIGITS = 16  # of a word

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
        grown: The first row of each later addition to the input.
    """

    store: Store
    folder: str
    options: Group
    distance: int
    partitions: int
    threads: int | None
    grown: tuple[int, ...] = ()

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


def compared(options: Group) -> tuple[Column, ...]:
    """Return the columns that `of_images` reads."""
    return (OUTCOME, SHA256, UID, *searched(options))


def of_images(options: Group, table: pa.Table) -> list[pa.Table]:
    """Return the keys of each kind, and row and hashes, of the images among some rows."""
    images = table.filter(pc.equal(column_of(table, OUTCOME), str(Outcome.OK)))
    return [*_keys(images), _hashes(images, options)]


def write(
    rounds: Rounds, block: Block, found: Sequence[Sequence[pa.Table]], first: int | None
) -> Marker:
    """Part the keys of the images of a block, as `of_images` gives them, and commit them.

    `first` is the first row of the block, None where it has none.
    """
    tables = [pa.concat_tables(tables) for tables in zip(*found, strict=True)]
    path = rounds.new("keys", block.number)
    sink = parted.write(block.store, path, _parts(tables, rounds.partitions), compression=None)
    marker = Marker(len(tables[-1]), {path: sink.entry()}, {}, {FIRST: first})
    return rounds.commit("keys", block.number, marker)


def _keys(images: pa.Table) -> Iterator[pa.Table]:
    """Yield `row` and the words of the keys of each kind."""
    for column, count in WORDS.items():
        known = images.filter(pc.is_valid(column_of(images, column)))
        keys = words(column_of(known, column), count)
        yield pa.table(
            {ROW.name: known[ROW.name]}
            | {f"word{place}": np.ascontiguousarray(keys[:, place]) for place in range(count)}
        )


def _hashes(images: pa.Table, options: Group) -> pa.Table:
    """Return `row` and the pHashes of every image."""
    hashes = {column.name: column_of(images, column) for column in searched(options)}
    return pa.table({ROW.name: images[ROW.name]} | hashes)


def searched(options: Group) -> tuple[Column, ...]:
    """Return the columns whose pHashes are searched."""
    wanted = {
        PERCEPTUAL_HASH: True,
        TRIMMED_HASHES: "borders" in options.edits,
        CENTRE_HASH: "crops" in options.edits,
        ORIENTATION_HASHES: bool(options.compared),
    }
    return tuple(column for column, yes in wanted.items() if yes)


def _parts(tables: list[pa.Table], partitions: int) -> Iterator[pa.Table]:
    """Yield the keys of each kind by partition, and then the hashes."""
    *keys, hashes = tables
    for table in keys:
        yield from parted.split(
            table, parted.share(table["word0"].to_numpy(), partitions), partitions
        )
    yield hashes


def column_of(table: pa.Table, column: Column) -> pa.ChunkedArray:
    """Return a column, of nulls where the table lacks it."""
    if column.name in table.column_names:
        return table[column.name].cast(column.type)
    return pa.chunked_array([pa.nulls(len(table), column.type)])


def words(texts: pa.ChunkedArray, count: int) -> Words:
    """Return the numbers that texts of so many times 16 hex digits stand for, (n, count).

    A text of another form has those of its BLAKE2b digest.
    """
    column = pa.concat_arrays(
        [pa.array([], pa.large_string()), *texts.cast(pa.large_string()).chunks]
    )
    regular = pc.all(pc.equal(pc.binary_length(column), DIGITS * count)).as_py()
    _, offsets, data = column.buffers()
    if regular and len(column):
        first, last = np.frombuffer(offsets, np.int64)[[column.offset, column.offset + len(column)]]
        digits = data.slice(first, last - first).to_pybytes()
        with suppress(binascii.Error):
            found = binascii.unhexlify(digits)
            if binascii.hexlify(found) == digits:
                return np.frombuffer(found, ">u8").astype(np.uint64).reshape(-1, count)
    each = [_words(text, count) for text in column.to_pylist()]
    return np.array(each, np.uint64).reshape(-1, count)


def _words(text: str, count: int) -> NDArray[np.uint64]:
    """Return the words of one text."""
    digits = text if re.fullmatch(f"[0-9a-f]{{{DIGITS * count}}}", text) else _digest(text, count)
    return np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)


def _digest(text: str, count: int) -> str:
    return blake2b(text.encode(), digest_size=8 * count).hexdigest()


def compare(rounds: Rounds, files: Sequence[PartedFile], starts: Ints, number: int) -> Marker:
    """Find the equal keys of one partition of one kind, and commit them.

    Of files these are union-find labels; of uids the rows that repeat an earlier one, by block.
    """
    kind, _ = divmod(number, rounds.partitions)
    equal = _equal(parted.read_all(rounds.store, files, number))
    if list(WORDS)[kind] == SHA256:
        from pairsieve.pipeline.hamming import labels

        path = marker_path(rounds.of("equal"), task_name(number))
        return labels.write(rounds.store, path, equal, {})
    path = rounds.new("equal", number)
    sink = parted.write(rounds.store, path, by_block(pa.table({ROW.name: equal.rows}), starts))
    return rounds.commit("equal", number, Marker(len(equal.rows), {path: sink.entry()}))


def _equal(table: pa.Table) -> "UnionFindLabels":
    """Return the rows that have the key of an earlier one, and the first that has it."""
    from pairsieve.pipeline.hamming.labels import UnionFindLabels

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
    edges = np.searchsorted(table[ROW.name].to_numpy(), starts[1:]).tolist()
    yield from parted.cut(table, [0, *edges, len(table)])
