from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.caption_nouns import CaptionNouns, Nouns
from pairsieve.schemas.recipe import Recipe

CASES = [
    ("a Dog on a hill", 2),
    ("dogs run", 0),  # a plural is an entry of its own
    ("hot dog", 2),  # and so is one of two words: both count
    ("the hilly road", 0),
    ("丘の上の犬", 1),
    ("", 0),
]


@pytest.fixture
def nouns(tmp_path: Path) -> Nouns:
    path = tmp_path / "nouns.txt"
    path.write_text("dog\nhot dog\nhill\n犬\n", encoding="utf-8")
    return Nouns(str(path))


@pytest.mark.parametrize(("text", "count"), CASES)
def test_entries_are_counted(text: str, count: int, nouns: Nouns) -> None:
    assert nouns.measure(np.array([text], object)).tolist() == [count]


def test_order_and_batches_do_not_matter(nouns: Nouns) -> None:
    texts = np.array([text for text, _ in CASES], object)
    assert nouns.measure(texts).tolist() == [count for _, count in CASES]
    assert nouns.measure(texts[::-1]).tolist() == [count for _, count in CASES][::-1]
    assert nouns.measure(texts[:0]).shape == (0,)


def test_the_bound_is_kept_and_one_less_is_dropped() -> None:
    ledger = pa.table({"caption_nouns": pa.array([1, 2, 3, None], pa.int32())})
    rule = duckdb.from_arrow(ledger).project(CaptionNouns(min_nouns=2).rule())
    assert [row[0] for row in rule.fetchall()] == [False, True, True, None]


def test_is_measured_where_the_recipe_has_a_list() -> None:
    recipe = {"input": {"path": "p"}, "text": {"nouns": "n.txt"}}
    assert CaptionNouns().configured(Recipe.model_validate(recipe)) == Nouns("n.txt")
    assert CaptionNouns().configured(Recipe.model_validate(recipe | {"text": {}})) is None


def test_refuses_a_negative_bound() -> None:
    with pytest.raises(ValueError, match="min_nouns must be at least 0, got -1"):
        CaptionNouns(min_nouns=-1)
