"""The plot of `bench curation`: a panel per measure, a dot with its interval per pool. SVG."""

from collections.abc import Iterator, Mapping
from html import escape

from pairsieve.pipeline.learning.intervals import Interval

PANEL, GAP, LEFT, TOP, ROW = 170, 24, 150, 34, 24  # px
SHADES = ("#888", "#aaa", "#aaa", "#36c", "#e90", "#1b6")

Told = Mapping[str, Mapping[str, Interval]]  # measure -> pool -> mean and interval


def svg(told: Told, sizes: Mapping[str, int]) -> str:
    """Return the plot."""
    names = list(next(iter(told.values())))
    size = LEFT + len(told) * (PANEL + GAP), TOP + len(names) * ROW + 30
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        f'width="{size[0]}" font-family="sans-serif" font-size="12">',
        f'<rect width="{size[0]}" height="{size[1]}" fill="#fff"/>',
    ]
    for row, name in enumerate(names):
        text = escape(f"{name}, {sizes[name]:,}")
        lines.append(f'<text x="{LEFT - 10}" y="{_y(row) + 4}" text-anchor="end">{text}</text>')
    for number, (title, pools) in enumerate(told.items()):
        lines += _panel(LEFT + number * (PANEL + GAP), title, pools)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(left: int, title: str, pools: Mapping[str, Interval]) -> Iterator[str]:
    most = max(0.01, *(high for _, _, high in pools.values()))
    bottom = TOP + len(pools) * ROW
    yield f'<text x="{left}" y="{TOP - 14}" font-size="11">{escape(title)}</text>'
    yield (
        f'<rect x="{left}" y="{TOP}" width="{PANEL}" height="{bottom - TOP}" fill="none" '
        'stroke="#999"/>'
    )
    for share in (0, most / 2, most):
        x = left + PANEL * share / most
        yield f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{share:.0%}</text>'
    for row, (value, low, high) in enumerate(pools.values()):
        start, middle, end = (left + PANEL * max(0, each) / most for each in (low, value, high))
        colour = SHADES[row % len(SHADES)]
        y = _y(row)
        yield f'<path d="M{start:.1f} {y}H{end:.1f}" stroke="{colour}" stroke-width="2"/>'
        yield f'<circle cx="{middle:.1f}" cy="{y}" r="4" fill="{colour}"/>'


def _y(row: int) -> int:
    return TOP + row * ROW + ROW // 2
