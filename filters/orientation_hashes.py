"""The hashes that the picture would have mirrored or rotated by right angles.

A mirrored copy has nothing in common with the hash of its original, but with that of the mirrored
original. Measured only for the orientations in the recipe's `group.orientations`: `group` then
compares every picture in these orientations too.

The pHash needs no second picture: mirroring changes the sign of every second coefficient of the
DCT, and rotating by 90 degrees swaps its directions as well. The dhash is that of the rotated
plane.

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
from pairsieve.schemas.columns import LUMA_256, ORIENTATION_HASHES, ORIENTATIONS, Column

Array = NDArray[Any]  # (h, w, ...)
ORIENTED: dict[str, Callable[[Array], Array]] = {
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
class OrientationHashes:
    """Measure the hashes of the mirrored or rotated picture. There is no rule."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA_256, ORIENTATIONS)
    writes: ClassVar[tuple[Column, ...]] = (ORIENTATION_HASHES,)

    def measure(self, luma_256: Planes, orientations: Texts) -> Hashes:
        """Return pHash and dhash of each orientation, (n, 2 k); `orientations` is (n, k).

        All pictures of a batch have the same orientations.
        """
        values = np.empty((len(luma_256), 2 * orientations.shape[1]), np.uint64)
        coefficients = lowest(luma_256)
        for index, orientation in enumerate(orientations[0] if len(orientations) else ()):
            planes = np.empty(len(luma_256), object)
            planes[:] = [ORIENTED[orientation](plane) for plane in luma_256]
            values[:, 2 * index] = hashes(_COEFFICIENTS[orientation](coefficients))
            values[:, 2 * index + 1] = Dhash().measure(planes)
        return values
