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
the stored plane instead of the one at 256 px no better at 2.5 times the cost. 0.35 ms per picture
and core, the most of all measures; two thirds of it are OpenCV's for the top hats.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.schemas.arrays import Floats, Planes
from pairsieve.schemas.columns import LUMA_256, TEXT_COVERAGE, Column

Plane = NDArray[np.uint8]  # (h, w)
Runs = NDArray[np.int64]  # (n, 3): left, right, row

STROKE = 7  # px; ink is thinner
AROUND = 25  # px, side of the square in which the strongest ink is looked for
FAINT = 20  # levels; less is no ink
GAP = 9  # px between ink at which a run ends
HIGHEST = 30  # px, of a line
LEFT, TOP, RIGHT, BOTTOM, AREA = range(5)  # of a box; the area is that of its runs
INK, CONTRAST, GROUND, SQUARES, ACROSS, DOWN = range(6)  # sums over the px of a box's runs


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

    area = 0
    for fill in (cv2.MORPH_CLOSE, cv2.MORPH_OPEN):  # over dark ink, over light ink
        ground = cv2.morphologyEx(plane, fill, np.ones((STROKE, STROKE), np.uint8))
        contrast = cv2.absdiff(ground, plane)
        most = cv2.dilate(contrast, np.ones((AROUND, AROUND), np.uint8))
        ink = compiled(_marks)(contrast, most)
        runs: Runs = compiled(_runs)(ink, plane.shape[1])
        into = compiled(_joined)(runs)
        boxes = compiled(_boxes)(runs, into)
        sums = compiled(_sums)(runs, into, len(boxes), ink, contrast, ground)
        area = max(area, compiled(_text_area)(boxes, sums))
    return min(1.0, area / plane.size)


def _marks(contrast: Any, most: Any) -> Any:
    """Return 1 where there is ink, else 0; rows filled up with 0 to whole words of 8 bytes."""
    height, width = contrast.shape
    ink: Any = np.zeros((height, (width + 7) // 8 * 8), np.uint8)
    for y in range(height):
        row, apart, around = ink[y], contrast[y], most[y]
        for x in range(width):
            one: Any = np.int16(apart[x])
            row[x] = (one >= FAINT) & (2 * one >= np.int16(around[x]))
    return ink


def _runs(ink: Any, width: int) -> Any:
    """Return the runs of ink of each row."""
    height = len(ink)
    words = ink.view(np.uint64)
    runs = np.empty((height * (width // (GAP + 1) + 1), 3), np.int64)
    count = 0
    for y in range(height):
        row, eight = ink[y], words[y]
        x = 0
        while x < width:
            if not eight[x >> 3]:
                x = (x | 7) + 1
                continue
            if not row[x]:
                x += 1
                continue
            left, right = x, x + 1
            while x < width and x - right < GAP:
                if row[x]:
                    right = x + 1
                x += 1
            runs[count] = left, right, y
            count += 1
    return runs[:count]


def _joined(runs: Any) -> Any:
    """Join runs in rows one above the other that touch, also at corners.

    Return for each the first run that it is joined to, through others; for a first run itself.
    """
    into = np.arange(len(runs))
    first = 0  # in the row above, the first run that may touch
    for n in range(len(runs)):
        left, right, y = runs[n]
        while runs[first, 2] + 1 < y or (runs[first, 2] < y and runs[first, 1] < left):
            first += 1
        other = first
        while runs[other, 2] < y and runs[other, 0] <= right:
            a, b = other, n
            while into[a] != a:
                a = into[a]
            while into[b] != b:
                b = into[b]
            into[max(a, b)] = min(a, b)
            other += 1
    return into


def _boxes(runs: Any, into: Any) -> Any:
    """Return the boxes of joined runs that are flat and filled as a line is.

    `into` becomes the number of each run's box, -1 where that is left out.
    """
    boxes = np.empty((len(runs), 5), np.int64)
    for n in range(len(runs)):
        left, right, y = runs[n]
        if into[n] == n:
            boxes[n] = left, y, right, y + 1, right - left
            continue
        into[n] = into[into[n]]  # what a run is joined to comes before it
        box = boxes[into[n]]
        box[LEFT], box[RIGHT] = min(box[LEFT], left), max(box[RIGHT], right)
        box[BOTTOM] = y + 1
        box[AREA] += right - left
    lines = 0
    for n in range(len(runs)):
        if into[n] != n:
            into[n] = into[into[n]]
            continue
        wide, high = boxes[n, RIGHT] - boxes[n, LEFT], boxes[n, BOTTOM] - boxes[n, TOP]
        flat = high <= HIGHEST and wide >= 1.5 * high and boxes[n, AREA] >= 0.43 * (wide * high)
        boxes[lines] = boxes[n]
        into[n] = lines if flat else -1
        lines += flat
    return boxes[:lines]


def _sums(runs: Any, into: Any, count: int, ink: Any, contrast: Any, ground: Any) -> Any:
    """Return the sums over the px of each of `count` boxes' runs, (count, 6).

    Of changes from ink to none, along the row and from the row above, too.
    """
    sums = np.zeros((count, 6), np.int64)
    for n in range(len(runs)):
        if into[n] < 0:
            continue
        left, right, y = runs[n]
        row, apart, under = ink[y], contrast[y], ground[y]
        inked, high, level, square, across, down = 0, 0, 0, 0, 1, 0
        for x in range(left, right):
            one: Any = np.int32(under[x])
            inked += row[x]
            high += np.int32(row[x]) * apart[x]
            level += one
            square += one * one
            down += row[x] ^ (ink[y - 1, x] if y else 0)
        for x in range(left + 1, right):
            across += row[x] ^ row[x - 1]
        total = sums[into[n]]
        total[INK] += inked
        total[CONTRAST] += high
        total[GROUND] += level
        total[SQUARES] += square
        total[ACROSS] += across
        total[DOWN] += down
    return sums


def _text_area(boxes: Any, sums: Any) -> Any:
    """Return the area of the boxes that look like a line of text, px."""
    found = 0
    for n in range(len(boxes)):
        wide, high = boxes[n, RIGHT] - boxes[n, LEFT], boxes[n, BOTTOM] - boxes[n, TOP]
        area, down = boxes[n, AREA], sums[n, DOWN]
        contrast, ground = sums[n, CONTRAST] / sums[n, INK], sums[n, GROUND] / area
        uneven = np.sqrt(max(0.0, sums[n, SQUARES] / area - ground * ground))
        found += (wide * high) * (
            contrast >= 45  # levels
            and uneven <= 0.4 * contrast
            and 1.7 <= sums[n, ACROSS] / wide <= 6  # per row of a height
            and down / wide >= 1.1  # per column
            and down >= 0.09 * area
            and (down <= 0.34 * area or wide >= 10 * high)  # small letters, in long lines
        )
    return found
