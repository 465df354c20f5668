"""Which pictures are plain, against the plain definition."""

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dedup.features import PLAIN_CELLS, PLAIN_RANGE, plain_pictures


def _expected(colours: NDArray[np.uint8]) -> list[bool]:
    """Return the same by comparing each cell with each."""
    levels = colours.reshape(len(colours), -1, 3).astype(np.int64)
    contrast = np.sqrt(levels.var(axis=1).mean(axis=1))
    far = np.abs(levels[:, :, None] - levels[:, None]).max(axis=3)
    alike = (far <= PLAIN_RANGE * contrast[:, None, None]).sum(axis=2)
    return [bool(each) for each in (alike >= PLAIN_CELLS).any(axis=1)]


def test_plain_pictures_are_those_with_many_cells_alike() -> None:
    random = np.random.default_rng(5)
    noise = random.integers(0, 256, (300, 75))
    few_levels = random.integers(0, 3, (300, 75))
    stripes = np.repeat(random.integers(0, 256, (300, 5)), 15, axis=1)
    stripes = np.clip(stripes + random.integers(0, 12, (300, 75)), 0, 255)
    colours = np.concatenate([noise, few_levels, stripes, np.zeros((1, 75))]).astype(np.uint8)
    found = plain_pictures(colours).tolist()
    assert found == _expected(colours)
    assert 0 < sum(found) < len(found)
