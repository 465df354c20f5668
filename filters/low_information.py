"""Drop pictures with next to nothing in them: blank cards, "image not available", wide borders.

The share of the area, in squares of 8 px at a shorter side of 256 px, in which luma hardly changes:
less than 10 levels from its darkest to its brightest pixel. JPEG leaves less than that in a flat
area, grain more. A few words on a card touch few squares, as does a thumbnail in a wide border. A
clear sky is flat too, but a picture of nothing else is not worth a caption.

![How the flat shares of fine pictures and of cards are spread](plots/low_information.svg)

The default is cautious: above it lie 78 % of the cards, every wide border, and one of 266 other
pictures. Where slender things on white do not matter, 0.8 finds 98 % of the cards.

Source: ours.
Measured: 100 Flickr photographs have at most 0.54, 100 drawn scenes 0.11; of 66 pictures of a web
site, half of them graphics, one has 0.86, the next 0.83; of 266 drawn cards with a notice 95 % have
at least 0.81; pictures at a quarter of their sides in a border 0.91. 0.02 ms per picture and core.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from pairsieve.filters.base import compiled
from pairsieve.schemas.arrays import Floats, Planes
from pairsieve.schemas.columns import LOW_INFORMATION, LUMA_256, Column

SQUARE = 8  # px
FLAT = 10  # levels; a square that spans fewer is flat


@dataclass(frozen=True, slots=True)
class LowInformation:
    """Keep pictures of whose area at most `max_flat` is flat."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA_256,)
    writes: ClassVar[tuple[Column, ...]] = (LOW_INFORMATION,)

    max_flat: float = 0.85  # share of the area, [0, 1]

    def __post_init__(self) -> None:
        if not 0 <= self.max_flat <= 1:
            raise ValueError(f"max_flat must be in [0, 1], got {self.max_flat}")

    def measure(self, luma_256: Planes) -> Floats:
        """Return the share of each plane's squares that are flat, (n,), [0, 1], by their area.

        Squares at the right and lower edge may be cut; a square of one pixel is flat.
        """
        shares = [_compiled()(np.ascontiguousarray(one)) / one.size for one in luma_256]
        return np.array(shares, np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{LOW_INFORMATION.name} <= {self.max_flat!r}"


@cache
def _compiled() -> Any:
    """Return `_flat_area` compiled."""
    return compiled(_flat_area)


def _flat_area(plane: Any) -> int:
    """Return how many pixels lie in flat squares: column by column the least and most of a band."""
    height, width = plane.shape
    area = 0
    least: Any = np.empty(width, np.uint8)
    most: Any = np.empty(width, np.uint8)
    for top in range(0, height, SQUARE):
        bottom = min(height, top + SQUARE)
        least[:] = plane[top]
        most[:] = plane[top]
        for y in range(top + 1, bottom):
            row = plane[y]
            for x in range(width):
                least[x] = min(least[x], row[x])
            for x in range(width):
                most[x] = max(most[x], row[x])
        for left in range(0, width, SQUARE):
            right = min(width, left + SQUARE)
            low, high = 255, 0
            for x in range(left, right):
                low, high = min(low, least[x]), max(high, most[x])
            if high - low < FLAT:
                area += (bottom - top) * (right - left)
    return area
