import math
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.filters.clip_similarity import ClipSimilarity
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import CLIP_SIMILARITY

# By hand: (0.6, 0.8) . (1, 0) = 0.6; the same vector; opposite ones; (3, 4) . (4, 3) / (5 * 5).
IMAGES = np.array([[0.6, 0.8], [0, 1], [1, 0], [3, 4]], np.float32)
TEXTS = np.array([[1, 0], [0, 1], [-1, 0], [4, 3]], np.float32)
COSINES = [0.6, 1.0, -1.0, 0.96]


def kept(rule: str, cosines: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"clip_similarity": pa.array(cosines, CLIP_SIMILARITY.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def measured(images: Vectors, texts: Vectors) -> list[float]:
    values = ClipSimilarity().measure(image_embedding=images, text_embedding=texts)
    assert values.dtype == np.float32
    return list(values.tolist())


def test_measures_the_cosine_whatever_the_lengths() -> None:
    assert measured(IMAGES, TEXTS) == pytest.approx(COSINES, abs=1e-7)


def test_a_cosine_never_leaves_its_range() -> None:
    same = np.random.default_rng(0).normal(size=(500, 33)).astype(np.float32)
    assert max(measured(same, same)) == 1.0
    assert min(measured(same, -same)) == -1.0


def test_a_vector_without_a_direction_is_like_nothing() -> None:
    assert measured(np.zeros((1, 2), np.float32), TEXTS[:1]) == [0.0]


@pytest.mark.parametrize("bound", [-1, 0.0, 0.26, 0.28, 0.3])
def test_the_bound_is_kept_and_the_next_number_below_is_dropped(bound: float) -> None:
    below = float(np.nextafter(np.float32(bound), np.float32(-math.inf)))
    rule = ClipSimilarity(min_similarity=bound).rule()
    assert kept(rule, [bound, below]) == [True, False]


def test_a_null_score_is_not_kept() -> None:
    assert kept(ClipSimilarity().rule(), [None]) == [None]


@pytest.mark.parametrize("bound", [-1.1, 28, math.nan])
def test_refuses_what_is_no_cosine(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"in \[-1, 1\], got {bound}"):
        ClipSimilarity(min_similarity=bound)


def test_no_pairs_give_no_scores() -> None:
    assert measured(np.zeros((0, 512), np.float32), np.zeros((0, 512), np.float32)) == []


def test_order_and_batches_do_not_matter() -> None:
    images, texts = np.random.default_rng(1).normal(size=(2, 50, 512)).astype(np.float32)
    whole = measured(images, texts)
    parts = measured(images[:7], texts[:7]) + measured(images[7:], texts[7:])
    assert parts == whole
    assert measured(images[::-1], texts[::-1]) == whole[::-1]


def test_gives_the_published_means_on_real_vectors(real: Path) -> None:
    table = pq.read_table(real / "clip_vit_b32_openai" / "vectors.parquet")
    images, texts = (
        np.stack(table[name].to_numpy()).astype(np.float32)
        for name in ("image_embedding", "text_embedding")
    )
    true = np.array(measured(images, texts))
    shuffled = np.array(measured(images, texts[np.random.default_rng(0).permutation(500)]))
    assert true.mean() == pytest.approx(0.325, abs=0.0005)
    assert (true >= 0.28).mean() == pytest.approx(0.936, abs=0.0005)
    assert shuffled.mean() == pytest.approx(0.174, abs=0.005)


def test_languages_may_have_thresholds_of_their_own() -> None:
    rule = ClipSimilarity(by_language={"en": 0.28, "other": 0.26}).rule()
    ledger = pa.table(
        {
            "clip_similarity": pa.array([0.28, 0.27, 0.26, 0.25, 0.26, None], CLIP_SIMILARITY.type),
            "language": ["en", "en", "de", "de", None, "en"],
        }
    )
    verdicts = [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]
    assert verdicts == [True, False, True, False, True, None]


def test_a_language_that_is_not_listed_is_held_to_the_usual_threshold() -> None:
    rule = ClipSimilarity(min_similarity=0.3, by_language={"de": 0.26}).rule()
    ledger = pa.table(
        {
            "clip_similarity": pa.array([0.26, 0.29, 0.3], CLIP_SIMILARITY.type),
            "language": ["de", "fr", "fr"],
        }
    )
    verdicts = [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]
    assert verdicts == [True, False, True]


@pytest.mark.parametrize("thresholds", [{"English": 0.3}, {"en": 1.1}, {"en'": 0.2}])
def test_refuses_what_is_no_code_or_no_cosine_of_it(thresholds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="by_language"):
        ClipSimilarity(by_language=thresholds)
