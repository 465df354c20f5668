"""What is known of a selection, gathered once for all documents that are made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pairsieve.pipeline.cards.counts import Counts, Value
from pairsieve.pipeline.cards.markdown import code, escaped, table
from pairsieve.pipeline.cards.takedowns import Takedown
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.about import About
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

UNKNOWN = "unknown"
NOT_SAID = "unknown (not said by `--about`)"
NO_RECIPE = "unknown (no recipe was given)"
DUPLICATES = ("repeated", "duplicate", "semantic_duplicate")  # rules that drop copies
ILLEGAL = ("blocklist", "minor_safety", "nsfw", "violence")  # rules on what must not be kept
DECLARED = (Outcome.ROBOTS, Outcome.OPT_OUT, Outcome.TDM_RESERVED)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known.

    Attributes:
        name: Of the selection.
        about: What the publisher says.
        recipe: The recipe, if it was given.
        plan: The plan.
        selected: The marker of the selection.
        shards: That of its shards; None where there are none of its latest run.
        counts: What was counted of its pairs.
        takedowns: What was taken out.
        models: A sentence on each model that measured.
        blocklisted: Whether stored images were compared with a blocklist.
        version: Of pairsieve.
        root: The hash over all shards, hex; None where there are none.
    """

    name: str
    about: About
    recipe: Recipe | None
    plan: Plan
    selected: Marker
    shards: Marker | None
    counts: Counts
    takedowns: list[Takedown]
    models: list[str]
    blocklisted: bool
    version: str
    root: str | None

    @property
    def title(self) -> str:
        """Return what the dataset is called."""
        return self.about.title or "Image-text pairs"

    @property
    def kept(self) -> int:
        """Return how many pairs the selection has."""
        return self.selected.counts["kept"]

    @property
    def pairs(self) -> int:
        """Return how many pairs were judged."""
        return self.selected.counts["pairs"]

    @property
    def funnel(self) -> list[dict[str, Any]]:
        """Return what each rule dropped, in the order applied."""
        funnel: list[dict[str, Any]] = self.selected.extra["funnel"]
        return funnel

    def dropped(self, rules: tuple[str, ...]) -> dict[str, int]:
        """Return how many pairs the rules of these names dropped, of those that were applied."""
        return {
            step["rule"]: step["dropped"]
            for step in self.funnel
            if step["rule"].partition(" ")[0] in rules
        }

    def outcome(self, outcome: str) -> int:
        """Return how many pairs have an outcome."""
        return sum(one.pairs for one in self.values("outcome") if one.value == outcome)

    def values(self, kind: str) -> list[Value]:
        """Return the values of a kind, those of the most kept pairs first."""
        return self.counts.values[kind]

    def kept_values(self, kind: str) -> list[Value]:
        """Return those of them that a kept pair has."""
        return [one for one in self.values(kind) if one.kept]

    def period(self) -> tuple[str, str] | None:
        """Return the days of the first and the last request; None where nothing was fetched."""
        first, last = (self.counts.totals[key] for key in ("first", "last"))
        return None if first is None else (_day(first), _day(last))


def said(value: object) -> str:
    """Return what the publisher says, as Markdown; that it is unknown where it is None."""
    return NOT_SAID if value is None else escaped(value)


def kept_table(facts: Facts, what: str, values: Sequence[Value]) -> str:
    """Return the table of how many of the kept pairs have which value; empty without any."""
    rows = ((escaped(one.value), one.kept, share(one.kept, facts.kept)) for one in values)
    return table((what, "kept pairs", "share"), rows)


def share(part: int, whole: int) -> str:
    """Return a share in percent; unknown of nothing."""
    return f"{part / whole:.1%}" if whole else UNKNOWN


def size(number: float) -> str:
    """Return a number of bytes with a decimal unit."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} PB"


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Return counts by name in a phrase."""
    return ", ".join(f"{code(name)} {count:,}" for name, count in counts.items())


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()
