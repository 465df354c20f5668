"""Against: what the recipe says of earlier datasets and evaluation sets, checked before any work.

A section measures, a rule in `keep` decides. So a rule whose section is missing would let all pass
and is refused; a section on which no rule decides is only worth a warning, because another
selection of the same dataset may have the rule.
"""

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.external import earlier_datasets, evaluation_sets
from pairsieve.pipeline.ledger.rules import reads
from pairsieve.schemas.columns import EVAL_OVERLAP
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def check(recipe: Recipe, store: Store | None = None) -> list[str]:
    """Return what to warn of.

    Raises:
        BadOption: a rule and a section do not fit, or what a section names cannot be read.
    """
    knowing, testing = (
        reads(recipe, earlier_datasets.COLUMNS),
        reads(recipe, evaluation_sets.COLUMNS),
    )
    if knowing and recipe.known is None:
        raise BadOption(
            "keep: a rule asks what is known, and the recipe has no `known`; list there the "
            "earlier `datasets`"
        )
    if testing and recipe.decontaminate is None:
        raise BadOption(
            "keep: a rule asks what is in an evaluation set, and the recipe has no "
            "`decontaminate`; list there the `sets`"
        )
    _check_sections(recipe)
    warnings = []
    if recipe.known:
        earlier_datasets.check(recipe.known, store)
        if recipe.known.keep == "older" and not knowing:
            warnings.append(_unused("known", "known: {}"))
    if recipe.decontaminate:
        evaluation_sets.check(recipe.decontaminate)
        if not testing:
            warnings.append(_unused("decontaminate", "eval_overlap: {}"))
    return warnings


def _check_sections(recipe: Recipe) -> None:
    """Refuse what the sections cannot give to the rules."""
    dropping = any(entry.filter == "known" for entry in recipe.keep)
    if recipe.known and recipe.known.keep == "newer" and dropping:
        raise BadOption(
            "known.keep: `newer` keeps what is known, and the rule `known` drops it; leave out one "
            "of them"
        )
    if recipe.decontaminate is None:
        return
    if recipe.decontaminate.vectors and recipe.embed is None:
        raise BadOption("decontaminate.vectors: needs a model; name it in `embed`")
    if not recipe.decontaminate.vectors and reads(recipe, (EVAL_OVERLAP,)):
        raise BadOption(
            f"keep: a rule reads {EVAL_OVERLAP.name}, and vectors are not compared; say "
            "`vectors: true` in `decontaminate`"
        )


def _unused(section: str, rule: str) -> str:
    return (
        f"the recipe has `{section}`, and no rule in `keep` decides on what it finds; "
        f"`- {rule}` drops it"
    )
