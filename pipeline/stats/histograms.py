"""Histograms of the measured numbers, ready to be drawn: bars, bounds of the rules, axis labels.

The page draws them as inline SVG, because a page without scripts can be opened, mailed and archived
anywhere.
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.ledger.sql import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CHART_PX = (300, 96)  # px, width and height of the bars
MOST_TICKS = 5  # on an axis
Bin = dict[str, Any]  # low, high, pairs, kept


@dataclass(frozen=True, slots=True)
class HistogramBar:
    """One bin, drawn; lengths in the px of CHART_PX, `kept` as a part of `height`."""

    x: float
    width: float
    height: float
    kept: float
    title: str


@dataclass(frozen=True, slots=True)
class AxisLabel:
    """A text at `x` px from the left."""

    x: float
    label: str

    @property
    def anchor(self) -> str:
        """Return which part of the text stands there, so that it stays within the chart."""
        return "start" if self.x < 30 else "end" if self.x > CHART_PX[0] - 30 else "middle"


@dataclass(frozen=True, slots=True)
class Histogram:
    """One number as the page draws it.

    Attributes:
        bars: One per bin.
        lines: The bounds of the rules that compare it.
        ticks: On the axis, at edges of bins.
        most: Pairs of the highest bar.
        bins: What the bars are made of.
        measure: Its row of the view `measures`, if it is one of the measured numbers.
    """

    bars: list[HistogramBar]
    lines: list[AxisLabel]
    ticks: list[AxisLabel]
    most: int
    bins: list[Bin]
    measure: dict[str, Any]

    @property
    def constant(self) -> bool:
        """Return whether a number is the same for all and no rule bounds it: nothing to draw."""
        return bool(self.measure["lowest"] == self.measure["highest"]) and not self.lines

    @property
    def span(self) -> str:
        """Return the lowest and the highest value of a measured number."""
        ends = self.measure["lowest"], self.measure["highest"]
        return " to ".join(map(format_figure, ends))


def histograms(
    connection: "DuckDBPyConnection", conditions: Iterable[str], hidden: Collection[str] = ()
) -> Iterator[Histogram]:
    """Yield the histogram of every measured number that has bins and is not `hidden`."""
    measures = [one for one in rows(connection, "FROM measures") if one["name"] not in hidden]
    bounds = list(_bounds(conditions, [measure["name"] for measure in measures]))
    bins: dict[str, list[Bin]] = {}
    for entry in rows(connection, "FROM histograms ORDER BY name, bin"):
        bins.setdefault(entry["name"], []).append(entry)
    for measure in measures:
        own_bins = bins.get(measure["name"])
        if own_bins:
            lines = sorted({bound for name, bound in bounds if name == measure["name"]})
            yield drawn(own_bins, lines, measure)


def drawn(bins: list[Bin], lines: Iterable[float], measure: dict[str, Any]) -> Histogram:
    """Return the histogram of some bins, with a line at each of these values."""
    at = [(x, value) for value in lines if (x := x_of(bins, value)) is not None]
    return Histogram(
        _bars(bins),
        [AxisLabel(x, format_figure(value)) for x, value in at],
        _ticks(bins),
        max(entry["pairs"] for entry in bins),
        bins,
        measure,
    )


def _bars(bins: list[Bin]) -> list[HistogramBar]:
    """Return the bars of a histogram, as wide and high together as CHART_PX."""
    width, height = CHART_PX
    scale = height / max(entry["pairs"] for entry in bins)
    step = width / len(bins)
    return [
        HistogramBar(
            x=index * step,
            width=max(step - 1, 0.5),
            height=entry["pairs"] * scale,
            kept=entry["kept"] * scale,
            title=f"{format_figure(entry['low'])} to {format_figure(entry['high'])}: "
            f"{entry['pairs']:,} pairs, {entry['kept']:,} kept",
        )
        for index, entry in enumerate(bins)
    ]


def _ticks(bins: list[Bin]) -> list[AxisLabel]:
    """Return labels at inner edges of bins: at powers of ten, or at multiples of a round number."""
    width = CHART_PX[0] / len(bins)
    edges = [(index * width, bins[index]["low"]) for index in range(1, len(bins))]
    return [AxisLabel(x, format_figure(edge)) for x, edge in _round_ones(edges)] or [
        AxisLabel(0, format_figure(bins[0]["low"])),
        AxisLabel(CHART_PX[0], format_figure(bins[-1]["high"])),
    ]


def _round_ones(edges: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the roundest of some edges, (px, value), at most `MOST_TICKS`."""
    if len(edges) < 2:
        return edges
    step = edges[1][1] - edges[0][1]
    if edges[-1][1] - edges[-2][1] > 1.01 * step:  # ever wider: they are of logarithms
        powers = [edge for edge in edges if abs(math.log10(edge[1]) % 1 - 0.5) > 0.499]
        return (powers if len(powers) > 1 else edges)[:: -(-len(powers or edges) // MOST_TICKS)]
    for by in (1, 2, 5, 10, 20):
        chosen = [edge for edge in edges if round(edge[1] / step) % by == 0]
        if len(chosen) <= MOST_TICKS:
            return chosen
    return edges[:: -(-len(edges) // MOST_TICKS)]


def x_of(bins: list[Bin], value: float) -> float | None:
    """Return where `value` lies on a chart, px from its left; None where it lies outside."""
    for index, entry in enumerate(bins):
        if entry["low"] <= value <= entry["high"]:
            part = (value - entry["low"]) / ((entry["high"] - entry["low"]) or 1)
            return float((index + part) * CHART_PX[0] / len(bins))
    return None


def _bounds(conditions: Iterable[str], columns: list[str]) -> Iterator[tuple[str, float]]:
    """Yield (column, bound) of the comparisons with a number that a condition is made of."""
    names = "|".join(columns)
    comparison = re.compile(rf"\(*({names})\s*[<>]=?\s*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\)*", re.I)
    for condition in conditions:
        for part in re.split(r"\s+and\s+", condition.strip(), flags=re.I):
            if match := comparison.fullmatch(part.strip()):
                yield match[1].lower(), float(match[2])


def format_figure(value: float) -> str:
    """Return a number in a few characters: four digits, thousands apart."""
    if isinstance(value, int) or (abs(value) >= 1000 and math.isfinite(value)):
        return f"{value:,.0f}"
    return f"{value:.4g}"
