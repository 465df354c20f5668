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

CHART = (300, 96)  # px, width and height of the bars


def charts(connection: "DuckDBPyConnection", conditions: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield per measured number what its histogram is drawn from."""
    measures = rows(connection, "FROM measures")
    bounds = list(_bounds(conditions, [measure["name"] for measure in measures]))
    bins: dict[str, list[dict[str, Any]]] = {}
    for entry in rows(connection, "FROM histograms ORDER BY name, bin"):
        bins.setdefault(entry["name"], []).append(entry)
    for measure in measures:
        own = bins.get(measure["name"])
        if own:
            lines = sorted({bound for name, bound in bounds if name == measure["name"]})
            yield {**measure, **_drawing(own, lines)}


def _drawing(bins: list[dict[str, Any]], lines: list[float]) -> dict[str, Any]:
    """Return bars, threshold lines and axis labels of a histogram in the px of CHART."""
    width, height = CHART
    scale = height / max(entry["pairs"] for entry in bins)
    wide = width / len(bins)
    bars = [
        {
            "x": place * wide,
            "width": max(wide - 1, 0.5),
            "height": entry["pairs"] * scale,
            "kept": entry["kept"] * scale,
            "title": f"{figure(entry['low'])} to {figure(entry['high'])}: "
            f"{entry['pairs']:,} pairs, {entry['kept']:,} kept",
        }
        for place, entry in enumerate(bins)
    ]
    return {
        "bars": bars,
        "thresholds": [
            {"x": x, "label": figure(at)} for at in lines if (x := _across(bins, at)) is not None
        ],
        **_axis(bins),
    }


def _axis(bins: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the labels at the ends and the middle; an end bin may be wider than it is drawn."""
    first, middle, last = bins[0], bins[len(bins) // 2], bins[-1]
    left, right = figure(first["low"]), figure(last["high"])
    if len(bins) < 4:
        return {"left": left, "middle": None, "right": right}
    usual = 1.01 * (middle["high"] - middle["low"])
    if first["high"] - first["low"] > usual:
        left = f"{left} to {figure(first['high'])}"
    if last["high"] - last["low"] > usual:
        right = f"{figure(last['low'])} to {right}"
    place = {"x": len(bins) // 2 * CHART[0] / len(bins), "label": figure(middle["low"])}
    return {"left": left, "middle": place, "right": right}


def _across(bins: list[dict[str, Any]], value: float) -> float | None:
    """Return where `value` lies on a chart, px from its left; None where it lies outside."""
    for place, entry in enumerate(bins):
        if entry["low"] <= value <= entry["high"]:
            part = (value - entry["low"]) / ((entry["high"] - entry["low"]) or 1)
            return float((place + part) * CHART[0] / len(bins))
    return None


def _bounds(conditions: Iterable[str], measured: list[str]) -> Iterator[tuple[str, float]]:
    """Yield (column, bound) of the comparisons with a number that a condition is made of."""
    names = "|".join(measured)
    comparison = re.compile(rf"\(*({names})\s*[<>]=?\s*(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\)*", re.I)
    for condition in conditions:
        for part in re.split(r"\s+and\s+", condition.strip(), flags=re.I):
            if found := comparison.fullmatch(part.strip()):
                yield found[1].lower(), float(found[2])


def figure(value: float) -> str:
    """Return a number in a few characters: four digits, thousands apart."""
    if isinstance(value, int) or (abs(value) >= 1000 and math.isfinite(value)):
        return f"{value:,.0f}"
    return f"{value:.4g}"
