"""Vectors of target images, by path: as numpy or pairsieve itself write them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pairsieve.pipeline.vectors.lengths import of_length_1_float32
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import IMAGE_EMBEDDING
from pairsieve.schemas.errors import BadOption

SUFFIXES = (".npy", ".parquet")
KEY = "alignment.norm_sim.targets"


def files(value: str) -> list[Path]:
    """Return the files of targets, in order.

    Raises:
        BadOption: there are none.
    """
    path = Path(value)
    found = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else [path]
    if not found or not all(each.is_file() for each in found):
        raise BadOption(f"{KEY}: {value}: no such file, or a folder without {', '.join(SUFFIXES)}")
    return found


def versions(value: str) -> list[str]:
    """Return the SHA-256 of each file: what changes when the targets do."""
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files(value)]


def read(value: str, width: int | None = None) -> Vectors:
    """Return the vectors of targets, (n, d), of length 1; `width` is what d must be.

    Raises:
        BadOption: a file holds no vectors, or those of another model's length.
    """
    parts = []
    for path in files(value):
        vectors = _vectors(path)
        if vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != (width or len(vectors[0])):
            raise BadOption(
                f"{KEY}: {path} holds an array of shape {vectors.shape}, and vectors of the "
                f"model in `embed` are (n, {width or 'd'})"
            )
        if not np.isfinite(vectors).all():
            raise BadOption(f"{KEY}: {path} holds values that are not numbers")
        parts.append(of_length_1_float32(vectors))
    if len({part.shape[1] for part in parts}) > 1:
        raise BadOption(f"{KEY}: {value}: the files hold vectors of different lengths")
    return np.concatenate(parts)


def _vectors(path: Path) -> Any:
    """Return the array in a file, of any shape."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False).astype(np.float64)
        column = pq.read_table(path, columns=[IMAGE_EMBEDDING.name])[IMAGE_EMBEDDING.name]
        return np.array([np.asarray(row, np.float64) for row in column.to_pylist()])
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise BadOption(
            f"{KEY}: {path}: neither a .npy of numbers nor Parquet with the column "
            f"`{IMAGE_EMBEDDING.name}`: {str(error)[:200]}"
        ) from error
