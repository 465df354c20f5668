"""The rules as the report shows them: each threshold with survivors and pictures, and overlaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.stats.bound_counts import NEAREST, BoundCounts, CountedBound
from pairsieve.pipeline.stats.histogram_bins import Bins
from pairsieve.pipeline.stats.histograms import CHART_PX, Bin, Histogram, drawn, format_figure
from pairsieve.pipeline.stats.pool_counts import Counted, PoolCounts
from pairsieve.pipeline.stats.stats_db import PARTIAL, OfRules

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_BOUNDS = 20  # of which pictures are shown
LABEL_LETTERS = 34  # of what is measured, where it is named beside its value
Pair = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ShownBound:
    """A threshold as the page shows it.

    Attributes:
        bound: What it is.
        histogram: What it bounds: pairs with an image, and those that all other rules keep.
        curve: The survivors over the value of the threshold, as points of a line of SVG.
        kept: Survivors as it is.
        without: Survivors without it.
        values: (value, survivors) in words and number, over the range.
        sides: The rows of the nearest pairs with their values, inside and outside.
    """

    bound: CountedBound
    histogram: Histogram
    curve: str
    kept: int
    without: int
    values: list[tuple[str, int]]
    sides: list[list[tuple[int, float]]]

    @property
    def side(self) -> str:
        """Return the bound in words."""
        return f"{'at least' if self.bound.at_least else 'at most'} {format_figure(self.bound.at)}"

    @property
    def rows(self) -> list[int]:
        """Return the rows of all pairs that are shown."""
        return [row for side in self.sides for row, _ in side]

    def tiles(self, found: dict[int, Pair]) -> list[list[Pair]]:
        """Return the pairs of either side, with the value as what is told of them."""
        measure = self.bound.measure
        name = measure if len(measure) <= LABEL_LETTERS else self.bound.key.partition(".")[0]
        return [
            [found[row] | {"facts": [(name, format_figure(value))]} for row, value in side]
            for side in self.sides
        ]


def shown_bounds(
    connection: "DuckDBPyConnection", found: OfRules, counts: PoolCounts, counted: Counted
) -> list[ShownBound]:
    """Return the thresholds of a selection, in the order of its rules."""
    near = _nearest(connection)
    known = [bound for bound in counted.bounds if bound.key in found.bounds]
    return [
        _shown(
            bound,
            counts.bins[bound.key],
            found,
            near.get(bound.key, [[], []]) if place < MOST_BOUNDS else [[], []],
        )
        for place, bound in enumerate(known)
    ]


def _shown(
    bound: CountedBound, bins: Bins, found: OfRules, sides: list[list[tuple[int, float]]]
) -> ShownBound:
    counts = found.bounds[bound.key]
    entries = _entries(bins, counts)
    return ShownBound(
        bound,
        drawn(entries, [bound.at], {}),
        _curve(bound, [entry["kept"] for entry in entries]),
        counts.kept,
        sum(counts.others.values()),
        [(format_figure(float(value)), kept) for value, kept in found.sweeps[bound.key]],
        sides,
    )


def _entries(bins: Bins, counts: BoundCounts) -> list[Bin]:
    """Return the bins over a threshold, those without pairs too."""
    entries = [
        {
            "low": bins.edge(index),
            "high": bins.edge(index + 1),
            "pairs": counts.pairs.get(index, 0),
            "kept": counts.others.get(index, 0),
        }
        for index in range(bins.first, bins.last + 1)
    ]
    entries[0]["low"] = min(entries[0]["low"], counts.ends[0])
    entries[-1]["high"] = max(entries[-1]["high"], counts.ends[1])
    return entries


def _curve(bound: CountedBound, others: Sequence[int]) -> str:
    """Return the line of survivors over the threshold, its highest point at the top."""
    width, height = CHART_PX
    total, step = max(sum(others), 1), width / len(others)
    below = [sum(others[:place]) for place in range(len(others) + 1)]
    survivors = [total - one if bound.at_least else one for one in below]
    return " ".join(
        f"{place * step:.1f},{height * (1 - one / total):.1f}"
        for place, one in enumerate(survivors)
    )


def _nearest(connection: "DuckDBPyConnection") -> dict[str, list[list[tuple[int, float]]]]:
    """Return of each threshold the nearest pairs inside, then outside, as row and value."""
    found = connection.execute(
        "SELECT threshold, inside, list((row, value) ORDER BY distance, row) "
        f"FROM {PARTIAL}.nearest GROUP BY ALL"
    ).fetchall()
    near: dict[str, list[list[tuple[int, float]]]] = {}
    for key, inside, pairs in found:
        near.setdefault(key, [[], []])[not inside] = pairs[:NEAREST]
    return near


@dataclass(frozen=True, slots=True)
class Overlap:
    """A rule and what others say of what it drops.

    Attributes:
        rule: Its name.
        pairs: Pairs to which it says no.
        shares: The share of them to which each of the rules says no too, from 0 to 1.
    """

    rule: str
    pairs: int
    shares: list[float]


def overlaps(of_rules: OfRules, rules: Sequence[str]) -> list[Overlap]:
    """Return the rules that drop anything, in order, each with its overlap with each of them."""
    found = of_rules.overlaps
    dropping = [place for place in range(len(rules)) if (place, place) in found]
    return [
        Overlap(
            rules[one],
            found[one, one],
            [found.get((one, other), 0) / found[one, one] for other in dropping],
        )
        for one in dropping
    ]
