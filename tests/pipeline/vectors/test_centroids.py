"""The nearest centroid: as DataComp has it, and whatever rows stand beside."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pairsieve.pipeline.vectors import centroids
from pairsieve.pipeline.vectors.centroids import Centroids
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Embed


def options(path: Path) -> Embed:
    return Embed(model="pairsieve-tiny", pretrained="demo", centroids=str(path))


def test_the_largest_dot_product_decides_not_the_angle_and_the_first_of_equals() -> None:
    found = Centroids(np.array([[1, 0], [0, 1], [3, 3], [1, 0]], np.float32))
    assert found.nearest(np.array([[1, 0], [0, 1], [-1, 2]], np.float32)).tolist() == [2, 2, 2]
    assert found.nearest(np.array([[1, -1], [0, -1]], np.float32)).tolist() == [0, 0]


def test_it_is_the_same_for_any_rows_beside() -> None:
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=(40, 16)).astype(np.float16)
    twins = np.concatenate([vectors, np.nextafter(vectors, np.float16(0))]).astype(np.float32)
    images = draws.normal(size=(150, 16)).astype(np.float16).astype(np.float32)
    exact = (images.astype(np.float64)[:, None] * twins.astype(np.float64)).sum(axis=2)
    expected = exact.argmax(axis=1)
    found = Centroids(twins)
    assert found.nearest(images).tolist() == expected.tolist()
    alone = [int(found.nearest(image[None])[0]) for image in images]
    assert alone == expected.tolist()
    assert found.nearest(images[:0]).tolist() == []


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 7), np.float32), "holds 3 vectors of length 7; the model gives 4"),
        (np.zeros((0, 4), np.float32), "holds 0 vectors"),
        (np.zeros((3, 4), np.int32), "must be an array of floats"),
        (np.zeros(4, np.float32), "must be an array of floats"),
        (np.full((3, 4), np.nan), "not all of its numbers are finite"),
    ],
)
def test_what_are_no_centroids_is_refused(tmp_path: Path, array: Any, says: str) -> None:
    np.save(tmp_path / "c.npy", array)
    with pytest.raises(BadOption, match=f"embed.centroids: .*{says}"):
        centroids.load(options(tmp_path / "c.npy"), 4)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.npy").write_bytes(b"no array")
    with pytest.raises(BadOption, match="no array of NumPy"):
        centroids.check(options(tmp_path / "c.npy"))
    for refuse in (centroids.check, centroids.identity):
        with pytest.raises(BadOption, match="no such file"):
            refuse(options(tmp_path / "none.npy"))
