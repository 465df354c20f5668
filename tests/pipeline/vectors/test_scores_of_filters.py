from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pairsieve.filters import FILTERS
from pairsieve.filters.base import Filters, Prompted
from pairsieve.filters.order import ordered
from pairsieve.pipeline.vectors.scorers import PromptClasses, StoredImages
from pairsieve.pipeline.vectors.scores import EmbeddedPairs, PreparedScorers, measure
from pairsieve.pipeline.vectors.slice_records import ScoreSources
from pairsieve.schemas.columns import (
    AESTHETIC,
    CAPTION_WORDS,
    CLIP_SIMILARITY,
    IMAGE_EMBEDDING,
    NSFW,
    TEXT,
    VIOLENCE,
    WATERMARK,
    Column,
)

Array = NDArray[Any]
ROWS = 4


class FirstNumber:
    """Reads a vector."""

    reads: ClassVar[tuple[Column, ...]] = (IMAGE_EMBEDDING,)
    writes: ClassVar[tuple[Column, ...]] = (CLIP_SIMILARITY,)

    def measure(self, image_embedding: Array) -> Array:
        return image_embedding[:, 0]


class PerWord:
    """Mixes a vector, another's score and what `gather` has measured of the text."""

    reads: ClassVar[tuple[Column, ...]] = (CAPTION_WORDS, CLIP_SIMILARITY, IMAGE_EMBEDDING)
    writes: ClassVar[tuple[Column, ...]] = (NSFW,)

    def measure(
        self, caption_words: Array, clip_similarity: Array, image_embedding: Array
    ) -> Array:
        assert caption_words.dtype == np.int32
        return (clip_similarity + image_embedding[:, 1]) / caption_words


class Twice:
    """Reads a column that is null for some pairs."""

    reads: ClassVar[tuple[Column, ...]] = (NSFW,)
    writes: ClassVar[tuple[Column, ...]] = (VIOLENCE,)

    def measure(self, nsfw: Array) -> Array:
        assert not np.isnan(nsfw).any()
        return 2 * nsfw


class OfRating:
    """Reads a score that this recipe does not ask for."""

    reads: ClassVar[tuple[Column, ...]] = (AESTHETIC,)
    writes: ClassVar[tuple[Column, ...]] = (WATERMARK,)

    def measure(self, aesthetic: Array) -> Array:
        raise AssertionError(aesthetic)


class Words:
    """Measures in `gather`."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_WORDS,)

    def measure(self, text: Array) -> Array:
        raise AssertionError(text)


TOYS = (OfRating, Twice, PerWord, FirstNumber, Words)


def scored(filters: Filters) -> pa.Table:
    """Return the scores of four pairs by those of `filters` that read vectors."""
    order, random = ordered(filters), np.random.default_rng(7)
    images = random.integers(-4, 5, (ROWS, 3)).astype(np.float16) / np.float16(8)
    prompts = {
        type(one).__name__: PromptClasses(random.random((len(one.prompts), 3), np.float32), 10.0)
        for one in sorted(order.vectors, key=lambda one: type(one).__name__)
        if isinstance(one, Prompted)
    }
    gathered = pa.table(
        {
            "text": ["a dog", "a kid", "two dogs", "no teens"],
            "caption_words": pa.array([2, 4, None, 1], pa.int32()),
        }
    )
    rows = pa.chunked_array([pa.array(range(ROWS), pa.int64())])
    stored = StoredImages(lambda: iter(()), np.arange(ROWS))
    pairs = EmbeddedPairs(rows, images, images[::-1], gathered, stored)
    return measure(pairs, PreparedScorers(prompts, {}, {}, None, (), order), ScoreSources({}))


@pytest.mark.parametrize("filters", [TOYS, TOYS[::-1]])
def test_a_filter_reads_scores_and_columns_of_gather_beside_vectors(filters: Filters) -> None:
    table = scored(filters)
    first, second = _numbers()
    assert table["clip_similarity"].to_pylist() == first
    per_word = [(first[i] + second[i]) / words for i, words in ((0, 2), (1, 4), (3, 1))]
    assert table["nsfw"].to_pylist() == [per_word[0], per_word[1], None, per_word[2]]


def test_what_reads_a_null_is_null() -> None:
    table = scored(TOYS)
    twice = [None if value is None else 2 * value for value in table["nsfw"].to_pylist()]
    assert table["violence"].to_pylist() == twice
    assert twice.count(None) == 1
    assert table["watermark"].to_pylist() == [None] * ROWS


def test_the_order_of_the_filters_changes_no_score() -> None:
    forwards, backwards = scored(FILTERS), scored(FILTERS[::-1])
    assert forwards.equals(backwards)
    for name in ("clip_similarity", "nsfw", "violence", "watermark", "minor_safety"):
        assert forwards[name].null_count == 0


def _numbers() -> tuple[list[float], list[float]]:
    """Return the first and the second number of each image vector: eighths, so exact."""
    drawn = np.random.default_rng(7).integers(-4, 5, (ROWS, 3))
    return (drawn[:, 0] / 8).tolist(), (drawn[:, 1] / 8).tolist()
