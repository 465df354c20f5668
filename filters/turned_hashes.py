"""The fingerprints that the picture would have mirrored or turned by right angles.

A copy that was mirrored has nothing in common with the hash of its original, but with that of the
mirrored original. Measured only if the recipe's `group.orientations` asks: `group` then compares
every picture with the others' turned ones too.

The pHash needs no other picture: mirroring turns the signs of every second coefficient of the DCT,
and a quarter turn swaps its directions as well. The dhash is taken of the turned plane.

Source: ours; that a flip changes the signs of the odd coefficients follows from the symmetry of the
cosines, e.g. Rao and Yip, "Discrete Cosine Transform" (1990).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.dhash import Dhash
from pairsieve.filters.perceptual_hash import LOWEST, hashes, lowest
from pairsieve.schemas.arrays import Hashes, Planes, Texts
from pairsieve.schemas.columns import LUMA_256, ORIENTATIONS, TURNED_HASHES, Column

Array = NDArray[Any]  # (h, w, ...)
TURNED: dict[str, Callable[[Array], Array]] = {
    "mirrored": lambda pixels: pixels[:, ::-1],
    "rotated_90": lambda pixels: np.rot90(pixels, 1),  # anticlockwise
    "rotated_180": lambda pixels: np.rot90(pixels, 2),
    "rotated_270": lambda pixels: np.rot90(pixels, 3),
}
_SIGNS = np.where(np.arange(LOWEST) % 2, -1.0, 1.0)  # of what is flipped, by coefficient
_ACROSS, _DOWN = _SIGNS, _SIGNS[:, None]
_COEFFICIENTS: dict[str, Callable[[Array], Array]] = {
    "mirrored": lambda low: low * _ACROSS,
    "rotated_90": lambda low: low.swapaxes(1, 2) * _DOWN,
    "rotated_180": lambda low: low * _ACROSS * _DOWN,
    "rotated_270": lambda low: low.swapaxes(1, 2) * _ACROSS,
}


@dataclass(frozen=True, slots=True)
class TurnedHashes:
    """Measure the hashes of the turned picture. There is no rule."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA_256, ORIENTATIONS)
    writes: ClassVar[tuple[Column, ...]] = (TURNED_HASHES,)

    def measure(self, luma_256: Planes, orientations: Texts) -> Hashes:
        """Return pHash and dhash of each orientation, (n, 2 k); `orientations` is (n, k).

        All pictures of a batch have the same orientations.
        """
        found = np.empty((len(luma_256), 2 * orientations.shape[1]), np.uint64)
        coefficients = lowest(luma_256)
        for place, turn in enumerate(orientations[0] if len(orientations) else ()):
            planes = np.empty(len(luma_256), object)
            planes[:] = [TURNED[turn](plane) for plane in luma_256]
            found[:, 2 * place] = hashes(_COEFFICIENTS[turn](coefficients))
            found[:, 2 * place + 1] = Dhash().measure(planes)
        return found
