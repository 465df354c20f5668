from typing import Any

import pyarrow as pa
import pytest

from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.pipeline.unit.page_opt_outs import PAGE_ROBOTS, PageOptOuts, page_opt_out
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe


@pytest.mark.parametrize(
    ("value", "evidence"),
    [
        ("noai, noimageai", "meta robots: noai"),
        ("index, follow, NOML", "meta robots: noml"),
        ("noimageindex", "meta robots: noimageindex"),
        (["index", "noai"], "meta robots: noai"),
        ("lab: noai", "meta robots: noai"),
        ("tdm-reservation: 1", "meta tdm-reservation: 1"),
        ("index; tdm-reservation=1", "meta tdm-reservation: 1"),
        ("otherbot: noai", None),
        ("noindex, nofollow", None),  # of the page, not of its pictures
        ("none", None),
        ("tdm-reservation: 10", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_what_a_page_says(value: Any, evidence: str | None) -> None:
    found = page_opt_out(value, "lab")
    assert (found.evidence if found else None) == evidence


@pytest.mark.parametrize(("obey", "outcome"), [("all", Outcome.OPT_OUT), ("none", None)])
def test_the_column_of_that_name_counts_without_being_named(
    obey: str, outcome: Outcome | None
) -> None:
    table = pa.table({"row": [0], "url": ["http://a.org/a"], "text": ["a"], PAGE_ROBOTS: ["noai"]})
    recipe = Recipe.model_validate({"input": {"path": "p"}, "opt_outs": {"obey": obey}})
    part = Part(table, recipe=recipe)
    pages = PageOptOuts.of(part, None, recipe)  # type: ignore[arg-type]
    assert pages.forbid(part, 0) is (outcome is not None)
    assert part.values["opt_outs"] == [["page"]]
    assert part.values["outcome"] == [outcome]
