"""Heads on a whole pair: image and text vector, their product and cosine, and columns of `gather`.

`pairsieve learn` makes them: a .safetensors with a weight per feature and, in its metadata, which
features these are, the model whose vectors they are of, what they were learnt from and how well. A
row's output is summed in double precision from that row alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.vectors.lengths import of_length_1
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import GATHERED, Column
from pairsieve.schemas.errors import BadOption

KEY = "pairsieve.pair_head"  # of the metadata
VERSION = 1
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class PairHead:
    """A logistic head on a pair.

    Attributes:
        weights: Of the features in the order of `features`, (3 d + 1 + columns,).
        bias: Added to their sum.
        means: Of the columns: what stands for one that is null, (columns,).
        columns: The names of the columns.
        record: What else the file says: model, data, evaluation.
    """

    weights: Doubles
    bias: float
    means: Doubles
    columns: tuple[str, ...]
    record: Mapping[str, Any]

    @property
    def width(self) -> int:
        """Return the length of the vectors that it takes."""
        return (len(self.weights) - 1 - len(self.columns)) // 3

    @property
    def reads(self) -> tuple[Column, ...]:
        """Return the columns of `gather` that it reads."""
        return tuple(column for column in GATHERED if column.name in self.columns)

    def outputs(self, images: Vectors, texts: Vectors, values: Doubles) -> Doubles:
        """Return the logit of every pair, (n, 1); `values` are its columns, (n, columns)."""
        made = features(images, texts, np.where(np.isnan(values), self.means, values))
        logits: Doubles = np.sum(made * self.weights, axis=1, keepdims=True) + self.bias
        return logits


def features(images: Vectors, texts: Vectors, values: Doubles) -> Doubles:
    """Return image, text, product, cosine and columns, side by side, (n, 3 d + 1 + columns)."""
    one, other = of_length_1(images), of_length_1(texts)
    product = one * other
    cosine = np.sum(product, axis=1, keepdims=True)
    return np.concatenate([one, other, product, cosine, values], axis=1)


def is_one(path: str) -> bool:
    """Return whether a file is a head on pairs."""
    return Path(path).suffix == ".safetensors" and KEY in _metadata(Path(path))


def save(path: Path, head: PairHead) -> None:
    """Write a head; the same one gives the same bytes."""
    from safetensors.numpy import save_file

    said = {"version": VERSION, "columns": list(head.columns), **head.record}
    arrays = {"bias": np.array([head.bias]), "means": head.means, "weights": head.weights}
    save_file(arrays, path, {KEY: json.dumps(said, sort_keys=True)})


def load(key: str, path: str) -> PairHead:
    """Return the head in a file, which the recipe names at `key`.

    Raises:
        BadOption: it is of another version, or its arrays do not fit each other.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = {name: np.asarray(a, np.float64) for name, a in load_file(path).items()}
        record = json.loads(_metadata(Path(path))[KEY])
        columns = tuple(record.pop("columns"))
        if record.pop("version") != VERSION:
            raise BadOption(f"{key}: {path}: made by another version of pairsieve; learn it anew")
        head = PairHead(
            arrays["weights"], float(arrays["bias"][0]), arrays["means"], columns, record
        )
    except (OSError, ValueError, KeyError, IndexError, SafetensorError) as error:
        raise BadOption(f"{key}: {path}: a broken head: {error}") from error
    fits = len(head.means) == len(columns) == len(head.reads) and len(head.weights.shape) == 1
    if (
        not fits
        or (len(head.weights) - 1 - len(columns)) % 3
        or not np.isfinite(head.weights).all()
    ):
        raise BadOption(f"{key}: {path}: a broken head: its arrays do not fit its columns")
    return head


def _metadata(path: Path) -> dict[str, str]:
    """Return what a .safetensors says of itself; nothing if it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError):
        return {}
