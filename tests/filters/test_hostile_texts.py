"""Texts that harm: every measure of texts survives them, and gives each what it gives it alone."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.filters.test_caption_perplexity import ARPA
from tests.repetition import repeated

from pairsieve.filters import FILTERS
from pairsieve.filters.affixes import affixes, without
from pairsieve.filters.base import Measures, configured, name_of
from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.order import ordered
from pairsieve.pipeline.ledger.rules import Rule, passing
from pairsieve.pipeline.ledger.rules import rules as rules_of
from pairsieve.pipeline.models.token_counts import counter
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.schemas.columns import TEXT, Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import (
    CLEAN_TEXT,
    CONTEXT_LENGTH,
    LISTED_WORDS,
    PERSONAL_DATA,
    TEXT_CLASSES,
    TEXT_MEASURED,
    TOKEN_COUNT,
)

SIZE = repeated(200_000, 1_000_000)  # characters of the long ones
HOSTILE = {
    "nul": "a\0dog\0",
    "right_to_left": "\u202edog\u202c \u2066a\u2069 كلب",
    "long": "x" * SIZE,
    "long_of_words": "dog " * (SIZE // 4),
    "long_of_han": "犬" * SIZE,
    "long_of_marks": "a" + "\u0301" * SIZE,
    "sql": "'; DROP TABLE ledger; --",
    "html": "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "formula": '=HYPERLINK("http://a.example","x")',
    "csv": 'a,"b"\r\nc',
    "json": '{"a": "\\u0000"}',
    "format": "%s %n {0} ${x} `id` $(id)",
    "emoji": "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🐶",
    "zalgo": "d̷̢o̸g̵̨ ",
    "nothing_seen": "\u200b\u2060\ufeff",
    "no_character": "\ufffe\uffff\U0010ffff",
    "spaces": " \t\n\u3000\x85",
}
SURROGATES = ("\ud800", "a\udfffdog", "\udc00\ud800")  # never stored: Arrow's text is UTF-8
TEXTS = [*HOSTILE.values(), *SURROGATES]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("lists") / "words"
    path.write_text("dog\n犬\n'; drop table ledger; --\n")
    (path.parent / "m.arpa").write_text(ARPA)
    text = {"tokens": True, "nouns": str(path), "word_lists": {"animals": str(path)}}
    text["perplexity"] = {"model": str(path.parent / "m.arpa")}
    embed = {"model": "ViT-B-32", "pretrained": "openai"}
    return Recipe.model_validate({"input": {"path": "p"}, "embed": embed, "text": text})


def inputs(texts: list[str], recipe: Recipe) -> dict[Column, Any]:
    assert recipe.embed
    tokens = counter(recipe.embed)
    return {
        TEXT: np.array(texts, object),
        CLEAN_TEXT: np.array([cleaned(text) for text in texts], object),
        TOKEN_COUNT: np.array([tokens.count(text) for text in texts], np.int32),
        CONTEXT_LENGTH: np.full(len(texts), tokens.context_length, np.int32),
    }


def measures(recipe: Recipe) -> list[Measures]:
    return [m for one in ordered(FILTERS).text if (m := configured(one, recipe))]


def test_every_measure_gives_each_text_what_it_gives_it_alone(recipe: Recipe) -> None:
    for one in measures(recipe):
        together = columns(one, inputs(TEXTS, recipe))
        for index, text in enumerate(TEXTS):
            alone = columns(one, inputs([text], recipe))
            assert [c[index] for c in together] == [c[0] for c in alone], type(one)


def columns(one: Measures, given: dict[Column, Any]) -> list[list[Any]]:
    """Return the columns that a measure writes, as lists."""
    result = one.measure(**{column.name: given[column] for column in one.reads})
    return [array.tolist() for array in (result if isinstance(result, tuple) else (result,))]


def test_a_ledger_part_holds_them_and_rules_decide(recipe: Recipe) -> None:
    texts = list(HOSTILE.values())
    table = pa.table(
        {
            "row": pa.array(range(len(texts)), pa.int64()),
            "url": [f"http://127.0.0.1/{row}" for row in range(len(texts))],
            "text": texts,
        }
    )
    part = Part(table, recipe=recipe)
    given = inputs(texts, recipe)
    part.measure_texts(range(len(texts)), {c: v for c, v in given.items() if c != TEXT})
    ledger = part.table()
    assert ledger["text"].to_pylist() == texts
    unseen = {c.name for c in TEXT_MEASURED if ledger[c.name].null_count}
    assert unseen <= {"language_second", "language_second_confidence", "text_classes"}
    asked = set(TEXT_MEASURED) - {TEXT_CLASSES}
    keep = [{name_of(f): {}, "gate": True} for f in FILTERS if asked & set(of(f))]
    rules = Recipe.model_validate({"input": {"path": "p"}, "keep": keep}).keep
    listed = rules_of(recipe.model_copy(update={"keep": rules}))
    assert len(listed) == len(keep) >= 9
    for rule in listed:
        assert passing(ledger, [rule]).shape == (len(texts),)


def of(f: type[Any]) -> tuple[Column, ...]:
    """Return what a filter writes, if it has a rule."""
    return tuple(f.writes) if hasattr(f, "rule") and hasattr(f, "writes") else ()


def test_sql_in_a_text_or_in_a_list_is_only_a_text(recipe: Recipe) -> None:
    (counts,) = columns(measures_of("ListedWords", recipe), inputs([HOSTILE["sql"]], recipe))
    assert counts == [[("animals", 1)]]
    row = pa.array([[("animals", 1)]], LISTED_WORDS.type)
    none = pa.array([[]], PERSONAL_DATA.type)
    ledger = pa.table({"listed_words": row, "personal_data": none})
    rule = next(f for f in FILTERS if name_of(f) == "text_safety")(lists=("a'; DROP",)).rule()
    assert passing(ledger, [Rule("x", rule, False, 0)]).tolist() == [True]  # type: ignore[arg-type]


def measures_of(name: str, recipe: Recipe) -> Measures:
    return next(one for one in measures(recipe) if type(one).__name__ == name)


@pytest.mark.parametrize("text", [text[:10_000] for text in TEXTS])
def test_what_separators_part_is_part_of_the_text(text: str) -> None:
    for one in (text, f"a dog | {text}", f"{text}: a dog - {text}"):
        clean = cleaned(one)
        prefix, suffix = affixes(clean)
        assert clean.startswith(prefix)
        assert clean.endswith(suffix)
        assert without(one, prefix, suffix) in clean
