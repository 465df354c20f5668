"""Keep images that are nearest to certain centroids, such as those of ImageNet's images.

The recipe names the centroids under `embed.centroids`; `path` lists the clusters to keep, whole
numbers from 0: an `.npy` of them, or a text with one in a line.

Source: DataComp (arXiv:2304.14108), section 4.1: 100,000 centroids of the pool's images by OpenAI's
ViT-L/14; what is nearest to one that is nearest to an image of ImageNet's training set stays.
github.com/mlfoundations/datacomp, baselines/apply_filter.py, `image_filter_helper`. The default
keeps everything that is measured.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from pairsieve.schemas.columns import IMAGE_CLUSTER

MOST = 10_000_000  # clusters


@dataclass(frozen=True, slots=True)
class ImageCluster:
    """Keep images whose cluster is one of those that the file at `path` lists."""

    path: str = ""  # an `.npy` or a text of whole numbers, from 0; "": any cluster

    def __post_init__(self) -> None:
        if self.path:
            self._bits()

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep: a bit per cluster, set for those listed."""
        name = IMAGE_CLUSTER.name
        if not self.path:
            return f"{name} >= 0"
        bits = self._bits()
        listed = f"get_bit('{bits}'::BIT, {name}) = 1"
        return f"CASE WHEN {name} >= {len(bits)} THEN false ELSE {listed} END"

    def _bits(self) -> str:
        path = Path(self.path)
        if not path.is_file():
            raise ValueError(f"path: {self.path}: no such file, and it lists the clusters to keep")
        status = path.stat()
        return _bits(self.path, status.st_size, status.st_mtime_ns)


@cache
def _bits(path: str, size: int, changed_ns: int) -> str:
    """Return a digit per cluster, up to the last that is listed: 1 for those that are."""
    try:
        if path.endswith(".npy"):
            numbers = np.load(path, allow_pickle=False)
        else:
            lines = Path(path).read_text(encoding="utf-8").split()
            numbers = np.array([int(line) for line in lines], np.int64)
    except (ValueError, EOFError) as error:
        raise ValueError(f"path: {path}: no list of whole numbers: {error}") from error
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError(f"path: {path}: must list whole numbers, at least one")
    if not 0 <= numbers.min() <= numbers.max() < MOST:
        raise ValueError(f"path: {path}: clusters must be from 0 to {MOST - 1}")
    digits = np.full(int(numbers.max()) + 1, ord("0"), np.uint8)
    digits[numbers] = ord("1")
    return digits.tobytes().decode()
