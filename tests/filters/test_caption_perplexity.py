from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters import language_models
from pairsieve.filters.caption_perplexity import CaptionPerplexity, Perplexities
from pairsieve.schemas.recipe import Recipe

ARPA = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1.0\t<unk>\t0
0\t<s>\t-0.3
-0.7\t</s>\t0
-0.5\tdog\t-0.2
-0.6\tred\t-0.1

\\2-grams:
-0.3\t<s> red
-0.2\tred dog
-0.4\tdog </s>

\\end\\
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "tiny.arpa"
    path.write_text(ARPA)
    return str(path)


def test_it_is_the_mean_surprise_of_words_and_of_the_end(model: str) -> None:
    # P(red | <s>) P(dog | red) P(</s> | dog) = 10 ** -0.9, of 3; an unknown word after the
    # beginning takes its back-off: 10 ** (-0.3 - 1.0), and the end 10 ** -0.7, of 2.
    found = Perplexities(model).measure(np.array(["Red DOG", "cat", ""], object))
    assert found.tolist() == pytest.approx([10**0.3, 10**1.0, 10**1.0], rel=1e-5)


def test_case_may_count(model: str) -> None:
    found = Perplexities(model, None, False).measure(np.array(["Red DOG", "red dog"], object))
    assert found[0] > found[1] == pytest.approx(10**0.3, rel=1e-5)


def test_order_and_batches_do_not_matter(model: str) -> None:
    texts = np.array(["red dog", "\ud800", "a\0b", "x " * 500_000, "犬"], object)
    found = Perplexities(model).measure(texts)
    assert Perplexities(model).measure(texts[::-1]).tolist() == found.tolist()[::-1]
    assert np.isfinite(found).all()
    assert Perplexities(model).measure(texts[:0]).shape == (0,)


def test_pieces_of_sentencepiece_are_words(tmp_path: Path, model: str) -> None:
    import sentencepiece

    text = tmp_path / "text"
    text.write_text("red dog\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "p"), vocab_size=10, minloglevel=2
    )
    found = Perplexities(model, str(tmp_path / "p.model")).measure(np.array(["red dog"], object))
    assert found[0] == pytest.approx(10**1.0, rel=0.2)  # the model knows words, and these are none


def test_the_bounds_are_kept_and_beyond_is_dropped() -> None:
    ledger = pa.table({"caption_perplexity": pa.array([1.5, 2, 4, 4.5, None], pa.float32())})
    rule = CaptionPerplexity(min_perplexity=2, max_perplexity=4).rule()
    kept = duckdb.from_arrow(ledger).project(rule).fetchall()
    assert [row[0] for row in kept] == [False, True, True, False, None]


def test_is_measured_where_the_recipe_has_a_model() -> None:
    recipe = {"input": {"path": "p"}, "text": {"perplexity": {"model": "m"}}}
    assert CaptionPerplexity().configured(Recipe.model_validate(recipe)) == Perplexities("m")
    assert CaptionPerplexity().configured(Recipe.model_validate(recipe | {"text": {}})) is None


@pytest.mark.parametrize("bounds", [(0.5, 2.0), (3.0, 2.0), (1.0, float("nan"))])
def test_bounds_that_cannot_be_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be at least 1 and in this order"):
        CaptionPerplexity(*bounds)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("hello")
    with pytest.raises(ValueError, match="none: not a model of KenLM: Cannot read model"):
        language_models.check(str(tmp_path / "none"), None)
