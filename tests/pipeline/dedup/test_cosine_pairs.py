import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.dedup import cosine_pairs as module
from pairsieve.pipeline.dedup.cosine_pairs import Halves, similar_pairs


def at(*degrees: float) -> Halves:
    """Return vectors of length 1 in the plane."""
    oriented = np.radians(degrees)
    return np.stack((np.cos(oriented), np.sin(oriented)), axis=1).astype(np.float16)


def decided(vectors: Halves, min_cosine: float) -> dict[int, int]:
    """Return which vectors go, each with the best that it goes for."""
    found = similar_pairs(vectors, min_cosine)
    return dict(zip(found.gone[::-1].tolist(), found.kept[::-1].tolist(), strict=True))


def one_by_one(vectors: Halves, min_cosine: float) -> dict[int, int]:
    """Return the same by the definition: each in turn, compared with all that stay."""
    wide = vectors.astype(np.float64)
    length = np.sum(wide * wide, axis=1)
    stay: list[int] = []
    gone = {}
    for mine in range(len(wide)):
        for other in stay:
            scale = np.sqrt(length[mine] * length[other])
            if scale and np.sum(wide[mine] * wide[other]) / scale >= min_cosine:
                gone[mine] = other
                break
        else:
            stay.append(mine)
    return gone


def test_it_is_a_star_and_not_a_chain() -> None:
    # cos 20 degrees = 0.940, cos 40 degrees = 0.766: only the one between is near to both others.
    assert decided(at(0, 20, 40), 0.9) == {1: 0}
    assert decided(at(20, 0, 40), 0.9) == {1: 0, 2: 0}


def test_the_best_of_those_near_comes_first_and_all_of_them_are_told() -> None:
    found = similar_pairs(at(0, 30, 15), 0.95)  # cos 15 = 0.966, cos 30 = 0.866
    assert found.gone.tolist() == [2, 2]
    assert found.kept.tolist() == [0, 1]
    assert found.cosine == pytest.approx([0.966, 0.966], abs=1e-3)


def test_equal_vectors_have_a_cosine_of_one_whatever_they_are() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 77)).astype(np.float16) / np.float16(9)
    found = similar_pairs(np.concatenate((vectors, vectors)), 1.0)
    assert found.gone.tolist() == list(range(300, 600))
    assert found.kept.tolist() == list(range(300))
    assert (found.cosine == 1).all()


def test_the_bound_is_near_and_the_next_number_above_is_not() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8]], np.float16)
    (cosine,) = similar_pairs(vectors, 0.5).cosine.tolist()
    wide = vectors.astype(np.float64)
    exact = wide[1, 0] / np.sqrt(wide[1] @ wide[1])
    assert cosine == np.float32(exact)
    assert decided(vectors, exact) == {1: 0}
    assert decided(vectors, np.nextafter(exact, 1)) == {}


def test_a_vector_without_a_direction_is_like_nothing() -> None:
    assert decided(np.zeros((3, 4), np.float16), 0.01) == {}


def test_no_vectors_give_nothing() -> None:
    assert decided(np.empty((0, 8), np.float16), 0.9) == {}


@settings(max_examples=repeated(20, 60), deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 60), min_cosine=st.sampled_from((0.5, 0.9)))
def test_what_goes_is_what_goes_one_by_one(seed: int, count: int, min_cosine: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float16)
    assert decided(vectors, min_cosine) == one_by_one(vectors, min_cosine)


@pytest.mark.parametrize(
    ("rows", "block", "at_once"), [(150, 1, 1), (700, 7, 2), (700, 64, 5), (700, 5000, 5000)]
)
def test_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, rows: int, block: int, at_once: int
) -> None:
    generator = np.random.default_rng(1)
    topics = generator.normal(size=(20, 64))
    vectors = topics[generator.integers(0, 20, rows)] + 0.3 * generator.normal(size=(rows, 64))
    halves = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    wanted = one_by_one(halves, 0.93)
    assert rows / 7 < len(wanted) < rows - 10
    whole = similar_pairs(halves, 0.93)
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "KEPT_AT_ONCE", at_once)
    assert decided(halves, 0.93) == wanted
    cut = similar_pairs(halves, 0.93)
    assert cut.gone.tolist() == whole.gone.tolist()
    assert cut.kept.tolist() == whole.kept.tolist()
    assert cut.cosine.tolist() == whole.cosine.tolist()
