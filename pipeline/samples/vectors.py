"""The vectors of samples: that of the image, of the recipe's model, as a file of NumPy's."""

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.paths import VECTORS_SUFFIX, marker_path, slice_of, vectors_folder
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.samples.layout import MORE_FILES, VECTOR
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.columns import IMAGE_EMBEDDING, ROW

Vectors = tuple[NDArray[np.int64], NDArray[np.float16]]


def read(block: Block, folder: str) -> Vectors:
    """Return the rows of a block that have vectors in a model's folder, sorted, and these.

    The vectors are (n, d).
    """
    rows, vectors = [np.zeros(0, np.int64)], []
    for table in _tables(block, folder):
        rows.append(table[ROW.name].to_numpy())
        vectors.append(matrix(table[IMAGE_EMBEDDING.name]))
    every = np.concatenate(rows)
    order = np.argsort(every)
    return every[order], np.concatenate(vectors)[order] if vectors else np.zeros((0, 0), np.float16)


def _tables(block: Block, folder: str) -> Iterator[pa.Table]:
    """Yield the vectors of each task slice of a block that has some."""
    for name in sorted({slice_of(file.name) for file in block.files.gathered}):
        marker = block.store.marker(marker_path(vectors_folder(folder), name))
        files = marker.files if marker else ()
        for file in (file for file in files if file.endswith(VECTORS_SUFFIX)):
            with checksums.open_parquet(block.store, file) as source:
                yield source.read([ROW.name, IMAGE_EMBEDDING.name])


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
