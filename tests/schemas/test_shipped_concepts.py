from typing import Any

import pytest
from pydantic import ValidationError

from pairsieve.pipeline.ledger.rules import rules
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.shipped_concepts import PROMPTS

DOCUMENTS = ("identity_document", "payment_card", "resume")


def recipe(concepts: dict[str, Any], keep: tuple[dict[str, Any], ...] = ()) -> Recipe:
    model = {"model": "pairsieve-tiny", "pretrained": "demo", "concepts": concepts}
    return Recipe.model_validate({"input": {"path": "p"}, "embed": model, "keep": [*keep]})


def test_a_shipped_concept_is_what_its_prompts_written_out_are() -> None:
    assert tuple(PROMPTS) == DOCUMENTS
    shipped = recipe(dict.fromkeys(DOCUMENTS, "shipped"))
    assert shipped == recipe({name: {"prompts": PROMPTS[name]} for name in DOCUMENTS})


def test_the_first_class_is_what_is_scored_and_prompts_differ() -> None:
    for name, classes in PROMPTS.items():
        assert next(iter(classes)) == name
        every = [prompt for prompts in classes.values() for prompt in prompts]
        assert len(set(every)) == len(every)


def test_a_rule_drops_by_it() -> None:
    keep = {"concept": {"name": "identity_document", "max_probability": 0.5}}
    (rule,) = rules(recipe({"identity_document": "shipped"}, (keep,)))
    assert rule.sql == "concepts['identity_document'] BETWEEN 0.0 AND 0.5"


def test_what_is_not_shipped_is_refused() -> None:
    with pytest.raises(ValidationError, match="no concept `passport` is shipped; known: .*resume"):
        recipe({"passport": "shipped"})
    with pytest.raises(ValidationError):
        recipe({"identity_document": "ours"})
