from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.text_safety import ListedWords, TextSafety
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import LISTED_WORDS


@pytest.fixture
def paths(tmp_path: Path) -> tuple[tuple[str, str], ...]:
    """Return a list of a file and one of a folder with a file per language."""
    (tmp_path / "spam.txt").write_text("Casino\nhot deal\n\n c++ \n")
    folder = tmp_path / "unsafe"
    folder.mkdir()
    (folder / "en").write_text("darn\nheck\n")
    (folder / "de").write_text("\ufeffMIST\nverflixt\n", encoding="utf-8")
    (folder / "ja").write_text("畜生\n", encoding="utf-8")
    (folder / "th").write_text("บ้า\n", encoding="utf-8")
    (folder / ".git").write_text("dog\n")
    return (("spam", str(tmp_path / "spam.txt")), ("unsafe", str(folder)))


CASES = [
    ("a dog", []),
    ("DARN, a dog; darn!", [("unsafe", 2)]),
    ("darned heckler, Chemist, misty", []),
    ("casino and hot  deal", [("spam", 2)]),
    ("a hot ideal", []),
    ("learn C++ now", [("spam", 1)]),
    ("ＤＡＲＮ", [("unsafe", 1)]),
    ("この畜生め", [("unsafe", 1)]),
    ("คนบ้าๆ", [("unsafe", 1)]),
    ("heck-casino_darn", [("spam", 1), ("unsafe", 2)]),
    ("", []),
]


@pytest.mark.parametrize(("text", "counts"), CASES)
def test_entries_are_counted_by_list(
    text: str, counts: list[tuple[str, int]], paths: tuple[tuple[str, str], ...]
) -> None:
    assert ListedWords(paths).measure(np.array([text], object))[0] == counts


def test_order_and_batches_do_not_matter(paths: tuple[tuple[str, str], ...]) -> None:
    texts = np.array([text for text, _ in CASES], object)
    back = ListedWords(paths).measure(texts[::-1]).tolist()[::-1]
    assert ListedWords(paths).measure(texts).tolist() == back == [counts for _, counts in CASES]
    assert ListedWords(paths).measure(texts[:0]).shape == (0,)


def test_a_bound_is_kept_and_one_more_is_dropped_of_all_lists_or_some() -> None:
    rows = [[("spam", 1)], [("spam", 1), ("unsafe", 1)], [], None]
    ledger = pa.table({"listed_words": pa.array(rows, LISTED_WORDS.type)})
    kept = {
        rule: [row[0] for row in duckdb.from_arrow(ledger).project(rule.rule()).fetchall()]
        for rule in (TextSafety(max_words=1), TextSafety(lists=("unsafe",)), TextSafety())
    }
    assert list(kept.values()) == [
        [True, False, True, None],
        [True, False, True, None],
        [False, False, True, None],
    ]


def test_is_measured_where_the_recipe_has_lists() -> None:
    recipe = {"input": {"path": "p"}, "text": {"word_lists": {"spam": "s.txt"}}}
    configured = TextSafety().configured(Recipe.model_validate(recipe))
    assert configured == ListedWords((("spam", "s.txt"),))
    assert TextSafety().configured(Recipe.model_validate(recipe | {"text": {}})) is None


def test_refuses_a_name_for_a_list_of_names_and_a_negative_bound() -> None:
    with pytest.raises(ValueError, match="lists must be a list of names, got 'spam'"):
        TextSafety(lists="spam")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_words must be at least 0, got -1"):
        TextSafety(max_words=-1)


def test_of_lists_together_each_must_be_met() -> None:
    rows = [[("a", 1)], [("a", 5)], [("a", 1), ("b", 1)], [("a", 2), ("b", 2)], [], None]
    ledger = pa.table({"listed_words": pa.array(rows, LISTED_WORDS.type)})
    kept = [
        [row[0] for row in duckdb.from_arrow(ledger).project(rule.rule()).fetchall()]
        for rule in (
            TextSafety(lists=("a", "b"), together=True),
            TextSafety(lists=("a", "b"), together=True, max_words=1),
        )
    ]
    assert kept == [[True, True, False, False, True, None], [True, True, True, False, True, None]]


def test_refuses_one_list_together() -> None:
    with pytest.raises(ValueError, match="together needs at least two `lists`"):
        TextSafety(lists=("a",), together=True)
