"""The pHash of the middle of the picture, without 3 % at each edge.

A crop moves a pHash: of copies cropped by 5 % of their sides 57 % are within 4 bits of the
original. Their pHash is that of the middle of the original, so `group` searches with both, if
`group.edits` has `crops`. The DCT is that of `perceptual_hash`.

Source: ours; the hash is that of `perceptual_hash`.
Measured: of 100 photographs cropped by 3, 5, 6, 7, 8 and 10 % of their sides 97, 98, 94, 81, 73 and
34 % are found and verified at 4 bits, by `perceptual_hash` alone 84, 57, 38, 17, 11 and 2. With 5 %
or 7 % off in place of 6 it is worse at 7 or at 4 %. 0.06 ms per picture and core.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.perceptual_hash import hashes, lowest
from pairsieve.schemas.arrays import Hashes, Planes
from pairsieve.schemas.columns import CENTRE_HASH, LUMA_256, Column

CUT = 0.03  # of a side, at each edge


@dataclass(frozen=True, slots=True)
class CentreHash:
    """Measure the pHash of the middle. There is no rule: a hash alone is neither good nor bad."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA_256,)
    writes: ClassVar[tuple[Column, ...]] = (CENTRE_HASH,)

    def measure(self, luma_256: Planes) -> Hashes:
        """Return the hash of the middle of each plane, (n,)."""
        middles = np.empty(len(luma_256), object)
        middles[:] = [centre(plane) for plane in luma_256]
        return hashes(lowest(middles))


def centre(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a plane, (h, w), without `CUT` of its sides at each edge, to the nearest pixel."""
    height, width = plane.shape
    down, across = round(CUT * height), round(CUT * width)
    return plane[down : height - down, across : width - across]
