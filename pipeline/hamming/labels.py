"""Union-find labels: which of many rows belong together, when no machine need hold all rows.

Labels say of each row that is in a component with a smaller one which row is the smallest. Rows
that stand alone, and smallest rows, have none: so their size is that of what has a neighbour, and
joining labels needs memory for that alone. Joining is the same whatever the order, and what comes
out depends on the components only.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import beside
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.hamming.popcount import popcount
from pairsieve.pipeline.hamming.union_find import Labels, Parents, flatten, unite

CHUNK = 20  # bits of a row within a chunk of rows
WORD = 6  # bits of a row within a word
Bits = NDArray[np.uint64]


class UnionFindLabels(NamedTuple):
    """Rows, ascending, and the smallest row of each one's component, smaller than itself.

    Attributes:
        rows: int64 (k,).
        labels: int64 (k,).
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def positions(self, rows: NDArray[np.int64]) -> Labels:
        """Return for each of `rows`, ascending, where the smallest of its component is, (n,).

        All labelled rows are among them.
        """
        positions = np.arange(len(rows))
        positions[np.searchsorted(rows, self.rows)] = np.searchsorted(rows, self.labels)
        return positions


def labels_of(parents: Parents, rows: NDArray[np.int64]) -> UnionFindLabels:
    """Return the labels of a grouping of `rows`, ascending; `parents` is flattened for it.

    A row may be there several times; it may then have several labels.
    """
    flatten(parents)
    joined = np.flatnonzero(rows != rows[parents])
    return UnionFindLabels(rows[joined], rows[parents[joined]])


class Forest(NamedTuple):
    """All rows in some sets of labels, those of smallest rows too, and their components.

    Attributes:
        rows: int64 (k,), ascending.
        roots: uint32 (k,), where the smallest row of each one's component is among them.
    """

    rows: NDArray[np.int64]
    roots: Parents

    def labels(self) -> UnionFindLabels:
        """Return it as labels."""
        joined = np.flatnonzero(self.roots != np.arange(len(self.roots), dtype=np.uint32))
        return UnionFindLabels(self.rows[joined], self.rows[self.roots[joined]])


def merged(sets: Callable[[], Iterable[UnionFindLabels]]) -> Forest:
    """Return what is joined in any of these sets, which are gone through three times.

    Memory: 12 bytes per row that is in any, a bit per row of the dataset, and one of the sets.
    """
    chunks = np.empty(0, np.int64)
    for rows in _ends(sets()):
        chunks = np.union1d(chunks, rows >> CHUNK)
    bits = np.zeros(len(chunks) << (CHUNK - WORD), np.uint64)
    for rows in _ends(sets()):
        _mark(bits, chunks, rows)
    ranks = _ranks(bits)
    parents = np.arange(ranks[-1], dtype=np.uint32)
    for each in sets():
        unite(parents, np.stack([_indices(bits, ranks, chunks, rows) for rows in each], axis=1))
    flatten(parents)
    return Forest(_rows(bits, ranks, chunks), parents)


def _ends(sets: Iterable[UnionFindLabels]) -> Iterator[NDArray[np.int64]]:
    for each in sets:
        yield from each


@compiled
def _place(chunks: NDArray[np.int64], row: int) -> int:
    """Return the number of the bit that stands for a row; only chunks with rows have bits."""
    return (int(np.searchsorted(chunks, row >> CHUNK)) << CHUNK) | (row & ((1 << CHUNK) - 1))


@compiled
def _mark(bits: Bits, chunks: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """Set the bits of these rows."""
    for index in range(len(rows)):
        place = _place(chunks, rows[index])
        bits[place >> WORD] |= np.uint64(1) << np.uint64(place & 63)


@compiled
def _ranks(bits: Bits) -> NDArray[np.uint32]:
    """Return how many bits are set before each word, and in all, (words + 1,)."""
    found = np.zeros(len(bits) + 1, np.uint32)
    for word in range(len(bits)):
        found[word + 1] = found[word] + popcount(bits[word])
    return found


@compiled
def _indices(
    bits: Bits, ranks: NDArray[np.uint32], chunks: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Return where each row is among all whose bits are set, (n,)."""
    found = np.empty(len(rows), np.uint32)
    for index in range(len(rows)):
        place = _place(chunks, rows[index])
        before = bits[place >> WORD] & ((np.uint64(1) << np.uint64(place & 63)) - np.uint64(1))
        found[index] = ranks[place >> WORD] + popcount(before)
    return found


@compiled
def _rows(bits: Bits, ranks: NDArray[np.uint32], chunks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows whose bits are set, ascending."""
    found = np.empty(ranks[-1], np.int64)
    count = 0
    for word in range(len(bits)):
        left = bits[word]
        while left:
            place = (word << WORD) | popcount((left & (~left + np.uint64(1))) - np.uint64(1))
            found[count] = (chunks[place >> CHUNK] << CHUNK) | (place & ((1 << CHUNK) - 1))
            left &= left - np.uint64(1)
            count += 1
    return found


def write(
    store: Store, commit_path: str, labels: UnionFindLabels, counts: dict[str, int]
) -> Marker:
    """Write labels beside their marker, commit, and return the marker that holds."""
    import pyarrow.parquet as pq

    path = beside(commit_path, ".parquet")
    table = pa.table({"row": labels.rows, "label": labels.labels})
    with store.writer(path) as sink:
        pq.write_table(
            table,
            sink,
            compression="zstd",
            use_dictionary=False,
            column_encoding={"row": "DELTA_BINARY_PACKED", "label": "PLAIN"},
        )
    counts = counts | {"joined": len(labels.rows)}
    return commit(store, commit_path, Marker(len(labels.rows), {path: sink.entry()}, counts))


def read_each(store: Store, paths: Iterable[str]) -> Iterator[UnionFindLabels]:
    """Yield the labels at each path."""
    return (read(store, path) for path in paths)


def read(store: Store, path: str) -> UnionFindLabels:
    """Return the labels that `write` put at `path`."""
    import pyarrow.parquet as pq

    with store.reader(path) as source:
        table = pq.read_table(source)
    return UnionFindLabels(table["row"].to_numpy(), table["label"].to_numpy())
