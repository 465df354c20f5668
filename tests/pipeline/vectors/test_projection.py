"""Two dimensions of vectors: of clusters that are known, and of a dataset's units."""

import numpy as np
import pytest

from pairsieve.pipeline.vectors.projection import layout, neighbours, principal

CLUSTERS, EACH, WIDTH = 40, 20, 48


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    random = np.random.default_rng(3)
    centres = np.repeat(random.normal(size=(CLUSTERS, WIDTH)), EACH, axis=0)
    return (centres + 0.5 * random.normal(size=centres.shape)).astype(np.float32)


def _same(points: np.ndarray) -> float:
    """Return the share of the ten nearest points that are of the same cluster."""
    cluster = np.arange(len(points)) // EACH
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1)[:, :10]
    return float((cluster[near] == cluster[:, None]).mean())


def test_what_is_alike_lies_together_where_principal_components_mix_it(
    vectors: np.ndarray,
) -> None:
    assert _same(principal(vectors, 2)) < 0.7
    assert _same(layout(vectors)) > 0.97


def test_the_same_vectors_lie_the_same(vectors: np.ndarray) -> None:
    assert np.array_equal(layout(vectors[:100], 20), layout(vectors[:100], 20))


def test_neighbours_are_those_of_the_highest_cosines(vectors: np.ndarray) -> None:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    expected = np.sort(np.argsort(-cosines, axis=1)[:, :5], axis=1)
    assert np.array_equal(np.sort(neighbours(vectors, 5), axis=1), expected)


def test_vectors_without_length_and_equal_ones_have_a_place() -> None:
    vectors = np.zeros((5, 4), np.float32)
    vectors[3:] = 1
    assert np.isfinite(layout(vectors)).all()
