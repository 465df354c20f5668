"""Histograms of the measured numbers, ready to be drawn: bars, bounds of the rules, axis labels.

The page draws them as inline SVG, because a page without scripts can be opened, mailed and archived
anywhere.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.ledger.sql import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CHART_PX = (300, 96)  # px, width and height of the bars


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


@dataclass(frozen=True, slots=True)
class Histogram:
    """One measured number as the page draws it.

    Attributes:
        measure: Its row of the view `measures`.
        bars: One per bin.
        thresholds: The bounds of the rules that compare it.
        left: Label at the left end of the axis.
        middle: Label in the middle, if there is room.
        right: Label at the right end.
    """

    measure: dict[str, Any]
    bars: list[HistogramBar]
    thresholds: list[AxisLabel]
    left: str
    middle: AxisLabel | None
    right: str


def histograms(connection: "DuckDBPyConnection", conditions: Iterable[str]) -> Iterator[Histogram]:
    """Yield the histogram of every measured number that has bins."""
    measures = rows(connection, "FROM measures")
    bounds = list(_bounds(conditions, [measure["name"] for measure in measures]))
    bins: dict[str, list[dict[str, Any]]] = {}
    for entry in rows(connection, "FROM histograms ORDER BY name, bin"):
        bins.setdefault(entry["name"], []).append(entry)
    for measure in measures:
        own_bins = bins.get(measure["name"])
        if own_bins:
            lines = sorted({bound for name, bound in bounds if name == measure["name"]})
            thresholds = [
                AxisLabel(x, format_figure(value))
                for value in lines
                if (x := _x_of(own_bins, value)) is not None
            ]
            yield Histogram(measure, _bars(own_bins), thresholds, *_axis(own_bins))


def _bars(bins: list[dict[str, Any]]) -> list[HistogramBar]:
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


def _axis(bins: list[dict[str, Any]]) -> tuple[str, AxisLabel | None, str]:
    """Return the labels left, middle and right; an end bin may be wider than it is drawn."""
    first, middle, last = bins[0], bins[len(bins) // 2], bins[-1]
    left, right = format_figure(first["low"]), format_figure(last["high"])
    if len(bins) < 4:
        return left, None, right
    usual = 1.01 * (middle["high"] - middle["low"])
    if first["high"] - first["low"] > usual:
        left = f"{left} to {format_figure(first['high'])}"
    if last["high"] - last["low"] > usual:
        right = f"{format_figure(last['low'])} to {right}"
    x = len(bins) // 2 * CHART_PX[0] / len(bins)
    return left, AxisLabel(x, format_figure(middle["low"])), right


def _x_of(bins: list[dict[str, Any]], value: float) -> float | None:
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
