"""Clusters of images: to which of the recipe's centroids a vector is nearest.

As DataComp has it: the one with the largest dot product, the centroids as they are, the first of
equals. A matrix product rounds by how many rows there are; so it only finds those that may be the
largest, and where these are several, sums in double precision decide.

Source: github.com/mlfoundations/datacomp, baselines/apply_filter.py, `get_centroid_ids_gpu`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.models import heads, pretrained
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed

ROWS_AT_ONCE = 64  # with 100,000 centroids 26 MB of products
ROUNDING = 2.0**-23  # of a sum and of another, of each of their products


@dataclass(frozen=True)
class Centroids:
    """The centroids of clusters.

    Attributes:
        vectors: float32 (k, d).
    """

    vectors: NDArray[np.float32]

    def nearest(self, images: Vectors) -> NDArray[np.int32]:
        """Return the index of the nearest centroid of each vector, (n,)."""
        longest = float(np.sqrt(np.square(self.vectors).sum(axis=1, dtype=np.float64).max()))
        blocks = [
            self._nearest(images[first : first + ROWS_AT_ONCE], longest)
            for first in range(0, len(images), ROWS_AT_ONCE)
        ]
        return np.concatenate([np.zeros(0, np.int32), *blocks])

    def _nearest(self, images: Vectors, longest: float) -> NDArray[np.int32]:
        products = images @ self.vectors.T
        lengths = np.sqrt(np.square(images, dtype=np.float64).sum(axis=1))
        margin = 2 * ROUNDING * images.shape[1] * longest * lengths
        near = products >= (products.max(axis=1) - margin)[:, None]
        found: NDArray[np.int32] = products.argmax(axis=1).astype(np.int32)
        for row in np.flatnonzero(near.sum(axis=1) > 1):
            some = np.flatnonzero(near[row])
            exact = np.sum(self.vectors[some].astype(np.float64) * images[row], axis=1)
            found[row] = some[exact.argmax()]
        return found


def check(options: Embed) -> None:
    """Refuse centroids that are none, or of another length than the model's vectors.

    Raises:
        BadOption: saying which.
    """
    if options.centroids:
        width = int(pretrained.find(options).config["embed_dim"])
        _checked(options.centroids, width)


def described(path: str) -> str:
    """Return in words what says the cluster: the file's name and the start of its SHA-256."""
    return f"the centroids {Path(path).name} ({heads.sha256(path)[:12]})"


def identity(options: Embed) -> dict[str, str]:
    """Return what shapes the clusters: the centroids by their content.

    Raises:
        BadOption: there is no such file.
    """
    if not options.centroids:
        return {}
    try:
        return {"centroids": heads.sha256(options.centroids)}
    except OSError as error:
        raise BadOption(f"embed.centroids: {options.centroids}: no such file") from error


def load(options: Embed, width: int) -> Centroids | None:
    """Return the recipe's centroids, for vectors of that length; None without.

    Raises:
        BadOption: they are none, of another length, or not finite.
    """
    if not options.centroids:
        return None
    vectors = np.array(_checked(options.centroids, width), np.float32)
    if not np.isfinite(vectors).all():
        raise BadOption(f"embed.centroids: {options.centroids}: not all of its numbers are finite")
    return Centroids(vectors)


def _checked(path: str, width: int) -> NDArray[Any]:
    """Return the array in a file, mapped into memory."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise BadOption(f"embed.centroids: {path}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise BadOption(f"embed.centroids: {path}: no array of NumPy's: {error}") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        raise BadOption(f"embed.centroids: {path}: must be an array of floats, (clusters, length)")
    if found.shape[1] != width or not len(found):
        raise BadOption(
            f"embed.centroids: {path}: holds {len(found)} vectors of length {found.shape[1]}; "
            f"the model gives {width}"
        )
    return found
