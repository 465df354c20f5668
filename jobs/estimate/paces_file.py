"""A file of paces, `{fetch: {hosts: ...}}` as `profile` writes it, put into a recipe."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_paces import HostPaces, Pace


def with_paces(recipe: Recipe, path: Path | None) -> Recipe:
    """Return the recipe with the paces of the file in place of its own of the same hosts.

    Raises:
        BadOption: there is no such file, it has other things in it, or the recipe does not fetch.
    """
    if path is None:
        return recipe
    if recipe.fetch is None:
        raise BadOption("--paces: the recipe has no `fetch`, whose paces they could be")
    fetch = recipe.fetch.model_copy(update={"hosts": recipe.fetch.hosts | _paces(path)})
    return recipe.model_copy(update={"fetch": fetch})


def _paces(path: Path) -> dict[str, Pace]:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadOption(
            f"--paces: {path}: cannot be read: {' '.join(str(error).split())}"
        ) from error
    fetch = content.get("fetch", {}) if isinstance(content, dict) else None
    if not isinstance(fetch, dict) or {*content, *fetch} - {"fetch", "hosts"}:
        raise BadOption(f"--paces: {path}: has more or else than `fetch: {{hosts: ...}}`")
    try:
        return TypeAdapter(HostPaces).validate_python(fetch.get("hosts", {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("fetch", "hosts", *first["loc"])))
        raise BadOption(f"--paces: {path}: {place}: {first['msg']}") from error
