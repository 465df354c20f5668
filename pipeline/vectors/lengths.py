"""Vectors scaled to length 1 in double precision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.schemas.arrays import Vectors


def of_length_1(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Return the vectors scaled to length 1, (n, d); those of length 0 as they are."""
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(exact / np.maximum(lengths, np.finfo(np.float64).tiny))


def of_length_1_float32(vectors: NDArray[Any]) -> Vectors:
    """Return the same, rounded to single precision."""
    return of_length_1(vectors).astype(np.float32)
