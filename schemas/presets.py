"""Presets: the rules by which published datasets were chosen, for `keep: {preset: NAME}`.

A preset is what was published, as exactly as the measures of pairsieve allow, and it says where it
is not exact. A threshold on a model's score belongs to that model, so each preset names it.
"""

from collections.abc import Mapping
from typing import Any

from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.preset import Preset
from pairsieve.schemas.presets_captions import CAPTIONS
from pairsieve.schemas.presets_datacomp import DATACOMP
from pairsieve.schemas.presets_laion import LAION

PRESETS: Mapping[str, Preset] = {each.name: each for each in (*LAION, *DATACOMP, *CAPTIONS)}
KEY = "preset"


def find(name: Any, where: str) -> Preset:
    """Return the preset of that name, which stands at `where`.

    Raises:
        BadOption: there is none.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise BadOption(f"{where}: no preset is called `{name}`; {nearest(str(name), [*PRESETS])}")
    return PRESETS[name]


def expanded(content: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the content of a recipe's file with the rules of its presets, and their names.

    `keep` is `{preset: NAME}`, or a list of which an entry may be that.

    Raises:
        BadOption: there is no such preset, or a list that it needs is not named.
    """
    keep = content.get("keep") if isinstance(content, dict) else None
    entries = [keep] if isinstance(keep, dict) and KEY in keep else keep
    if not isinstance(entries, list):
        return content, ()
    rules, names = [], []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or KEY not in entry:
            rules.append(entry)
            continue
        where = f"keep.{index}.{KEY}" if isinstance(keep, list) else f"keep.{KEY}"
        preset = find(entry[KEY], where)
        if other := next((key for key in entry if key not in (KEY, *preset.lists)), None):
            raise BadOption(f"{where}: stands alone, without `{other}`; `keep` may be a list")
        names.append(preset.name)
        rules += _with_lists(preset, entry, where)
    return content | {"keep": rules}, tuple(names)


def _with_lists(preset: Preset, entry: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Return the rules of a preset with the paths of the lists that they need."""
    paths = {}
    for key, rule in preset.lists.items():
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise BadOption(
                f"{where}: the preset `{preset.name}` needs a list: `{key}: PATH` beside its name, "
                f"for the rule `{rule}`"
            )
        paths[rule] = entry[key]
    return [
        {name: {"path": paths[name]}} if (name := next(iter(rule))) in paths else rule
        for rule in preset.keep
    ]
