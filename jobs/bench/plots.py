"""Plots for the documentation: how the scores of fine and of degraded pictures are spread.

Each curve says of every score which share of the pictures has at most that; a dashed line is the
default bound. SVG, small enough to be kept beside the text; no picture is in it, only its score.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 560, 300  # px, of the area with the curves
LEFT, TOP = 44, 12
COLOURS = ("#1b6", "#c33", "#36c", "#e90", "#838", "#0aa", "#963", "#555", "#c6c", "#690", "#00a")
POINTS = 100  # along the scale


@dataclass(frozen=True, slots=True)
class Scale:
    """The horizontal axis: a measure from `low` to `high`, with the default `bound`.

    Attributes:
        file: Name of the plot's file, without ending.
        name: The column, or what is made of columns.
        keeps: 1 where the rule keeps what lies above the bound, -1 where below.
    """

    file: str
    name: str
    low: float
    high: float
    bound: float
    keeps: int = 1


@dataclass(frozen=True, slots=True)
class Curve:
    """The scores of one kind of pictures."""

    name: str
    scores: NDArray[np.float64]


def write(folder: Path, drawn: Mapping[Scale, Sequence[Curve]]) -> None:
    """Write an SVG per scale into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for scale, curves in drawn.items():
        (folder / f"{scale.file}.svg").write_text(svg(scale, curves), encoding="utf-8")


def svg(scale: Scale, curves: Sequence[Curve]) -> str:
    """Return the plot of `curves`; fine pictures are thick, each set has its own dashes."""
    sets = list(dict.fromkeys(curve.name.partition(":")[0] for curve in curves))
    kinds = list(dict.fromkeys(curve.name.partition(": ")[2] for curve in curves))
    total = (LEFT + WIDTH + 240, TOP + HEIGHT + 44)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" '
        f'width="{total[0]}" font-family="sans-serif" font-size="12">',
        f'<rect width="{total[0]}" height="{total[1]}" fill="#fff"/>',
        *_axes(scale),
    ]
    for curve in curves:
        group, _, kind = curve.name.partition(": ")
        dash = ("", "6 3", "2 3", "9 3 2 3")[sets.index(group) % 4]
        style = f'stroke="{COLOURS[kinds.index(kind) % len(COLOURS)]}" stroke-dasharray="{dash}"'
        wide = 3 if kind == "fine" else 1.3
        lines.append(
            f'<polyline fill="none" stroke-width="{wide}" {style} '
            f'points="{_points(scale, curve)}"/>'
        )
    lines += _legend(sets, kinds)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _points(scale: Scale, curve: Curve) -> str:
    """Return the share of pictures with at most each score, as points."""
    edges = np.linspace(scale.low, scale.high, POINTS + 1)
    shares = np.searchsorted(np.sort(curve.scores), edges, side="right") / len(curve.scores)
    return " ".join(
        f"{_x(scale, x):.0f},{TOP + HEIGHT * (1 - y):.1f}"
        for x, y in zip(edges, shares, strict=True)
    )


def _x(scale: Scale, value: float) -> float:
    return LEFT + WIDTH * (value - scale.low) / (scale.high - scale.low)


def _axes(scale: Scale) -> Iterable[str]:
    """Yield frame, ticks, names and the bound."""
    area = f'x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}"'
    yield f'<rect {area} fill="none" stroke="#999"/>'
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = TOP + HEIGHT * (1 - share)
        yield f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{share:.0%}</text>'
    for value in np.linspace(scale.low, scale.high, 6):
        x = _x(scale, value)
        yield f'<text x="{x:.0f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{value:g}</text>'
    x = _x(scale, scale.bound)
    yield (
        f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP}" y2="{TOP + HEIGHT}" stroke="#000" '
        'stroke-dasharray="4 4"/>'
    )
    side = "left" if scale.keeps > 0 else "right"
    text = f"{scale.name}; the default bound {scale.bound:g} drops what lies {side} of it"
    middle, below = LEFT + WIDTH / 2, TOP + HEIGHT + 36
    yield f'<text x="{middle:.0f}" y="{below}" text-anchor="middle">{escape(text)}</text>'


def _legend(sets: Sequence[str], kinds: Sequence[str]) -> Iterable[str]:
    """Yield what colours and dashes mean."""
    x = LEFT + WIDTH + 14
    for index, kind in enumerate(kinds):
        y = TOP + 12 + 17 * index
        colour = COLOURS[index % len(COLOURS)]
        yield f'<rect x="{x}" y="{y - 8}" width="18" height="5" fill="{colour}"/>'
        yield f'<text x="{x + 24}" y="{y}">{escape(kind)}</text>'
    for index, group in enumerate(sets):
        y = TOP + 28 + 17 * (len(kinds) + index)
        dash = ("", "6 3", "2 3", "9 3 2 3")[index % 4]
        yield f'<path d="M{x} {y - 4}h18" stroke="#000" stroke-dasharray="{dash}"/>'
        yield f'<text x="{x + 24}" y="{y}">{escape(group)}</text>'
