"""Histograms of the measured numbers, ready to be drawn: bars, bounds of the rules, axis labels.

The page draws them as inline SVG, because a page without scripts can be opened, mailed and archived
anywhere.
"""

import math
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.ledger.sql import rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

CHART_PX = (300, 96)  # px, width and height of the bars


def histograms(
    connection: "DuckDBPyConnection", conditions: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yield per measured number what its histogram is drawn from."""
    measures = rows(connection, "FROM measures")
    bounds = list(_bounds(conditions, [measure["name"] for measure in measures]))
    bins: dict[str, list[dict[str, Any]]] = {}
    for entry in rows(connection, "FROM histograms ORDER BY name, bin"):
        bins.setdefault(entry["name"], []).append(entry)
    for measure in measures:
        own_bins = bins.get(measure["name"])
        if own_bins:
            lines = sorted({bound for name, bound in bounds if name == measure["name"]})
            yield {**measure, **_drawing(own_bins, lines)}


def _drawing(bins: list[dict[str, Any]], lines: list[float]) -> dict[str, Any]:
    """Return bars, threshold lines and axis labels of a histogram in the px of CHART_PX."""
    width, height = CHART_PX
    scale = height / max(entry["pairs"] for entry in bins)
    wide = width / len(bins)
    bars = [
        {
            "x": index * wide,
            "width": max(wide - 1, 0.5),
            "height": entry["pairs"] * scale,
            "kept": entry["kept"] * scale,
            "title": f"{format_figure(entry['low'])} to {format_figure(entry['high'])}: "
            f"{entry['pairs']:,} pairs, {entry['kept']:,} kept",
        }
        for index, entry in enumerate(bins)
    ]
    return {
        "bars": bars,
        "thresholds": [
            {"x": x, "label": format_figure(at)}
            for at in lines
            if (x := _x_of(bins, at)) is not None
        ],
        **_axis(bins),
    }


def _axis(bins: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the labels at the ends and the middle; an end bin may be wider than it is drawn."""
    first, middle, last = bins[0], bins[len(bins) // 2], bins[-1]
    left, right = format_figure(first["low"]), format_figure(last["high"])
    if len(bins) < 4:
        return {"left": left, "middle": None, "right": right}
    usual = 1.01 * (middle["high"] - middle["low"])
    if first["high"] - first["low"] > usual:
        left = f"{left} to {format_figure(first['high'])}"
    if last["high"] - last["low"] > usual:
        right = f"{format_figure(last['low'])} to {right}"
    middle_label = {
        "x": len(bins) // 2 * CHART_PX[0] / len(bins),
        "label": format_figure(middle["low"]),
    }
    return {"left": left, "middle": middle_label, "right": right}


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
