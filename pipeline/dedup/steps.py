"""The steps of `group` that run only when a recipe requests them.

A step is a module: it says which columns it makes, what in the recipe shapes them and what else
they depend on, and goes through its rounds. To add one: write its file, and list it with its
columns in `schemas/columns.py`, `STEPS`.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dedup import placeholders, semantic
from pairsieve.pipeline.ledger.pool import Further, Pool
from pairsieve.pipeline.ledger.rules import reads
from pairsieve.schemas import columns
from pairsieve.schemas.columns import Column
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.pool_columns import CAPTIONS_RANKED
from pairsieve.schemas.recipe import Recipe


@runtime_checkable
class Step(Protocol):
    """What `group` needs of a step."""

    @property
    def TABLE(self) -> str:  # noqa: N802, a module's constant
        """Return the name of the step."""
        ...

    @property
    def COLUMNS(self) -> tuple[Column, ...]:  # noqa: N802
        """Return the columns that it makes."""
        ...

    def options(self, recipe: Recipe) -> object:
        """Return what in the recipe shapes the result; None where the step is not requested."""
        ...

    def versions(self, recipe: Recipe) -> list[Any]:
        """Return what else the result depends on: what changes when a file outside does."""
        ...

    def find(self, pool: Pool, folder: str, recipe: Recipe) -> Further:
        """Go through the rounds, in `folder`; return what gives `COLUMNS` of images of a block."""
        ...

    def count(self, columns: Mapping[str, Any]) -> int:
        """Return how many of some images it has found something of."""
        ...


def _step(name: str) -> Step:
    """Return the module `name` of `pipeline/` as a step.

    Raises:
        TypeError: it lacks something that `Step` has.
    """
    module = import_module(f"pairsieve.pipeline.{name}")
    if not isinstance(module, Step):
        lacking = [part for part in vars(Step) if part[0] != "_" and not hasattr(module, part)]
        raise TypeError(f"schemas/columns.py: STEPS: {name} has no {', '.join(lacking)}")
    return module


RANKED = "ranked"  # stands for the captions of copies, as they are found now
CONCEPTS, CAPTION_CLUSTERS, BOILERPLATE, RARE_WORDS, SEMANTIC, PLACEHOLDERS = columns.ROUNDS
STEPS = tuple(map(_step, columns.STEPS))


def requested(recipe: Recipe, steps: Sequence[Step] = STEPS) -> dict[str, str]:
    """Return the steps that the recipe requests, by table, and what stands for their options.

    Those of `ROUNDS` are among them, which are no steps (`counts/further.py`).
    """
    options = {step.TABLE: step.options(recipe) for step in steps} | _of_rounds(recipe)
    return {table: fingerprint(value) for table, value in options.items() if value is not None}


def _of_rounds(recipe: Recipe) -> dict[str, object]:
    """Return what in the recipe shapes the results of `ROUNDS`, and the captions of copies."""
    group = recipe.group
    ranked = RANKED if group.captions == "all_as_list" else None
    return {
        CAPTIONS_RANKED.name: ranked,
        CONCEPTS: group.entries and group.entries.hashed(),
        CAPTION_CLUSTERS: group.caption_cluster and group.caption_cluster.model_dump(),
        BOILERPLATE: group.boilerplate and group.boilerplate.model_dump(),
        RARE_WORDS: "requested" if reads(recipe, columns.RARE) else None,
        SEMANTIC: semantic.options(recipe),
        PLACEHOLDERS: placeholders.options(recipe),
    }


def check_measured(recipe: Recipe, grouped: Marker | None, steps: Sequence[Step] = STEPS) -> None:
    """Refuse rules on what `group` has not measured as this recipe says: they would be wrong.

    Raises:
        BadOption: saying what to do.
    """
    measured = grouped.extra.get("steps", {}) if grouped else {}
    options = requested(recipe, steps)
    if (
        recipe.shard.text == "best"
        and measured.get(CAPTIONS_RANKED.name) != options[CAPTIONS_RANKED.name]
    ):
        raise BadOption(
            "shard.text: `best` is one of the captions of an image's copies, which `group` has not "
            "ranked yet; run `pairsieve group` with this recipe first"
        )
    made = {step.TABLE: step.COLUMNS for step in steps} | columns.ROUNDS
    for table, of_table in made.items():
        if table not in options or measured.get(table) == options[table]:
            continue
        if table == BOILERPLATE and recipe.shard.cleans:
            raise BadOption(
                "shard.text: cleaned captions lack their boiler-plate, which `group` has not "
                "looked for as this recipe asks; run `pairsieve group` with it first"
            )
        if reads(recipe, of_table):
            names = ", ".join(column.name for column in of_table)
            raise BadOption(
                f"keep: a rule reads one of {names}, which `group` has not measured as this recipe "
                "asks; run `pairsieve group` with it first"
            )
