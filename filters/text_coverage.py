"""Drop pictures of text: quotes, pages, screenshots, pictures below a big caption.

The share of the area, at a shorter side of 256 px, in boxes around what looks like a line of text.
Ink is what a square of 7 px would wipe out. It differs from its background by at least half as much
as anything near it, so a photograph around a caption does not count. Ink less than 9 px apart in a
row is one run, and runs that touch are one line, dark or light. A line is flat, well filled, of
some contrast on an even background, and crossed as often as letters are, both ways.

![How the shares of pictures without text, cards and captions are spread](plots/text_coverage.svg)

A box has the letters of a line without the space between lines: 10 % of a card, counted in full
heights of the font, measure 0.06. The default lies above all photographs and below most cards of
10 %. It is for photographs; where pages and charts are welcome, leave the rule off.

Not detected: letters higher than 30 px or with strokes of 7 px, lines that touch, half of the small
captions straight on a photograph. Zigzags and small checks in rows count as text. Not tried:
handwriting, slanted text, scripts other than Latin.

Source: ours, of known parts: the top hat for ink, closing along the line and rules on its box, as
in Wu, Manmatha, Riseman, "TextFinder: an automatic system to detect and recognize text in images"
(1999).
Measured: rules chosen on half of 100 Flickr photographs, 60 drawn scenes and text in DejaVu; the
default with all photographs seen. On the other half, 60 other scenes and text in Liberation, drawn
anew after the last change, AUC against photographs and scenes: 0.987 and 0.998 for cards with 10
and 30 % of text, 0.992 for 16 pages and charts of a web site; captions on photographs with 10 and
30 %: 0.998 and 0.994 on a band, 0.963 and 0.986 with an outline, 0.938 and 0.978 plain; over all
0.976. The default finds 92 and 97 % of the cards, 13 of the 16 pages; 88 and 98, 68 and 92, 45 and
88 % of the captions. An earlier drawing, seen before that change: 0.966 over all, 0.990 and 0.976
for the cards. Dropped: none of the 100 photographs, of 18 pictures of a web site without text and
of 19 samples of scikit-image; 7 of 300 other scenes, all but one zigzags or checks; of 40 drawn
ones each no stripes, fence, checkerboard, barcode or foliage, 1 brick wall, 6 weaves; 4 % of
quarters of photographs, some 190 px high. AUC over all of alternatives: squares dense in edges
0.82, squares with two levels and many changes 0.63, squares with much energy in their middle DCT
frequencies 0.47; on the first half, one bound for all ink 0.6 to 0.7 for captions on photographs;
the stored plane instead of the one at 256 px no better at 2.5 times the cost. 0.6 ms per picture
and core, the most of all measures.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.schemas.arrays import Floats, Planes
from pairsieve.schemas.columns import LUMA_256, TEXT_COVERAGE, Column

Plane = NDArray[np.uint8]  # (h, w)
Runs = NDArray[np.int64]  # (n, 11), see below

STROKE = 7  # px; ink is thinner
AROUND = 25  # px, side of the square in which the strongest ink is looked for
FAINT = 20  # levels; less is no ink
GAP = 9  # px between ink at which a run ends
LEFT, TOP, RIGHT, BOTTOM, AREA, INK, CONTRAST, GROUND, SQUARES, ACROSS, DOWN = range(11)


@dataclass(frozen=True, slots=True)
class TextCoverage:
    """Keep pictures of whose area at most `max_text` looks like lines of text."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA_256,)
    writes: ClassVar[tuple[Column, ...]] = (TEXT_COVERAGE,)

    max_text: float = 0.03  # share of the area, [0, 1]

    def __post_init__(self) -> None:
        if not 0 <= self.max_text <= 1:
            raise ValueError(f"max_text must be in [0, 1], got {self.max_text}")

    def measure(self, luma_256: Planes) -> Floats:
        """Return the share of each plane in boxes around lines of text, (n,), [0, 1]."""
        return np.array([_share(np.ascontiguousarray(one)) for one in luma_256], np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{TEXT_COVERAGE.name} <= {self.max_text!r}"


def _share(plane: Plane) -> float:
    """Return the share in boxes around lines in dark or in light ink, whichever is more."""
    import cv2

    runs, joined = _compiled()
    area = 0
    for fill in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):  # over dark ink, over light ink
        ground = cv2.morphologyEx(plane, fill, np.ones((STROKE, STROKE), np.uint8))
        contrast = cv2.absdiff(ground, plane)
        most = cv2.dilate(contrast, np.ones((AROUND, AROUND), np.uint8))
        ink = contrast >= np.maximum(FAINT, most - contrast)
        area = max(area, _text_area(joined(runs(ink.view(np.uint8), contrast, ground))))
    return min(1.0, area / plane.size)


def _text_area(runs: Runs) -> int:
    """Return the area of the boxes that look like a line of text; areas in px."""
    wide, high = runs[:, RIGHT] - runs[:, LEFT], runs[:, BOTTOM] - runs[:, TOP]
    box, area = wide * high, runs[:, AREA]
    contrast = runs[:, CONTRAST] / runs[:, INK]
    ground = runs[:, GROUND] / area
    uneven = np.sqrt(np.maximum(0, runs[:, SQUARES] / area - ground**2))
    across, down = runs[:, ACROSS] / wide, runs[:, DOWN] / wide  # per row of a height; column
    text = (
        (high <= 30)
        & (wide >= 1.5 * high)
        & (area >= 0.43 * box)
        & (contrast >= 45)  # levels
        & (uneven <= 0.4 * contrast)
        & (across >= 1.7)
        & (across <= 6)
        & (down >= 1.1)
        & (runs[:, DOWN] >= 0.09 * area)
        & ((runs[:, DOWN] <= 0.34 * area) | (wide >= 10 * high))  # small letters, in long lines
    )
    return int(box[text].sum())


@cache
def _compiled() -> tuple[Any, Any]:
    """Return `_runs` and `_joined` compiled."""
    return compiled(_runs), compiled(_joined)


def _runs(ink: Any, contrast: Any, ground: Any) -> Any:
    """Return the runs of each row: a box, sums over its px, and changes from ink to none."""
    height, width = ink.shape
    runs = np.empty((height * (width // (GAP + 1) + 1), 11), np.int64)
    count = 0
    above = np.zeros(width, np.uint8)
    for y in range(height):
        row, under, apart = ink[y], ground[y], contrast[y]
        x = 0
        while x < width:
            if not row[x]:
                x += 1
                continue
            left, right = x, x + 1
            while x < width and x - right < GAP:
                if row[x]:
                    right = x + 1
                x += 1
            inked, high, level, square, down, across = 0, 0, 0, 0, 0, 1
            for i in range(left, right):
                one: Any = np.int32(under[i])
                inked += row[i]
                high += np.int32(row[i]) * apart[i]
                level += one
                square += one * one
                down += row[i] ^ above[i]
            for i in range(left + 1, right):
                across += row[i] ^ row[i - 1]
            run = runs[count]
            run[LEFT], run[TOP], run[RIGHT], run[BOTTOM] = left, y, right, y + 1
            run[AREA], run[INK], run[CONTRAST] = right - left, inked, high
            run[GROUND], run[SQUARES] = level, square
            run[ACROSS], run[DOWN] = across, down
            count += 1
        above = row
    return runs[:count]


def _joined(runs: Any) -> Any:
    """Return those in rows one above the other that touch, also at corners, as one; in place."""
    into = np.arange(len(runs))
    first = 0  # in the row above, the first run that may touch
    for n in range(len(runs)):
        while runs[first, BOTTOM] < runs[n, TOP] or (
            runs[first, TOP] < runs[n, TOP] and runs[first, RIGHT] < runs[n, LEFT]
        ):
            first += 1
        other = first
        while runs[other, TOP] < runs[n, TOP] and runs[other, LEFT] <= runs[n, RIGHT]:
            a, b = other, n
            while into[a] != a:
                a = into[a]
            while into[b] != b:
                b = into[b]
            into[max(a, b)] = min(a, b)
            other += 1
    for n in range(len(runs) - 1, -1, -1):
        if into[n] != n:
            one, more = runs[into[n]], runs[n]
            one[LEFT], one[TOP] = min(one[LEFT], more[LEFT]), min(one[TOP], more[TOP])
            one[RIGHT] = max(one[RIGHT], more[RIGHT])
            one[BOTTOM] = max(one[BOTTOM], more[BOTTOM])
            one[AREA:] += more[AREA:]
    return runs[into == np.arange(len(runs))]
