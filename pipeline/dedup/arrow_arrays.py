"""Columns of Arrow as arrays of NumPy, what is null as zero."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers(column: pa.ChunkedArray, dtype: Any = np.int64) -> NDArray[Any]:
    """Return a column as an array, (n,), 0 where it is null."""
    return np.asarray(column.fill_null(0).to_numpy(), dtype)


def missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return where a column is null, (n,)."""
    return np.asarray(column.is_null().to_numpy(), bool)


def lists(column: pa.ChunkedArray, width: int, dtype: Any) -> NDArray[Any]:
    """Return a column of lists of `width` numbers as (n, width), zeros where it is null."""
    found = np.zeros((len(column), width), dtype)
    there = ~missing(column)
    if not width or not there.any():
        return found
    values = column.drop_null().combine_chunks().flatten()
    found[there] = np.asarray(values.to_numpy(), dtype).reshape(-1, width)
    return found
