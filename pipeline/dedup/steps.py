"""The steps of `group` that a recipe may ask for."""

from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dedup import placeholders, semantic
from pairsieve.pipeline.external import earlier_datasets, evaluation_sets
from pairsieve.pipeline.ledger.rules import reads
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    pass

# The steps that run only when the recipe asks: the table each makes, and its columns.
ASKED = {
    "semantic": (semantic.shaping, semantic.COLUMNS),
    "known": (earlier_datasets.options, earlier_datasets.COLUMNS),
    "evaluation": (evaluation_sets.options, evaluation_sets.COLUMNS),
    "placeholders": (placeholders.options, placeholders.COLUMNS),
}


def asked(recipe: Recipe) -> dict[str, str]:
    """Return the steps that the recipe asks for, and what stands for their options."""
    wanted = {step: options(recipe) for step, (options, _) in ASKED.items()}
    return {step: fingerprint(options) for step, options in wanted.items() if options is not None}


def check_asked(recipe: Recipe, grouped: Marker | None) -> None:
    """Refuse rules on what `group` has not measured as this recipe asks: they would be wrong.

    Raises:
        BadOption: saying what to do.
    """
    done = grouped.extra.get("steps", {}) if grouped else {}
    for step, options in asked(recipe).items():
        if done.get(step) != options and reads(recipe, ASKED[step][1]):
            names = ", ".join(column.name for column in ASKED[step][1])
            raise BadOption(
                f"keep: a rule reads one of {names}, which `group` has not measured as this recipe "
                "asks; run `pairsieve group` with it first"
            )
