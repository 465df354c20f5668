"""The vectors of samples: that of the image, of the recipe's model, as a file of NumPy's."""

import io

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.paths import marker_path, slice_of, vectors_folder
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.samples.layout import MORE_FILES, VECTOR
from pairsieve.pipeline.vectors import reader
from pairsieve.schemas.columns import IMAGE_EMBEDDING

Vectors = tuple[NDArray[np.int64], NDArray[np.float16]]


def read(block: Block, folder: str) -> Vectors:
    """Return the rows of a block that have vectors in a model's folder, sorted, and these.

    The vectors are (n, d).
    """
    names = sorted({slice_of(file.name) for file in block.files.gathered})
    paths = (marker_path(vectors_folder(folder), name) for name in names)
    unit = reader.unit_of([marker for path in paths if (marker := block.store.marker(path))])
    if not unit.files:
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float16)
    rows, (vectors,) = reader.read(block.store, unit, (IMAGE_EMBEDDING,))
    return rows, vectors


def with_vectors(more: pa.Array, rows: NDArray[np.int64], vectors: Vectors) -> pa.Array:
    """Return the further files of samples, given by their rows, with the vectors of their images.

    A sample whose image has no vector gets no such file.
    """
    known, matrix_of = vectors
    places = np.searchsorted(known, rows)
    head = _head(matrix_of.shape[1])
    files = []
    for one, row, place in zip(more.to_pylist(), rows, places, strict=True):
        there = place < len(known) and known[place] == row
        own = [(VECTOR, head + matrix_of[place].astype("<f2").tobytes())] if there else []
        files.append([*(one or ()), *own])
    return pa.array(files, MORE_FILES)


def _head(dimensions: int) -> bytes:
    """Return what stands before the numbers in the file of a vector of so many."""
    sink = io.BytesIO()
    head = {"descr": "<f2", "fortran_order": False, "shape": (dimensions,)}
    np.lib.format.write_array_header_1_0(sink, head)
    return sink.getvalue()
