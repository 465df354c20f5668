"""The calibration of a head: of pairs with about the same prediction, the share of good ones.

As words it is printed; as a picture, SVG, it has a dot for each bin of predictions with the 95 %
interval of the share, and the line on which a calibrated head lies.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pairsieve.pipeline.learning.intervals import wilson
from pairsieve.pipeline.learning.logistic import Doubles, Labels

BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of predicted probabilities
SIDE, MARGIN = 260, 50  # px

Bin = Mapping[str, float]


def bins(predicted: Doubles, labels: Labels) -> list[dict[str, float]]:
    """Return of each bin that has pairs how many, their mean prediction and share of good ones."""
    which = np.clip(np.searchsorted(BINS, predicted, side="right") - 1, 0, len(BINS) - 2)
    return [
        {
            "from": BINS[number],
            "pairs": int((which == number).sum()),
            "predicted": float(predicted[which == number].mean()),
            "good": float(labels[which == number].mean()),
        }
        for number in range(len(BINS) - 1)
        if (which == number).any()
    ]


def lines(found: Sequence[Bin]) -> Iterator[str]:
    """Yield the bins as a table in plain text."""
    yield "  predicted  are good  pairs"
    for one in found:
        yield f"  {one['predicted']:9.0%} {one['good']:9.0%} {one['pairs']:6}"


def svg(found: Sequence[Bin]) -> str:
    """Return the plot of the bins."""
    size = SIDE + 2 * MARGIN
    diagonal = f"M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{size}" height="{size}" fill="#fff"/>',
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{SIDE}" height="{SIDE}" fill="none" '
        'stroke="#999"/>',
        f'<path d="{diagonal}" stroke="#999" stroke-dasharray="4"/>',
        *_axes(),
    ]
    return "\n".join([*parts, *(_dot(one) for one in found), "</svg>"]) + "\n"


def _axes() -> Iterator[str]:
    middle, end = MARGIN + SIDE / 2, MARGIN + SIDE
    for share in (0, 0.5, 1):
        yield f'<text x="{_x(share)}" y="{end + 16}" text-anchor="middle">{share:.0%}</text>'
        yield f'<text x="{MARGIN - 6}" y="{_y(share) + 4:g}" text-anchor="end">{share:.0%}</text>'
    yield f'<text x="{middle:g}" y="{end + 36}" text-anchor="middle">predicted</text>'
    yield f'<text x="{middle:g}" y="{MARGIN - 16}" text-anchor="middle">share of good pairs</text>'


def _dot(one: Any) -> str:
    """Return the dot of a bin and its interval."""
    good, low, high = wilson(round(one["good"] * one["pairs"]), one["pairs"])
    x = _x(one["predicted"])
    return (
        f'<path d="M{x} {_y(low)}V{_y(high)}" stroke="#36c" stroke-width="2"/>'
        f'<circle cx="{x}" cy="{_y(good)}" r="4" fill="#36c"><title>{one["pairs"]} pairs</title>'
        "</circle>"
    )


def _x(share: float) -> float:
    return round(MARGIN + SIDE * share, 1)


def _y(share: float) -> float:
    return round(MARGIN + SIDE * (1 - share), 1)
