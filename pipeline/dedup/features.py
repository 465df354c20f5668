"""What near-duplicates are compared by: the features of pictures, and what similar means.

Import this file where it is used: it imports numba.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled

Ints = NDArray[np.int64]
SIGNALS = ("dhash", "colour", "embedding")  # the failure of signal n is the bit 1 << n
HAS_HASH, HAS_DHASH, HAS_COLOUR, HAS_VECTOR, IS_PLAIN = 1, 2, 4, 8, 16
HAS_TRIMMED, HAS_CENTRE, IS_TRIMMED_PLAIN = 32, 64, 128
WHOLE, TRIMMED, CENTRE = 0, 1, 2  # views of a picture
HAS = (HAS_HASH, HAS_TRIMMED, HAS_CENTRE)  # which bit says that a view is there
# In which views two pictures are compared, beside the orientations, and which edit each shows.
VIEWS = ((TRIMMED, WHOLE), (WHOLE, TRIMMED), (TRIMMED, TRIMMED), (CENTRE, WHOLE), (WHOLE, CENTRE))
EDITS = ("borders", "borders", "borders", "crops", "crops")
PLAIN_CELLS = 8  # of 25, that look the same in a plain picture
PLAIN_RANGE = 0.1  # how far they may be apart, of the contrast


class Features(NamedTuple):
    """The features of n pictures in t orientations, the upright one first.

    Attributes:
        hashes: uint64 (n, t), the pHash in each.
        dhashes: uint64 (n, t).
        colours: uint8 (n, 75), upright.
        vectors: float32 (n, d), of length 1; d may be 0.
        known: uint8 (n,), bits HAS_... of what is there, and IS_PLAIN.
        trimmed: uint64 (n, 2), pHash and dhash inside the borders.
        trimmed_colours: uint8 (n, 75), inside the borders.
        centres: uint64 (n,), the pHash of the middle.
        cells: int64 (t, 75), where each colour of the oriented picture is in the upright one.
    """

    hashes: NDArray[np.uint64]
    dhashes: NDArray[np.uint64]
    colours: NDArray[np.uint8]
    vectors: NDArray[np.float32]
    known: NDArray[np.uint8]
    trimmed: NDArray[np.uint64]
    trimmed_colours: NDArray[np.uint8]
    centres: NDArray[np.uint64]
    cells: Ints

    def take(self, indices: Ints) -> "Features":
        """Return the features of some of the pictures."""
        return Features(
            self.hashes[indices],
            self.dhashes[indices],
            self.colours[indices],
            self.vectors[indices],
            self.known[indices],
            self.trimmed[indices],
            self.trimmed_colours[indices],
            self.centres[indices],
            self.cells,
        )


class Limits(NamedTuple):
    """What alike means; a signal that is not asked has no `uses`.

    Attributes:
        distance: Bits in which pHashes may differ.
        dhash: Bits in which dhashes may differ.
        colour: How much colours may differ, in contrasts.
        cosine: Of the vectors, at least.
        uses: Bits 1 << n of the signals that are asked.
    """

    distance: int
    dhash: int
    colour: float
    cosine: float
    uses: int


def oriented_cells(orientations: list[Any], side: int) -> Ints:
    """Return `cells` of `Looks`, (1 + k, side * side * 3), for functions that turn a picture."""
    upright = np.arange(side * side * 3).reshape(side, side, 3)
    return np.stack(
        [upright.ravel(), *(orientation(upright).ravel() for orientation in orientations)]
    )


def plain_pictures(colours: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pictures are plain, (n,), given their colours, (n, 75).

    In a plain picture a third of the cells look the same, as in cards, graphics and logos: they are
    no farther apart than a part of the contrast, the root of the mean variance of the colours.
    """
    found: NDArray[np.bool_] = _plain(np.ascontiguousarray(colours), PLAIN_CELLS, PLAIN_RANGE)
    return found


@compiled
def _plain(colours: NDArray[np.uint8], enough: int, share: float) -> NDArray[np.bool_]:
    found = np.zeros(len(colours), np.bool_)
    for picture in range(len(colours)):
        levels = colours[picture].astype(np.int64)
        cells = len(levels) // 3
        within = int(math.floor(share * math.sqrt(_variance(levels, cells))))
        for cell in range(cells):
            alike = 0
            for other in range(cells):
                far = 0
                for channel in range(3):
                    far = max(far, abs(levels[3 * other + channel] - levels[3 * cell + channel]))
                alike += far <= within
            if alike >= enough:
                found[picture] = True
                break
    return found


@compiled
def _variance(levels: Ints, cells: int) -> float:
    """Return the variance of a colour over the cells, the mean of the three; the sums are exact."""
    total = 0
    for channel in range(3):
        whole, squares = 0, 0
        for cell in range(cells):
            value = levels[3 * cell + channel]
            whole += value
            squares += value * value
        total += cells * squares - whole * whole
    return total / (3 * cells * cells)
