"""The image vectors nearest to a query: all compared up to a million rows, by an index above.

Comparing all reads every vector once, a unit at a time. The index is faiss's IVF-PQ: vectors lie
in lists around centres, as short codes; a query looks into the nearest lists only. What the codes
call nearest is compared once more with the stored vectors, so every cosine returned is the true
one; what the index costs is that some of the nearest are missed. It is built once and kept in the
dataset with a fingerprint of the files that it was built from.

Measured: a million drawn vectors of 512 dimensions, the 20 nearest to each of 100 queries: all of
them where queries lie as the images do, 99 % where they lie as texts do, far from every image and
nearly as far from most (docs/vectors.md).
Source: Jegou, Douze, Schmid, "Product quantization for nearest neighbor search" (TPAMI 2011); the
number of lists follows faiss's guidelines for choosing an index.
"""

import math
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.commit import current, fingerprint, replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import index_folder, marker_path, result
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import reader
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import IMAGE_EMBEDDING
from pairsieve.schemas.errors import BadOption

VERSION = 2  # of an index in a dataset
EXACT_ROWS = 1_000_000  # up to so many, all are compared
MAX_LISTS = 65_536
TRAINED_PER_LIST = 40  # rows that centres and codes are learnt from; faiss asks for 39
PROBED = 8  # of so many lists, one is looked into
CODE_DIMENSIONS = 4  # about so many dimensions share a byte of a code
CANDIDATES = 30  # rows compared once more, per row requested
SEED = 0


class Nearest(NamedTuple):
    """Rows by falling cosine to the query; `exact` when none can have been missed."""

    rows: list[int]
    cosines: list[float]
    exact: bool


def check(rows: int, exact_rows: int = EXACT_ROWS) -> None:
    """Refuse to search among many rows without faiss, before any work."""
    if rows > exact_rows and find_spec("faiss") is None:
        raise BadOption(
            f"searching more than {exact_rows:,} rows needs faiss, which is not installed: "
            "pip install 'pairsieve[search]'"
        )


def nearest(
    store: Store, folder: str, query: Vectors, count: int, exact_rows: int = EXACT_ROWS
) -> Nearest:
    """Return the `count` rows whose image vectors have the highest cosine to `query`, (d,).

    Raises:
        BadOption: there are many rows, and no faiss.
    """
    units = reader.units(store, folder)
    rows = sum(unit.rows for unit in units)
    check(rows, exact_rows)
    if rows <= exact_rows:
        return Nearest(*_among_all(store, units, query, count), exact=True)
    index = _index(store, folder, units, len(query))
    _, indices = index.search(query[None].astype(np.float32), min(count * CANDIDATES, rows))
    candidates = indices[0][indices[0] >= 0]
    return Nearest(*_among_candidates(store, units, candidates, query, count), exact=False)


def _among_all(
    store: Store, units: list[reader.Unit], query: Vectors, count: int
) -> tuple[list[int], list[float]]:
    """Return the nearest rows and their cosines."""
    rows, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for unit in units:
        unit_rows, (matrix,) = reader.read(store, unit, (IMAGE_EMBEDDING,))
        rows = np.concatenate([rows, unit_rows])
        cosines = np.concatenate([cosines, _unit_length(matrix) @ query])
        best = np.lexsort((rows, -cosines))[:count]
        rows, cosines = rows[best], cosines[best]
    return rows.tolist(), cosines.tolist()


def _among_candidates(
    store: Store, units: list[reader.Unit], indices: NDArray[np.int64], query: Vectors, count: int
) -> tuple[list[int], list[float]]:
    """Return the nearest of the rows at these indices by their stored vectors, and their cosines.

    The indices count over all units.
    """
    ends = np.cumsum([unit.rows for unit in units])
    unit_of = np.searchsorted(ends, indices, side="right")
    rows, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for number in np.unique(unit_of):
        unit = units[number]
        in_unit = indices[unit_of == number] - (ends[number] - unit.rows)
        unit_rows, matrix = reader.read_at(store, unit, in_unit, IMAGE_EMBEDDING)
        rows = np.concatenate([rows, unit_rows])
        cosines = np.concatenate([cosines, _unit_length(matrix) @ query])
    best = np.lexsort((rows, -cosines))[:count]
    return rows[best].tolist(), cosines[best].tolist()


def _unit_length(matrix: NDArray[Any]) -> Vectors:
    """Return the vectors in single precision, their lengths freed of what rounding did to them."""
    exact = matrix.astype(np.float32)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    exact /= np.maximum(lengths, np.finfo(np.float32).tiny)
    return exact


def _faiss() -> Any:
    """Return the library; its types leave out most of what it can do."""
    import faiss

    return faiss


def _index(store: Store, folder: str, units: list[reader.Unit], dimensions: int) -> Any:
    """Return the index over the units, from the dataset if it is there and up to date."""
    faiss = _faiss()
    path = marker_path(index_folder(folder))
    files = [unit.files for unit in units]
    built_from = fingerprint(VERSION, files, TRAINED_PER_LIST, CODE_DIMENSIONS)
    marker = current(store, path, built_from)
    if marker is None:
        built = _build(store, units, dimensions)
        name = result(index_folder(folder), ".faiss")
        with store.writer(name) as sink:
            faiss.write_index(built, faiss.PyCallbackIOWriter(sink.write))
        extra = {"fingerprint": built_from, "lists": built.nlist}
        marker = Marker(built.ntotal, {name: sink.entry()}, {"rows": built.ntotal}, extra)
        replace(store, path, marker)
    name = marker.file(".faiss")
    if store.local:
        index = faiss.read_index(str(store.local / name), faiss.IO_FLAG_MMAP)
    else:
        with store.reader(name) as source:
            index = faiss.read_index(faiss.PyCallbackIOReader(source.read))
    index.nprobe = max(1, index.nlist // PROBED)
    return index


def _build(store: Store, units: list[reader.Unit], dimensions: int) -> Any:
    """Return a new index: learnt from a seeded sample, filled with all rows."""
    faiss = _faiss()
    rows = sum(unit.rows for unit in units)
    lists = min(MAX_LISTS, 2 ** round(math.log2(4 * math.sqrt(rows))))
    codes = max(m for m in range(1, dimensions // CODE_DIMENSIONS + 1) if dimensions % m == 0)
    index = faiss.index_factory(dimensions, f"IVF{lists},PQ{codes}np", faiss.METRIC_INNER_PRODUCT)
    index.train(_sample(store, units, min(rows, max(lists, 256) * TRAINED_PER_LIST)))
    for unit in units:  # numbered from 0 as they come: the rows of a unit ascend
        _, (matrix,) = reader.read(store, unit, (IMAGE_EMBEDDING,))
        index.add(_unit_length(matrix))
    return index


def _sample(store: Store, units: list[reader.Unit], count: int) -> Vectors:
    """Return `count` of the vectors, the same ones for the same seed."""
    rows = sum(unit.rows for unit in units)
    drawn = np.sort(np.random.default_rng(SEED).choice(rows, count, replace=False, shuffle=False))
    parts, first = [], 0
    for unit in units:
        low, high = np.searchsorted(drawn, (first, first + unit.rows))
        if high > low:
            _, (matrix,) = reader.read(store, unit, (IMAGE_EMBEDDING,))
            parts.append(_unit_length(matrix[drawn[low:high] - first]))
        first += unit.rows
    return np.concatenate(parts)
