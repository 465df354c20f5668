"""The recipe's `keep`: one entry names one rule; and where a recipe comes from."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from pairsieve.schemas.recipe_base import Section

# Keys of an entry of `keep`; any other names a filter.
KEEP_KEYS = frozenset(("where", "top_fraction", "of", "gate", "name"))


def one_rule(entry: Any) -> Any:
    """Turn `{aspect_ratio: {max_ratio: 3}, gate: true}` into the fields of `Keep`."""
    if not isinstance(entry, dict):
        raise ValueError("an entry names one rule, e.g. `- aspect_ratio: {max_ratio: 3}`")
    filters = [key for key in entry if key not in KEEP_KEYS]
    if len(filters) + ("where" in entry) + ("top_fraction" in entry) != 1:
        raise ValueError(
            "an entry names exactly one rule: a filter, `where` or `top_fraction`; "
            f"this one has the keys {', '.join(map(str, entry)) or '(none)'}"
        )
    rest = {key: value for key, value in entry.items() if key in KEEP_KEYS}
    if filters:
        rest |= {"filter": filters[0], "options": entry[filters[0]] or {}}
    return rest


class Keep(Section):
    """One rule of `keep`: a filter with its options, a condition, or the top of a score."""

    filter: str | None = Field(None, description="Name of the filter.")
    options: dict[str, Any] = Field({}, description="Its options.")
    where: str | None = Field(
        None, min_length=1, description="A DuckDB condition over ledger columns."
    )
    top_fraction: float | None = Field(
        None, gt=0, le=1, description="Share of the measured pairs to keep, highest first."
    )
    of: str | None = Field(
        None, description="The column that `top_fraction` ranks: of numbers or times."
    )
    gate: bool = Field(False, description="Apply at once: a pair that fails costs nothing more.")
    name: str | None = Field(None, min_length=1, description="Name in the funnel and the ledger.")

    @property
    def rule_name(self) -> str:
        """Return what the rule is called in the funnel and the ledger."""
        return self.name or self.filter or self.where or f"top_fraction {self.of}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recipe comes from.

    `file` is the name of its file, without folders; `overrides` are what `--set` was given, and
    `presets` those whose rules it has.
    """

    file: str = ""
    overrides: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
