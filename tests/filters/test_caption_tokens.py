import duckdb
import numpy as np
import pytest

from pairsieve.filters.caption_tokens import CaptionTokens
from pairsieve.schemas.recipe import Recipe


def recipe(tokens: bool) -> Recipe:
    embed = {"model": "ViT-B-32", "pretrained": "openai"}
    return Recipe.model_validate(
        {"input": {"path": "p"}, "embed": embed, "text": {"tokens": tokens}}
    )


def test_what_lies_beyond_the_context_is_cut() -> None:
    counts = np.array([2, 77, 78, 100], np.int32)
    tokens, cut = CaptionTokens().measure(counts, np.full(4, 77, np.int32))
    assert tokens.tolist() == [2, 77, 78, 100]
    assert cut.tolist() == [0, 0, 1, 23]
    assert tokens.dtype == cut.dtype == np.int32


def test_the_bound_is_kept_and_one_more_is_dropped() -> None:
    values = "(VALUES (3), (4), (NULL)) t(caption_tokens_cut)"
    rows = duckdb.execute(f"SELECT {CaptionTokens(max_cut=3).rule()} FROM {values}").fetchall()
    assert rows == [(True,), (False,), (None,)]


def test_is_measured_where_the_recipe_asks_for_it() -> None:
    assert CaptionTokens().configured(recipe(True)) == CaptionTokens()
    assert CaptionTokens().configured(recipe(False)) is None


def test_refuses_a_negative_bound() -> None:
    with pytest.raises(ValueError, match="max_cut must be at least 0, got -1"):
        CaptionTokens(max_cut=-1)


def test_no_texts_give_no_counts() -> None:
    empty = np.array([], np.int32)
    assert [column.shape for column in CaptionTokens().measure(empty, empty)] == [(0,), (0,)]
