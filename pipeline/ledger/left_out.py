"""Measures of pixels that a recipe leaves out, because nothing reads them.

Only measures that a rule can read are left out: hashes and colours are compared by `group`,
blocklists and other datasets. What was left out when the dataset was planned is not there later, so
a recipe that needs it is refused.
"""

from collections.abc import Collection

from pairsieve.filters import own
from pairsieve.filters.base import OWN, Configured, Measures, name_of
from pairsieve.filters.order import PIXELS, ordered
from pairsieve.pipeline.ledger.rules import rules
from pairsieve.pipeline.ledger.sql import columns_of
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Recipe


def unmeasured(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the measures that the recipe leaves out, in order.

    Raises:
        BadOption: `image.measure` names what cannot be left out, or leaves out what is read.
    """
    if recipe.image.measure == "all":
        return ()
    names, used = _optional(recipe), _used(recipe)
    if recipe.image.measure == "used":
        return tuple(name for name in names if name not in used)
    for index, name in enumerate(recipe.image.measure):
        if name not in names:
            raise BadOption(
                f"image.measure.{index}: `{name}` is no measure of images that can be left out; "
                f"{nearest(name, names)}"
            )
    out = tuple(name for name in names if name not in recipe.image.measure)
    for name in out:
        if name in used:
            raise BadOption(
                f"image.measure: leaves out `{name}`, and {used[name]} reads it; list it, too, "
                "or say `used`"
            )
    return out


def check_planned(recipe: Recipe, planned: Collection[str]) -> None:
    """Refuse to go on measuring with a plan that leaves out what the recipe wants.

    Raises:
        BadOption: naming it.
    """
    out = unmeasured(recipe)
    missing = [name for name in _optional(recipe) if name in planned and name not in out]
    if missing:
        raise BadOption(
            f"image.measure: the dataset was planned without {_listed(missing)}, and the recipe "
            "wants that measured; use another --dataset, or leave it out here, too"
        )


def check_used(recipe: Recipe, planned: Collection[str]) -> None:
    """Refuse to decide by what the plan leaves out.

    Raises:
        BadOption: naming it, and what reads it.
    """
    for name, reader in _used(recipe).items():
        if name in planned:
            raise BadOption(
                f"{reader} reads `{name}`, and the dataset was planned without it "
                "(`image.measure` in its recipe); use another --dataset to have it measured"
            )


def sentences(planned: Collection[str]) -> list[str]:
    """Return a sentence on what is left out, if anything is."""
    return [f"Not measured, as `image.measure` says: {_listed(planned)}."] if planned else []


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _optional(recipe: Recipe) -> list[str]:
    """Return the names of the measures that may be left out."""
    measures = ordered(own.of(recipe)).image
    return sorted(name_of(type(one)) for one in measures if _is_optional(one))


def _is_optional(one: Measures) -> bool:
    """Return whether a measure in `gather` reads pixels and has a rule, and is pairsieve's.

    One that the recipe has to ask for has a key of its own.
    """
    pixels = any(column in PIXELS for column in one.reads)
    return (
        pixels and hasattr(one, "rule") and not (hasattr(one, OWN) or isinstance(one, Configured))
    )


def _used(recipe: Recipe) -> dict[str, str]:
    """Return the measures that may be left out and are read, with what reads them."""
    readers = {name.removeprefix("-"): "group.prefer" for name in recipe.group.prefer}
    readers |= dict.fromkeys(recipe.shard.columns or (), "shard.columns")
    order = ordered(own.of(recipe))
    readers |= {column.name: "a score of `embed`" for column in order.gathered}
    for rule in rules(recipe):
        read = (name.lower() for name in columns_of(rule.sql))
        readers |= dict.fromkeys(read, f"the rule `{rule.name}` in `keep`")
    used = {}
    for one in reversed(order.image):  # each behind those whose columns it reads
        name = name_of(type(one))
        reader = next((readers[c.name] for c in one.writes if c.name in readers), None)
        if reader and _is_optional(one):
            used[name] = reader
        if reader or not _is_optional(one):
            read_by = {column.name: f"the measure `{name}`" for column in one.reads}
            readers = read_by | readers
    return dict(sorted(used.items()))
