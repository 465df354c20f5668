"""A 64-bit fingerprint of what the picture looks like: near-duplicates differ in a few bits.

The pHash: the signs, against their median, of the 8 x 8 lowest DCT coefficients of the picture at
32 x 32 px. Distances between these hashes are what `duplicate` decides on.

Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), as the
library imagehash computes it; bit for bit its `phash` of the luma plane as an 8-bit grey image.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.schemas.arrays import Hashes, Planes
from pairsieve.schemas.columns import LUMA, PERCEPTUAL_HASH, Column


@dataclass(frozen=True, slots=True)
class PerceptualHash:
    """Measure the pHash. There is no rule: a hash alone is neither good nor bad."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA,)
    writes: ClassVar[tuple[Column, ...]] = (PERCEPTUAL_HASH,)

    def measure(self, luma: Planes) -> Hashes:
        """Return the hash of each plane, (n,): `int(str(imagehash.phash(image)), 16)`."""
        from imagehash import phash
        from PIL import Image

        bits = [phash(Image.fromarray(plane)).hash.ravel() for plane in luma]
        packed = np.packbits(np.array(bits, bool).reshape(-1, 64), axis=1)
        return packed.view(">u8").ravel().astype(np.uint64)
