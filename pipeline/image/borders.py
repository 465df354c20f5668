"""Borders: where the picture lies inside a frame, a letterbox or a bar with a caption.

Such a border moves every coefficient of a pHash, so the picture without it is hashed as well. From
each edge, lines are border as long as nearly all of them has one level; a caption may interrupt
them. The border ends where, within a few lines, most of a line is something else: a straight edge,
which a subject on a plain ground does not have.

It imports numba at its top, so import it where it is used.

Source: ours.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled

TOLERANCE = 12  # levels from that of the border, which JPEG leaves
EMPTY = 0.95  # share of a line of the border that has its level, at least
CAPTION = 0.15  # the same of a line through a caption
INSIDE = 0.4  # the same of the first line inside, at most
BLENDED = 2  # lines at most between the border and the first line inside
WIDEST = 0.35  # of a side that one border may take


class Inside(NamedTuple):
    """A part of a plane, px: rows `top` to `bottom`, columns `left` to `right`, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


def inside(plane: NDArray[np.uint8]) -> Inside | None:
    """Return where in a luma plane the picture lies; None if there is no border around it."""
    height, width = plane.shape
    top, bottom = _border(plane), height - _border(plane[::-1])
    across = plane[top:bottom].T
    left, right = _border(across), width - _border(across[::-1])
    found = Inside(top, bottom, left, right)
    return None if found == (0, height, 0, width) else found


@compiled
def _border(lines: NDArray[np.uint8]) -> int:
    """Return how many of the first lines are border."""
    count, length = lines.shape
    level = int(np.median(lines[0]))
    last_empty, found = -1, 0
    for index in range(int(count * WIDEST) + 1):
        same = 0
        for at in range(length):
            same += abs(int(lines[index, at]) - level) <= TOLERANCE
        if same >= EMPTY * length:
            last_empty = index
        elif last_empty < 0:
            return 0
        elif same <= INSIDE * length and index - last_empty <= BLENDED + 1:
            found = index if found <= last_empty else found
        if same < CAPTION * length:
            break
    return found
