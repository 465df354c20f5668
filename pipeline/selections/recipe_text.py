"""The recipe behind a selection as people read it: what differs from the defaults, as YAML.

The rules are those that the selection was made by, whatever the recipe's file says now. Of what is
on this machine only names are told: a page may be sent to others.
"""

from pathlib import PurePath
from typing import Any

import yaml

from pairsieve.pipeline.selections.record import Record
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_keep import Keep

LEFT_OUT = {"input", "scratch", "keep"}  # where things are; the rules are the selection's


def text(recipe: Recipe, record: Record | None) -> str:
    """Return the recipe as YAML; without a record its own rules."""
    sections = recipe.model_dump(mode="json", exclude_defaults=True, exclude=LEFT_OUT)
    entries = record.entries.values() if record else recipe.keep
    whole = {"keep": [_written(entry) for entry in entries]} | sections
    return yaml.safe_dump(_named(whole), sort_keys=False, allow_unicode=True, width=96)


def made_by(record: Record | None) -> str:
    """Return in a sentence which file, presets and `--set` the rules are of; "" if nobody noted."""
    if record is None:
        return ""
    origin = record.origin
    of = [f"the recipe {PurePath(origin.file).name}" if origin.file else "a recipe"]
    if origin.presets:
        of.append(f"with the presets {', '.join(origin.presets)}")
    if origin.overrides:
        of.append(f"and --set {', '.join(origin.overrides)}")
    return " ".join(of)


def _written(entry: Keep) -> dict[str, Any]:
    """Return an entry of `keep` as it is written."""
    kept = entry.model_dump(mode="json", exclude_defaults=True)
    name, options = kept.pop("filter", None), kept.pop("options", {})
    return {name: options} | kept if name else kept


def _named(value: Any) -> Any:
    """Return a value with the names of files instead of their paths."""
    if isinstance(value, dict):
        return {key: _named(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_named(one) for one in value]
    if isinstance(value, str) and value.startswith(("/", "~", "./", "../")):
        return PurePath(value).name
    return value
