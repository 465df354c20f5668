"""How a selection was made, as its marker says it: so that it can be asked without a recipe."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger import sql
from pairsieve.pipeline.ledger.files import MADE_BY
from pairsieve.pipeline.ledger.rules import Quota, Rank, Rule
from pairsieve.pipeline.selections.listing import names
from pairsieve.schemas.columns import UID
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_keep import Keep, Origin


@dataclass(frozen=True, slots=True)
class Record:
    """How a selection was made.

    Attributes:
        origin: The recipe's file, its presets and what `--set` was given.
        scores: Folders of the scores that were read, by the name of their model.
        rules: The rules as applied, in their order, those that always hold among them.
        entries: The entries of `keep` by the names of their rules.
    """

    origin: Origin
    scores: Mapping[str, str]
    rules: tuple[Rule, ...]
    entries: Mapping[str, Keep]

    @classmethod
    def of(cls, recipe: Recipe, scores: Mapping[str, str], applied: Sequence[Rule]) -> Self:
        """Return how a recipe makes a selection."""
        entries = {entry.rule_name: entry for entry in recipe.keep}
        return cls(recipe.origin, scores, tuple(applied), entries)

    def to_json(self) -> dict[str, Any]:
        """Return what the marker keeps."""
        made = {
            "recipe": self.origin.file,
            "set": list(self.origin.overrides),
            "presets": list(self.origin.presets),
            "scores": dict(self.scores),
            "rules": [asdict(rule) for rule in self.rules],
            "keep": [entry.model_dump(exclude_defaults=True) for entry in self.entries.values()],
        }
        kept: dict[str, Any] = json.loads(json.dumps(made))  # as it is read again
        return kept

    @classmethod
    def loads(cls, kept: Mapping[str, Any]) -> Self:
        """Return the record of what a marker keeps."""
        entries = [Keep(**entry) for entry in kept["keep"]]
        return cls(
            Origin(kept["recipe"], tuple(kept["set"]), tuple(kept["presets"])),
            kept["scores"],
            tuple(_rule(**rule) for rule in kept["rules"]),
            {entry.rule_name: entry for entry in entries},
        )


def _rule(
    phase: int, rank: Mapping[str, Any] | None, quota: Mapping[str, Any] | None, **kept: Any
) -> Rule:
    if quota:
        shares = tuple((value, share) for value, share in quota["shares"])
        return Rule(**kept, phase=Phase(phase), quota=Quota(**{**quota, "shares": shares}))
    return Rule(**kept, phase=Phase(phase), rank=Rank(**rank) if rank else None)


def read(store: Store, name: str) -> tuple[Marker, Record]:
    """Return the marker of a selection, which must be there, and how it was made.

    Raises:
        BadOption: there is none of that name, or it is older than such records.
    """
    marker = selected(store, name)
    record = of_marker(marker)
    if record is None:
        raise BadOption(
            f"the selection `{name}` was made by an older pairsieve, which did not note its rules; "
            "`pairsieve select` with its recipe notes them"
        )
    return marker, record


def of_marker(marker: Marker) -> Record | None:
    """Return how a selection was made, given its marker; None where an older pairsieve made it."""
    return Record.loads(marker.extra[MADE_BY]) if MADE_BY in marker.extra else None


def selected(store: Store, name: str) -> Marker:
    """Return the marker of a selection.

    Raises:
        BadOption: there is none of that name.
    """
    marker = store.marker(select_marker(name))
    if marker is None:
        known = names(store)
        near = nearest(name, known) if known else "none was made yet"
        raise BadOption(f"there is no selection `{name}`; {near}")
    return marker


def read_by(rule: Rule) -> set[str]:
    """Return the columns that a rule reads of a pair itself."""
    if rule.name == "gated" or sql.reads_all(rule.sql):
        return set()
    return {rule.rank.of} if rule.rank else set(sql.columns_of(rule.sql)) - {UID.name}


def values_of(pair: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    """Return those of some columns, in any case, that a row of the ledger has."""
    lower = {name.lower(): name for name in pair}
    return {lower[n]: pair[lower[n]] for name in sorted(columns) if (n := name.lower()) in lower}
