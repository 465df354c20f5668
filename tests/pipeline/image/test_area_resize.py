import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.repetition import repeated

from pairsieve.pipeline.image.area_resize import reduced

sides = st.integers(1, 60)


def shares(source: int, result: int) -> NDArray[np.float64]:
    """Return how much of each result pixel each source pixel is, (result, source)."""
    edges = np.arange(source + 1)
    scale = source / result
    low, high = np.arange(result)[:, None] * scale, np.arange(1, result + 1)[:, None] * scale
    covered = np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])
    return np.asarray(np.maximum(covered, 0) / scale)


@settings(max_examples=repeated(60, 150), deadline=None, derandomize=True, database=None)
@given(sides, sides, st.data())
def test_every_pixel_is_the_mean_of_the_area_it_covers(
    height: int, width: int, data: st.DataObject
) -> None:
    to = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    source = np.random.default_rng(height * 61 + width).integers(0, 256, (height, width, 3))
    exact = np.einsum("yh,hwc,xw->yxc", shares(height, to[0]), source, shares(width, to[1]))
    got = reduced(source.astype(np.uint8), to[1], to[0])
    assert np.abs(got - exact).max() <= 0.501
    for channel in range(3):
        plane = reduced(source[:, :, channel].astype(np.uint8), to[1], to[0])
        assert plane.tolist() == got[:, :, channel].tolist()


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_one_level_stays_that_level(level: int) -> None:
    for size in ((7, 3), (100, 99), (513, 512), (1000, 1)):
        flat = np.full((size[0], size[0], 3), level, np.uint8)
        assert np.unique(reduced(flat, size[1], size[1])).tolist() == [level]


def test_the_same_size_changes_nothing() -> None:
    source = np.random.default_rng(1).integers(0, 256, (9, 5), np.uint8)
    assert reduced(source, 5, 9).tolist() == source.tolist()
