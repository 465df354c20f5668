"""Heads: small networks on an image's vector, read from the files in which they are published.

A file holds arrays and nothing else: what would run code when read is refused. Their names and
shapes say whether a head is linear, an MLP or a set of prompt vectors. A row's outputs are computed
from that row alone, in double precision, so they do not depend on what else is in its batch.

LAION's NSFW heads come from AutoKeras, which took some inputs for categories and replaced them by
the index of their value in a list (B/32: inputs 92, 133 and 312; L/14: 180, 316, 413, 440 and 644).
No new vector's value is in that list, so the original always sees the index for "not listed", 1.
Such an input is recognised in the file: a variance of more than 1, which a component of a vector of
length 1 cannot have. It is set to 1 here as in the original. The PyTorch port leaves it as it is.
Measured: on 100 photographs (Flickr8k, ViT-B/32) the two differ by 0.0006 at most.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.models.model_files import UNREADABLE
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption

Doubles = NDArray[np.float64]

SUFFIXES = (".npy", ".safetensors", ".pth", ".pt", ".bin")
NORMALISATION = ("norm.mean", "norm.variance")  # as in LAION's NSFW heads
UNLISTED = 1.0  # what AutoKeras's encoding makes of a value that it has not seen in training
LARGEST_VARIANCE = 1.0  # of a component of a vector of length 1


@dataclass(frozen=True)
class Head:
    """A small network on a vector.

    Attributes:
        layers: Weights (outputs, inputs) and bias (outputs,) of each layer.
        relu: True when negative values become 0 between layers.
        mean: Subtracted from the vector first, (d,), or None.
        deviation: What the difference is divided by, (d,), or None.
        compares: True when the one layer has a vector per class, and gives cosines.
    """

    layers: tuple[tuple[Doubles, Doubles], ...]
    relu: bool
    mean: Doubles | None = None
    deviation: Doubles | None = None
    compares: bool = False

    @property
    def width(self) -> int:
        """Return the length of the vectors that it takes."""
        return int(self.layers[0][0].shape[1])

    @property
    def output_count(self) -> int:
        """Return how many numbers it gives for a vector."""
        return int(self.layers[-1][0].shape[0])

    def outputs(self, vectors: Vectors) -> Doubles:
        """Return what the last layer gives, (n, outputs); the vectors may have any length."""
        rows = [self._outputs_of(row) for row in vectors.astype(np.float64)]
        return np.stack(rows) if rows else np.zeros((0, self.output_count))

    def _outputs_of(self, vector: Doubles) -> Doubles:
        vector = vector / (np.linalg.norm(vector) or 1.0)
        if self.mean is not None and self.deviation is not None:
            coded = self.deviation > np.sqrt(LARGEST_VARIANCE)
            vector = (np.where(coded, UNLISTED, vector) - self.mean) / self.deviation
        for number, (weights, bias) in enumerate(self.layers):
            if number and self.relu:
                vector = np.maximum(vector, 0)
            vector = weights @ vector + bias
        return vector


def sha256(path: str) -> str:
    """Return the SHA-256 of a file, hex; kept in memory while size and time stay the same."""
    status = Path(path).stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: str, size: int, changed_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(key: str, value: str, activation: str) -> Head:
    """Return the head in the file `value`, which the recipe names at `key`.

    Raises:
        BadOption: there is no such file, it holds more than arrays, or these are no head.
    """
    path = Path(value)
    if not path.is_file():
        raise BadOption(f"{key}: {value}: no such file")
    arrays = {
        name: np.asarray(array, np.float64)
        for name, array in _arrays(key, path).items()
        if np.issubdtype(np.asarray(array).dtype, np.number)
    }
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise BadOption(f"{key}: {value}: holds values that are not numbers: a broken head")
    normalisation = [arrays.pop(name, None) for name in NORMALISATION]
    layers, compares = _layers(key, value, arrays)
    mean, variance = normalisation
    if mean is None or variance is None:
        return Head(layers, activation == "relu", compares=compares)
    if not mean.shape == variance.shape == layers[0][0].shape[1:] or variance.min() <= 0:
        raise BadOption(f"{key}: {value}: its normalisation does not fit its first layer")
    return Head(layers, activation == "relu", mean, np.sqrt(variance))


def _arrays(key: str, path: Path) -> dict[str, Any]:
    """Return the arrays of a file by name, without running anything that it says."""
    from safetensors import SafetensorError

    if path.suffix not in SUFFIXES:
        raise BadOption(f"{key}: {path}: heads are read from {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".npy":
            return {"weight": np.load(path, allow_pickle=False)}
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return dict(load_file(path))
        return _tensors(path)
    except (*UNREADABLE, SafetensorError) as error:
        raise BadOption(
            f"{key}: {path}: not a file of arrays alone, or cut short; code in it is never run: "
            f"{str(error)[:200] or type(error).__name__}"
        ) from error


def _tensors(path: Path) -> dict[str, Any]:
    """Return the state dict in a file of PyTorch's."""
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, torch.Tensor):
        content = {"weight": content}
    if not isinstance(content, dict):
        raise TypeError(f"it holds a {type(content).__name__}, and it must be a state dict")
    return {
        str(name): tensor.float().numpy()
        for name, tensor in content.items()
        if isinstance(tensor, torch.Tensor)
    }


def _layers(
    key: str, value: str, arrays: dict[str, Doubles]
) -> tuple[tuple[tuple[Doubles, Doubles], ...], bool]:
    """Return the layers in the order of the numbers in their names; whether they are prompts."""
    weights = {
        name: arrays[name] for name in sorted(arrays, key=_numbers) if arrays[name].ndim == 2
    }
    biases = {name: array for name, array in arrays.items() if array.ndim == 1}
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
    layers: list[tuple[Doubles, Doubles]] = []
    for name, matrix in weights.items():
        bias = biases.pop(_bias(name), np.zeros(matrix.shape[0]))
        fits = not layers or layers[-1][0].shape[0] == matrix.shape[1]
        if bias.shape != matrix.shape[:1] or not fits or 0 in matrix.shape:
            raise BadOption(f"{key}: {value}: its layers do not fit each other: {shapes}")
        layers.append((matrix, bias))
    if len(weights) + len(arrays.keys() - weights.keys() - biases.keys()) != len(arrays) or not (
        layers and not biases
    ):
        raise BadOption(f"{key}: {value}: not a linear head or an MLP; it holds {shapes}")
    ((matrix, _), *more) = layers
    if len(arrays) > 1 or more or len(matrix) == 1:
        return tuple(layers), False
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return ((matrix / np.where(lengths > 0, lengths, 1), np.zeros(len(matrix))),), True


def _bias(name: str) -> str:
    """Return how the bias beside a matrix is called: `weight` at the end becomes `bias`."""
    return name.removesuffix("weight") + "bias"


def _numbers(name: str) -> tuple[list[int], str]:
    """Return what sorts the names of layers as they follow each other: 2 before 10."""
    return [int(number) for number in re.findall(r"\d+", name)], name
