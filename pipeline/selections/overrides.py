"""`--set KEY=VALUE`: another threshold without another recipe.

A key is that of a rule in `keep`, by the rule's name, or of a section that `select` reads. All else
in a recipe shapes what was measured, which `select` cannot change.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from pairsieve.filters import FILTERS
from pairsieve.filters.base import name_of
from pairsieve.schemas import recipe_file
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_keep import KEEP_KEYS, AtMost, Lengths, Mix, Sample

SECTIONS = ("blocklist", "scratch")  # of the recipe, that `select` reads besides `keep`
QUOTAS: dict[str, type[Section]] = {
    "at_most": AtMost,
    "sample": Sample,
    "mix": Mix,
    "length_balance": Lengths,
}
OPTIONS = {
    **{name_of(f): [option.name for option in fields(f)] for f in FILTERS},
    **{kind: [*section.model_fields] for kind, section in QUOTAS.items()},
}
EXAMPLE = "clip_similarity.min_similarity=0.26"


@dataclass(frozen=True, slots=True)
class Override:
    """A key, and the value that it has instead of the recipe's."""

    key: str
    value: Any
    written: str

    def __str__(self) -> str:
        """Return it as it was given."""
        return f"{self.key}={self.written}"


def load(path: Path, settings: Sequence[str]) -> Recipe:
    """Return the recipe in a file, with what `--set` was given instead of the file's own.

    Raises:
        BadOption: something in one of them cannot be.
    """
    overrides = parse(settings)
    recipe = recipe_file.load(path, partial(apply, overrides=overrides))
    return recipe.of_origin(replace(recipe.origin, overrides=tuple(map(str, overrides))))


def parse(settings: Sequence[str]) -> tuple[Override, ...]:
    """Return what `--set` was given, with values read as YAML.

    Raises:
        BadOption: one is no KEY=VALUE, its value is not YAML, or a key is given twice.
    """
    overrides: list[Override] = []
    for setting in settings:
        key, equals, written = (part.strip() for part in setting.partition("="))
        if not equals or not all(key.partition(".")):
            raise BadOption(f"--set {setting}: write KEY=VALUE, e.g. {EXAMPLE}")
        if key in {override.key for override in overrides}:
            raise BadOption(f"--set {key}: is given twice")
        try:
            value = recipe_file.value_of(written)
        except yaml.YAMLError as error:
            raise BadOption(f"--set {key}: {written} is not YAML, as the recipe is") from error
        overrides.append(Override(key, value, written))
    return tuple(overrides)


def apply(content: Any, overrides: Sequence[Override]) -> Any:
    """Return the content of a recipe's file with other values; it is checked afterwards.

    Raises:
        BadOption: `keep` has no rule of that name, or the rule no such option; or `select` does not
            read what the key names.
    """
    if not isinstance(content, dict):
        return content
    changed = deepcopy(content)
    for override in overrides:
        section, _, rest = override.key.partition(".")
        if section in SECTIONS:
            _set_in_section(changed, section, rest, override)
        else:
            _set_in_rule(changed, override)
    return changed


def _set_in_section(content: dict[str, Any], section: str, key: str, override: Override) -> None:
    """Set a key of a section; the recipe's own checks refuse keys that it does not know."""
    if not isinstance(content.get(section, {}), dict):
        return
    content[section] = (content.get(section) or {}) | {key: override.value}


def _set_in_rule(content: dict[str, Any], override: Override) -> None:
    """Set an option of a rule in `keep`; one of the user's own filters is checked afterwards."""
    listed = content.get("keep") or []
    entries = [entry for entry in listed if isinstance(entry, dict)]
    name, _, option = override.key.rpartition(".")
    named = {_name(entry): entry for entry in entries}
    if name not in named:
        raise BadOption(f"--set {override.key}: {_unknown(override.key, list(named))}")
    entry = named[name]
    inside = next((key for key in entry if key not in KEEP_KEYS or key in QUOTAS), None)
    settable = OPTIONS.get(inside) if inside else [key for key in entry if key in _OWN]
    if settable is not None and option not in settable:
        raise BadOption(
            f"--set {override.key}: `{name}` has no option `{option}` that can be set; "
            f"{nearest(option, settable)}"
        )
    if inside is None:
        entry[option] = override.value
    else:
        entry[inside] = (entry[inside] or {}) | {option: override.value}


def _name(entry: dict[Any, Any]) -> str:
    """Return what a rule is called, as `Keep.rule_name` has it once it is checked."""
    rule = next((str(key) for key in entry if key not in KEEP_KEYS), "")
    if made := entry.get("name") or rule or entry.get("where"):
        return str(made)
    cap, mix = entry.get("at_most"), entry.get("mix")
    if isinstance(cap, dict):
        return f"at_most per {cap.get('per')}"
    if isinstance(mix, dict):
        return f"mix by {mix.get('by')}"
    for kind in ("sample", "length_balance"):
        if kind in entry:
            return kind
    by = f" by {entry['by']}" if entry.get("by") else ""
    return f"top_fraction {entry.get('of')}{by}"


def _unknown(key: str, rules: list[str]) -> str:
    """Return why a key is none that can be set."""
    section, _, _ = key.partition(".")
    if section in Recipe.model_fields:
        return (
            f"`select` does not read `{section}`; it can be set for the rules of `keep` "
            f"and the sections {', '.join(SECTIONS)}"
        )
    near = nearest(key.rpartition(".")[0], rules) if rules else "`keep` has none"
    return f"`keep` has no rule of that name; {near}"


_OWN = ("where", "top_fraction", "of", "by")  # keys of a rule that is no filter
