"""Opt-outs of the pages that the input's pairs come from, where it has a column of them.

The value of a pair is what the robots metas of its page say, one after the other, such as `noai,
noimageai`; `tdm-reservation: 1` is the meta of that name. A page's `noindex` and `none` keep the
page out of an index and say nothing of its pictures.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from pairsieve.pipeline.rights.opt_out import OptOut
from pairsieve.pipeline.rights.preferences import directive
from pairsieve.pipeline.rights.robots import product_token
from pairsieve.pipeline.unit.ledger_part import Part
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_opt_outs import Form

PAGE_ROBOTS = "page_robots"  # the column if the recipe names none
DIRECTIVES = frozenset(("noai", "noimageai", "noml", "noimageindex"))
_RESERVED = re.compile(r"tdm-reservation\s*[:=]\s*1\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PageOptOuts:
    """What the pages of a task slice say, per row, to this robot; None without such a column."""

    values: list[Any] | None
    robot: str = ""
    obeyed: Collection[Form] = ()

    @classmethod
    def of(cls, part: Part, plan: Plan, recipe: Recipe) -> Self:
        """Return them as the recipe names their column."""
        named = recipe.opt_outs.page
        column = plan.column_of(named) if named else PAGE_ROBOTS
        if column not in part.extra_columns.column_names:
            return cls(None)
        values = part.extra_columns[column].to_pylist()
        robot = product_token(recipe.fetch.user_agent) if recipe.fetch else ""
        return cls(values, robot, recipe.opt_outs.forms)

    def forbid(self, part: Part, row: int) -> bool:
        """Note the opt-out of a row's page, if it has one; return whether that rejects the row."""
        opt_out = page_opt_out(self.values[row], self.robot) if self.values else None
        if opt_out is None:
            return False
        part.note([row], [opt_out], None)
        if opt_out.form not in self.obeyed:
            return False
        part.reject([row], opt_out.outcome, opt_out.evidence)
        return True


NO_PAGES = PageOptOuts(None)


def page_opt_out(value: Any, robot: str) -> OptOut | None:
    """Return the opt-out in the value of a row: text, or a list of texts."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    if _RESERVED.search(text):
        return OptOut(Form.PAGE, "meta tdm-reservation: 1")
    said = directive(text, robot, DIRECTIVES)
    return OptOut(Form.PAGE, f"meta robots: {said}") if said else None
