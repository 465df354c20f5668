"""Refuse rules on captions that nobody writes: they would drop every pair."""

from collections.abc import Iterable, Set

from pairsieve.schemas.columns import CAPTION_TEXTS, CAPTIONED
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

NAMES = frozenset(column.name for column in CAPTIONED)
TEXTS = frozenset(column.name for column in CAPTION_TEXTS)


def reads_captions(columns: Iterable[str]) -> bool:
    """Return whether some columns, in any case, are of captions."""
    return not NAMES.isdisjoint(name.lower() for name in columns)


def check(listed: Iterable[tuple[str, Set[str]]], recipe: Recipe) -> None:
    """Refuse the first of some rules, given by name and columns, that reads what is not written.

    Raises:
        BadOption: the recipe has no `captions`, or these write other columns.
    """
    written = recipe.captions.columns if recipe.captions else ()
    for index, (rule, columns) in enumerate(listed):
        read = sorted({name.lower() for name in columns} & NAMES)
        if read and recipe.captions is None:
            raise BadOption(
                f"keep.{index}: `{rule}` reads {', '.join(read)}, which a model writes, and the "
                "recipe has no `captions`; name the model there"
            )
        if lacking := [name for name in read if name in TEXTS and name not in written]:
            raise BadOption(
                f"keep.{index}: `{rule}` reads {', '.join(lacking)}, which is not in "
                "`captions.columns`; add it there"
            )
