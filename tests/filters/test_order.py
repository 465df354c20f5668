from typing import Any

import pytest

from pairsieve.filters import FILTERS
from pairsieve.filters.base import Filters
from pairsieve.filters.order import Phase, ordered
from pairsieve.pipeline.ledger.rules import gates, rules
from pairsieve.schemas import columns
from pairsieve.schemas.columns import (
    ASPECT_RATIO,
    CAPTION_CHARS,
    CAPTION_WORDS,
    CLIP_SIMILARITY,
    CLUSTER,
    IMAGE_EMBEDDING,
    LUMA,
    NSFW,
    OUTCOME,
    PROMPT_LOGITS,
    SHARPNESS,
    TEXT,
    WIDTH,
    Column,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def toy(name: str, reads: tuple[Column, ...], *writes: Column) -> type[Any]:
    """Return the class of a filter that measures something."""
    return type(name, (), {"reads": reads, "writes": writes, "measure": lambda _, **given: given})


WORDS = toy("Words", (TEXT,), CAPTION_WORDS)
OF_WORDS = toy("OfWords", (CAPTION_WORDS,), CAPTION_CHARS)
MIXED = toy("Mixed", (WIDTH, CAPTION_CHARS), ASPECT_RATIO)
SCORE = toy("Score", (ASPECT_RATIO, IMAGE_EMBEDDING), NSFW)
OF_SCORES = toy("OfScores", (NSFW, ASPECT_RATIO), CLIP_SIMILARITY)
TOYS = (OF_SCORES, SCORE, MIXED, OF_WORDS, WORDS)


def test_a_filter_measures_behind_those_it_reads_once_all_inputs_are_there() -> None:
    order = ordered(TOYS)
    assert [type(one) for one in order.text] == [WORDS, OF_WORDS]
    assert [type(one) for one in order.image] == [MIXED]
    assert [type(one) for one in order.vectors] == [SCORE, OF_SCORES]
    assert order.gathered == (ASPECT_RATIO,)


@pytest.mark.parametrize("filters", [TOYS, FILTERS])
def test_the_order_of_the_tuple_means_nothing(filters: Filters) -> None:
    names = [
        [[type(one) for one in part] for part in (order.text, order.image, order.vectors)]
        for order in (ordered(filters), ordered(filters[::-1]))
    ]
    assert names[0] == names[1]


def test_gates_are_asked_as_soon_as_the_filters_have_measured() -> None:
    keep = [{"where": f"{name} > 1"} for name in ("caption_chars", "aspect_ratio", "nsfw")]
    gated = [{**one, "gate": True} for one in keep[:2]]
    recipe = Recipe.model_validate(
        {
            "input": {"path": "p"},
            "keep": [*gated, keep[2]],
            "embed": {"model": "m", "pretrained": "p"},
        }
    )
    assert [rule.phase for rule in rules(recipe, TOYS)] == [
        Phase.TEXT,
        Phase.IMAGE,
        Phase.VECTORS,
    ]
    assert [rule.name for rule in gates(recipe, Phase.TEXT, TOYS)] == ["caption_chars > 1"]


REFUSED = {
    "filters: `a` reads `sharpness`, `c` reads `aspect_ratio`, `b` reads `caption_words`: a "
    "cycle, so none can be the first; take one of these columns out of `reads`": (
        toy("A", (TEXT, SHARPNESS), CAPTION_WORDS),
        toy("B", (CAPTION_WORDS,), ASPECT_RATIO),
        toy("C", (ASPECT_RATIO,), SHARPNESS),
    ),
    "filters: `a` reads `caption_words`: a cycle, so none can be the first; take one of these "
    "columns out of `reads`": (toy("A", (CAPTION_WORDS,), CAPTION_WORDS),),
    "filters: `a` reads `sharpness`, which no filter writes; let one write it, or read of `url`, "
    "`text`, `clean_text`, `token_count`, `context_length`, `width`, `height`, `luma`, "
    "`luma_256`, `colours`, `trimmed_luma`, `trimmed_colours`, `orientations`, `image_embedding`, "
    "`text_embedding`, `prompt_logits`, `aesthetic`, `concepts`, `tag`, `tag_probability`, "
    "`tags`, `image_cluster`": (toy("A", (SHARPNESS,), CAPTION_WORDS),),
    "filters: `a` reads `cluster`, which is only there when the whole pool has been looked at; a "
    "measure cannot wait for that, but a rule may read it": (toy("A", (TEXT, CLUSTER), NSFW),),
    "filters: `a` reads `luma`, which is only there in `gather`, and `image_embedding`, which is "
    "only there in `embed`; measure `luma` in a filter of its own, and read the column that it "
    "writes": (toy("A", (LUMA, IMAGE_EMBEDDING), NSFW),),
    "filters: `b` reads `luma`, which is only there in `gather`, and `nsfw`, which is only there "
    "in `embed`; measure `luma` in a filter of its own, and read the column that it writes": (
        toy("A", (IMAGE_EMBEDDING,), NSFW),
        toy("B", (NSFW, LUMA), CLIP_SIMILARITY),
    ),
    "filters: `a` reads `prompt_logits`; give it `prompts`": (toy("A", (PROMPT_LOGITS,), NSFW),),
    "filters: `b` writes `caption_words`, and so does `a`; give one of them a column of its own": (
        toy("A", (TEXT,), CAPTION_WORDS),
        toy("B", (TEXT,), CAPTION_WORDS),
    ),
    "filters: `a` measures `nsfw` in `gather`, so the column belongs in GATHERED of "
    "schemas/columns.py; put it there": (toy("A", (TEXT,), NSFW),),
    "filters: `a` measures `caption_words` in `embed`, so the column belongs in EMBEDDED of "
    "schemas/columns.py; put it there": (toy("A", (TEXT, IMAGE_EMBEDDING), CAPTION_WORDS),),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_ordered_is_refused_in_one_line(text: str) -> None:
    for filters in (REFUSED[text], REFUSED[text][::-1]):
        with pytest.raises(BadOption) as refused:
            ordered(filters)
        assert str(refused.value) == text


def test_a_recipe_is_refused_with_the_filters_that_cannot_be_ordered() -> None:
    recipe = Recipe.model_validate({"input": {"path": "p"}})
    with pytest.raises(BadOption, match="filters: `a` reads `outcome`, which no filter writes"):
        rules(recipe, (toy("A", (OUTCOME,), CAPTION_WORDS),))


@pytest.mark.parametrize("listed", [(), ("GATHERED", "GROUPED")])
def test_a_column_in_no_tuple_or_in_two_is_refused(
    listed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Column("fresh", TEXT.type, "", "Just added.")
    monkeypatch.setattr(columns, "FRESH", fresh, raising=False)
    monkeypatch.setattr(columns, "COLUMNS", columns.COLUMNS + (fresh,) * len(listed))
    with pytest.raises(BadOption, match=rf"^schemas/columns.py: FRESH is in {len(listed)} of"):
        columns.check_listed()
