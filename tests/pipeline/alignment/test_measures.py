"""The formulas against plain numpy, written as the paper has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.repetition import repeated

from pairsieve.pipeline.alignment import measures
from pairsieve.pipeline.alignment.measures import Pairs, neg_clip_loss, norm_sim
from pairsieve.pipeline.vectors.lengths import of_length_1_float32

WIDTH = 5


def drawn(seed: int, count: int, first_row: int = 0) -> Pairs:
    numbers = np.random.default_rng(seed).normal(size=(2, count, WIDTH))
    images, texts = of_length_1_float32(numbers[0]), of_length_1_float32(numbers[1])
    return Pairs(np.arange(first_row, first_row + count), images, texts)


def as_published(images: NDArray[np.float64], texts: NDArray[np.float64], t: float) -> list[float]:
    """Return the score of every pair of one batch, from the whole matrix."""
    cosines = images @ texts.T
    of_image = np.log(np.exp(cosines / t).sum(axis=1))
    of_text = np.log(np.exp(cosines / t).sum(axis=0))
    return list(np.diag(cosines) - t / 2 * (of_image + of_text))


@settings(max_examples=repeated(10, 25), deadline=None)
@given(seed=st.integers(0, 99), count=st.integers(1, 9), t=st.sampled_from([0.01, 0.07, 1.0]))
def test_pairs_in_their_own_batch_have_what_the_whole_matrix_gives(
    seed: int, count: int, t: float
) -> None:
    pairs = drawn(seed, count)
    expected = as_published(pairs.images.astype(float), pairs.texts.astype(float), t)
    assert neg_clip_loss(pairs, [pairs], t) == pytest.approx(expected, abs=2e-6)


@settings(max_examples=repeated(6, 15), deadline=None)
@given(seed=st.integers(0, 99), sizes=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_a_pair_outside_a_batch_joins_it_and_batches_are_averaged(
    seed: int, sizes: list[int]
) -> None:
    pairs = drawn(seed, 3)
    batches = [drawn(seed + 1 + n, size, 100) for n, size in enumerate(sizes)]
    found = neg_clip_loss(pairs, batches, 0.05)
    for index in range(3):
        scores = []
        for batch in batches:
            images = np.vstack([pairs.images[index : index + 1], batch.images]).astype(float)
            texts = np.vstack([pairs.texts[index : index + 1], batch.texts]).astype(float)
            scores.append(as_published(images, texts, 0.05)[0])
        assert found[index] == pytest.approx(np.mean(scores), abs=2e-6)


def test_a_cosine_far_below_the_others_neither_overflows_nor_vanishes() -> None:
    image, text = np.array([[1.0, 0]]), np.array([[-1.0, 0]])
    pair = Pairs(np.array([0]), of_length_1_float32(image), of_length_1_float32(text))
    others = Pairs(np.array([1]), of_length_1_float32(image), of_length_1_float32(image))
    # cos = -1; the image's sum is e^(1/t) + e^(-1/t), the text's 2 e^(-1/t).
    expected = -1 - 0.005 * (100 + (-100 + np.log(2)))
    assert neg_clip_loss(pair, [others], 0.01)[0] == pytest.approx(expected, abs=1e-6)


@settings(max_examples=repeated(10, 25), deadline=None)
@given(seed=st.integers(0, 99), count=st.integers(1, 9))
def test_norm_sim_is_the_norm_of_the_row_of_cosines(seed: int, count: int) -> None:
    images, targets = drawn(seed, 4).images, drawn(seed + 1, count).images
    cosines = images.astype(float) @ targets.astype(float).T
    for norm, order in (("max", np.inf), ("l2", 2)):
        expected = np.linalg.norm(cosines, ord=order, axis=1)
        assert norm_sim(images, targets, norm) == pytest.approx(expected, abs=2e-6)


def test_a_result_depends_neither_on_the_rows_beside_it_nor_on_how_they_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measures, "OTHERS_AT_ONCE", 4)
    monkeypatch.setattr(measures, "ROWS_AT_ONCE", 3)
    pairs, batch = drawn(1, 8), drawn(2, 11, 4)
    whole = neg_clip_loss(pairs, [batch], 0.01)
    for low in range(8):
        one = pairs.take(np.array([low]))
        assert neg_clip_loss(one, [batch], 0.01)[0] == whole[low]
        near = norm_sim(one.images, batch.images, "l2")
        assert near[0] == norm_sim(pairs.images, batch.images, "l2")[low]
