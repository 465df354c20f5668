"""A 64-bit hash of what the picture looks like: near-duplicates differ in a few bits.

The pHash: the signs, against their median, of the 8 x 8 lowest DCT coefficients of the picture at
32 x 32 px. `duplicate` decides on distances between these hashes.

Most of imagehash's time is Pillow's Lanczos from the full size. Here the 32 x 32 px come from the
plane at 256 px, by a compiled Lanczos in the same fixed-point arithmetic: Pillow's bytes. Then the
same DCT of SciPy, in one call per batch.

Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), as the
library imagehash computes it; bit for bit its `phash` of the plane at 256 px as an 8-bit grey
image, with Pillow 13. (Earlier ones go across first in tall pictures too, where a bit may differ.)
Measured: 0.06 ms per picture and core, imagehash from the same plane 0.34. Against imagehash of the
untouched original, 188 pictures from the web: 173 hashes are equal, 14 differ in 2 bits, one in 6;
hashing the stored JPEG again instead: 169, 17 in 2 bits, one each in 4 and 6.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.schemas.arrays import Hashes, Planes
from pairsieve.schemas.columns import LUMA_256, PERCEPTUAL_HASH, Column

SIDE = 32  # px, of the square whose DCT is taken
LOWEST = 8  # coefficients each way that become bits
LOBES = 3  # of the Lanczos kernel
FRACTION_BITS = 22  # of Pillow's weights for 8-bit samples


@dataclass(frozen=True, slots=True)
class PerceptualHash:
    """Measure the pHash. There is no rule: a hash alone is neither good nor bad."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA_256,)
    writes: ClassVar[tuple[Column, ...]] = (PERCEPTUAL_HASH,)

    def measure(self, luma_256: Planes) -> Hashes:
        """Return the hash of each plane, (n,): `int(str(imagehash.phash(image)), 16)`."""
        return hashes(lowest(luma_256))


def lowest(planes: Planes) -> NDArray[np.float64]:
    """Return the lowest coefficients of each plane's DCT, (n, 8, 8): down, then across."""
    from scipy.fftpack import dct

    squares = np.empty((len(planes), SIDE, SIDE), np.uint8)
    for row, plane in enumerate(planes):
        squares[row] = reduce_to_square(plane)
    if not len(squares):  # SciPy takes no empty batch
        return np.empty((0, LOWEST, LOWEST))
    down = dct(squares, axis=1)[:, :LOWEST]
    return np.asarray(dct(down, axis=2)[:, :, :LOWEST])


def hashes(coefficients: NDArray[np.float64]) -> Hashes:
    """Return the hash, (n,), of each picture with these lowest coefficients, (n, 8, 8)."""
    flat = coefficients.reshape(-1, LOWEST * LOWEST)
    if not len(flat):
        return np.empty(0, np.uint64)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def reduce_to_square(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what Pillow's Lanczos makes of `plane`, (h, w): (32, 32).

    First across, then down; the other way round where down is by far the longer way.
    """
    height, width = plane.shape
    across, down = _weights(width), _weights(height)
    if height > SIDE and height - SIDE > 2 * (width - SIDE):
        transposed: NDArray[np.uint8] = compiled(_square)(
            np.ascontiguousarray(plane), *down, *across
        )
        return transposed.T
    square: NDArray[np.uint8] = compiled(_square)(_transposed(plane), *across, *down)
    return square


def _transposed(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the plane's columns as rows; OpenCV copies them in a tenth of NumPy's time."""
    import cv2

    return np.asarray(cv2.transpose(np.ascontiguousarray(plane)), np.uint8)


@lru_cache(maxsize=1024)
def _weights(size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the first sample of `size` that each of 32 reads, (32,), and its weights, (32, taps).

    In double precision and in Pillow's order of operations, then rounded to 22 fraction bits.
    Where nothing is resized, Pillow copies: one weight of 1.
    """
    if size == SIDE:
        return np.arange(SIDE, dtype=np.int32), np.full((SIDE, 1), 1 << FRACTION_BITS, np.int32)
    starts, weights = compiled(_lanczos)(size)
    return starts, weights


def _lanczos(size: Any) -> Any:
    """Return the same of a size that is not 32, by Lanczos' kernel.

    The taps are added up one after the other: Python's `sum` is more exact than Pillow's.
    """
    scale = size / SIDE
    stretch = max(scale, 1.0)
    reach = LOBES * stretch
    firsts = np.empty(SIDE, np.int32)
    weights = np.zeros((SIDE, min(size, int(math.ceil(reach)) * 2 + 1)), np.int32)
    taps = np.empty(weights.shape[1] + 1)
    for index in range(SIDE):
        centre = (index + 0.5) * scale
        first, end = max(0, int(centre - reach + 0.5)), min(size, int(centre + reach + 0.5))
        total = 0.0
        for tap in range(first, end):
            x = (tap - centre + 0.5) * (1.0 / stretch)
            inside = -LOBES <= x < LOBES
            one = 1.0 if inside else 0.0
            for at in (x, x / LOBES):
                if inside and at != 0:
                    one *= math.sin(at * math.pi) / (at * math.pi)
            taps[tap - first] = one
            total += one
        firsts[index] = min(first, size - weights.shape[1])
        for tap in range(first, end):
            share = taps[tap - first] / total * (1 << FRACTION_BITS)
            weights[index, tap - firsts[index]] = int(share - 0.5 if share < 0 else share + 0.5)
    return firsts, weights


def _square(lines: Any, starts: Any, weights: Any, ends: Any, others: Any) -> Any:
    """Return the square, (32, 32): the lines are added up, rounded to bytes; then along them.

    `lines` are the columns of a plane, so that whole columns are added up, and the square has its
    rows and columns in the usual order; or its rows, and then the square is transposed.
    """
    square: Any = np.empty((SIDE, SIDE), np.uint8)
    length = lines.shape[1]
    line: Any = np.empty(length, np.int32)
    half = np.int32(1 << (FRACTION_BITS - 1))
    for x in range(SIDE):
        line[:] = half
        for tap in range(weights.shape[1]):
            weight = weights[x, tap]
            samples = lines[starts[x] + tap]
            for y in range(length):
                line[y] += np.int32(weight * np.int32(samples[y]))
        for y in range(length):
            line[y] = min(255, max(0, line[y] >> FRACTION_BITS))
        for y in range(SIDE):
            total = half
            for tap in range(others.shape[1]):
                total += np.int32(others[y, tap] * line[ends[y] + tap])
            square[y, x] = min(255, max(0, total >> FRACTION_BITS))
    return square
