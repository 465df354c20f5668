"""Heads on a whole pair: image and text vector, their product and cosine, and columns of `gather`.

`pairsieve learn` makes them: a .safetensors with a weight per feature, or of two layers, and, in
its metadata, which features these are, the model whose vectors they are of, what they were learnt
from and how well. A row's output is summed in double precision from that row alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.vectors.lengths import of_length_1
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import GATHERED, Column
from pairsieve.schemas.errors import BadOption

KEY = "pairsieve.pair_head"  # of the metadata
SCORES = "scores"  # of the record: what it gives in the pool that it was learnt in
HIDDEN = ("hidden.weights", "hidden.bias")  # arrays of a file of two layers
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """One layer, or two with ReLU between them; a logit for the features of a pair.

    Attributes:
        weights: Of the features, or of the hidden units, (inputs,).
        bias: Added to their sum.
        hidden: Weights (units, features) and bias (units,) of the hidden units, None without.
    """

    weights: Doubles
    bias: float
    hidden: tuple[Doubles, Doubles] | None = None

    @property
    def width(self) -> int:
        """Return how many features it takes."""
        return int((self.weights if self.hidden is None else self.hidden[0]).shape[-1])

    def logits(self, features: Doubles) -> Doubles:
        """Return the logit of every row, (n,)."""
        inputs = features
        if self.hidden is not None:
            sums = [np.sum(features * weights, axis=1) for weights in self.hidden[0]]
            inputs = np.maximum(np.stack(sums, axis=1) + self.hidden[1], 0)
        return np.asarray(np.sum(inputs * self.weights, axis=1) + self.bias)

    def scaled(self, slope: float, offset: float) -> "Network":
        """Return the network whose logits are `slope` times as large, and `offset` added."""
        return replace(self, weights=slope * self.weights, bias=slope * self.bias + offset)

    def fits(self) -> bool:
        """Return whether its arrays are finite and fit each other."""
        matrix, bias = self.hidden or (np.zeros((*self.weights.shape[:1], 1)), self.weights)
        shapes = matrix.shape[:1] == bias.shape == self.weights.shape and matrix.ndim == 2
        arrays = (self.weights, self.bias, matrix, bias)
        return shapes and all(np.isfinite(array).all() for array in arrays)


@dataclass(frozen=True)
class PairHead:
    """A head on a pair.

    Attributes:
        network: On the features in the order of `features`, 3 d + 1 + columns.
        means: Of the columns: what stands for one that is null, (columns,).
        columns: The names of the columns.
        record: What else the file says: model, data, evaluation, scores of the pool.
    """

    network: Network
    means: Doubles
    columns: tuple[str, ...]
    record: Mapping[str, Any]

    @property
    def width(self) -> int:
        """Return the length of the vectors that it takes."""
        return (self.network.width - 1 - len(self.columns)) // 3

    @property
    def reads(self) -> tuple[Column, ...]:
        """Return the columns of `gather` that it reads."""
        return tuple(column for column in GATHERED if column.name in self.columns)

    @property
    def usual(self) -> tuple[float, float] | None:
        """Return between which scores nine in ten pairs lay where it was learnt, if it says so."""
        quantiles = list(self.record.get(SCORES, {}).get("quantiles", {}).values())
        return (quantiles[0], quantiles[-1]) if quantiles else None

    def outputs(self, images: Vectors, texts: Vectors, values: Doubles) -> Doubles:
        """Return the logit of every pair, (n, 1); `values` are its columns, (n, columns)."""
        made = features(images, texts, np.where(np.isnan(values), self.means, values))
        return self.network.logits(made)[:, None]


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

    network = head.network
    arrays = {"bias": np.array([network.bias]), "means": head.means, "weights": network.weights}
    arrays |= dict(zip(HIDDEN, network.hidden or (), strict=False))
    layers = 2 if network.hidden else 1
    said = {"version": layers, "columns": list(head.columns), **head.record}
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
        layers = record.pop("version")
        if layers not in (1, 2):
            raise BadOption(f"{key}: {path}: made by another version of pairsieve; learn it anew")
        hidden = (arrays[HIDDEN[0]], arrays[HIDDEN[1]]) if layers == 2 else None
        network = Network(arrays["weights"], float(arrays["bias"][0]), hidden)
        head = PairHead(network, arrays["means"], columns, record)
    except (OSError, ValueError, KeyError, IndexError, SafetensorError) as error:
        raise BadOption(f"{key}: {path}: a broken head: {error}") from error
    fits = head.means.shape == (len(columns),) == (len(head.reads),) and network.fits()
    if not fits or (network.width - 1 - len(columns)) % 3:
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
