"""Outcomes over time, ready to be drawn: one bar per step of time, the outcomes one on another."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pairsieve.pipeline.fetch.diagnosis import clock

TIMELINE = (1080, 150)  # px, width and height of the bars
APART = 5  # failures with a colour of their own, the commonest; the rest share one
OTHER = "other"


def timeline(steps: Sequence[tuple[int, Mapping[str, int]]], wide: int) -> dict[str, Any] | None:
    """Return bars, legend and labels for pairs per outcome of each step; None without any.

    `steps` are (start, s since 1970 UTC; pairs per outcome), in order, each `wide` s. A step in
    which nothing was fetched stays empty.
    """
    if not steps:
        return None
    total = sum((Counter(counts) for _, counts in steps), Counter[str]())
    ordered = sorted(total, key=lambda name: (name != "ok", -total[name], name))
    styles = {name: _style(place, name) for place, name in enumerate(_apart(ordered))}
    first, last = steps[0][0], steps[-1][0]
    count = (last - first) // wide + 1
    most = max(sum(counts.values()) for _, counts in steps)
    return {
        "bars": [
            {
                "x": (start - first) // wide * TIMELINE[0] / count,
                "width": max(TIMELINE[0] / count - 1, 0.5),
                "title": f"{clock(start)}: {_listed(counts)}",
                "parts": _parts(counts, styles, TIMELINE[1] / most),
            }
            for start, counts in steps
        ],
        "legend": [(style, name) for name, style in styles.items()],
        "left": clock(first),
        "right": clock(last + wide),
        "most": most,
        "step": _span(wide),
    }


def _apart(ordered: list[str]) -> list[str]:
    """Return what is drawn apart: `ok`, the commonest failures, and one for all others."""
    most = APART + ("ok" in ordered)
    return ordered if len(ordered) <= most else [*ordered[:most], OTHER]


def _style(place: int, name: str) -> str:
    """Return the CSS class of an outcome."""
    return name if name in ("ok", OTHER) else f"failed{place}"


def _parts(
    counts: Mapping[str, int], styles: Mapping[str, str], scale: float
) -> list[dict[str, Any]]:
    """Return the parts of one bar from the bottom up, in px from the top."""
    heights = dict.fromkeys(styles, 0.0)
    for name, pairs in counts.items():
        heights[name if name in styles else OTHER] += pairs * scale
    parts, y = [], float(TIMELINE[1])
    for name, height in heights.items():
        y -= height
        if height:
            parts.append({"style": styles[name], "y": y, "height": height})
    return parts


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{pairs:,} {name}" for name, pairs in ordered)


def _span(seconds: int) -> str:
    """Return a length of time in the largest unit that it is a multiple of."""
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % unit == 0:
            count = seconds // unit
            return name if count == 1 else f"{count} {name}s"
    return "second" if seconds == 1 else f"{seconds} seconds"
