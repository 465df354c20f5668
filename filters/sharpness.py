"""Drop pictures that are out of focus or shaken.

The two-scale gradient ratio in the worst direction, at 256 px. Blur removes the finest detail
first, so halving a blurred picture costs little of its gradient. A shake blurs in one direction
only, which a sum over all would hide; the worst direction follows from the two structure tensors in
closed form. Contrast cancels out. Sizes of blur are px at a shorter side of 256 px.

What has no edge cannot be out of focus: a clear sky, a blank card and fog score 1. A direction with
less than a hundredth of the gradient is ignored. What is sharp in a flat picture, a logo, decides.

![How the scores of fine and blurred pictures are spread](plots/sharpness.svg)

A subject before a soft background has a lower score than a picture that is sharp all over, so the
default is loose. It refuses at most 2 % of good pictures of any kind that was tried and every clear
blur; it misses a third to two thirds of what was enlarged from 128 px (`upscaled` measures that),
short shakes of screenshots, and noise over blur. 0.6 finds nearly all of these, and refuses 1 in 10
portraits. Chosen on half of each set of pictures, told of the other half:

| bound | portraits, food, goods (66) | everyday (53) | web site (36) | drawn (53) | aerial (13) |
|---|---|---|---|---|---|
| 0.45 | 1.5; 100, 79 | 0; 100, 85 | 0; 100, 64 | 0; 96, 79 | 0; 100, 77 |
| 0.5 | 1.5; 100, 96 | 0; 100, 92 | 0; 100, 72 | 0; 100, 89 | 0; 100, 100 |
| 0.55 | 4.5; 100, 97 | 1.9; 100, 92 | 0; 100, 83 | 0; 100, 98 | 0; 100, 100 |
| 0.6 | 10.6; 100, 100 | 1.9; 100, 98 | 0; 100, 92 | 7.5; 100, 100 | 0; 100, 100 |

Percent dropped: good pictures; with a Gaussian blur of 2 px, with a shake of 5 px.

Source: ours. The energy is the Tenengrad focus measure (Pertuz, Puig, Garcia, "Analysis of focus
measure operators for shape-from-focus", 2013) on Roberts' diagonal differences, which see
finer detail than Sobel's; the worst direction is the largest generalised eigenvalue of the tensors.
Measured: AUC of sharp against blurred pictures, 100 Flickr photographs: Gaussian of 1, 2 and 4 px
0.999, 1 and 1; shakes of 5 and 9 px 0.999 and 1; enlarged from 128 and 85 px 0.990 and 1; Gaussian
of 2 px, both as JPEG of quality 50 or at half contrast 1, both with noise of 5 levels 0.989. The
mean is 0.998; 0.996 for 66 pictures of a web site, 0.990 for 100 drawn scenes. The operator was
chosen on such pictures, so new ones may do worse; of 200 new drawn scenes none is dropped.
Noise of 8 levels: 0.82 instead of 0.92 for the scenes' noise over blur, their mean 0.980. On a
similar set, where this measure had means of 0.998, 0.996 and 0.992: Sobel over all directions
0.985, 0.958 and 0.974; re-blurring by Crete et al. ("The blur effect", 2007) 0.990, 0.975 and
0.957. Ratios over the 0.5 to 30 % steepest pixels, and the best of 16 tiles, were no better on the
half that was chosen on: where they spare portraits they miss shakes. 0.04 ms per picture and core.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.schemas.arrays import Floats, Planes
from pairsieve.schemas.columns import LUMA_256, SHARPNESS, Column

LEAST_SLOPE = 2.0  # grey levels per px; below it there is no edge that could be blurred
LEAST_SHARE = 0.01  # of the gradient energy; a direction with less is ignored


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Keep pictures with at least `min_sharpness` of their gradient energy at the finest scale."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA_256,)
    writes: ClassVar[tuple[Column, ...]] = (SHARPNESS,)

    min_sharpness: float = 0.5  # share of gradient energy, [0, 1]

    def __post_init__(self) -> None:
        if not 0 <= self.min_sharpness <= 1:
            raise ValueError(f"min_sharpness must be in [0, 1], got {self.min_sharpness}")

    def measure(self, luma_256: Planes) -> Floats:
        """Return the share of gradient energy at the finest scale of each plane, (n,), [0, 1].

        0 is as smooth as a ramp in some direction, 1 is detail at the last pixel in every one, or
        no edge at all.
        """
        return np.array([_sharpness(plane) for plane in luma_256], np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{SHARPNESS.name} >= {self.min_sharpness!r}"


def _sharpness(plane: NDArray[np.uint8]) -> float:
    """Return 1 - energy after one pyramid step / energy before it, in the worst direction."""
    import cv2

    plane = np.ascontiguousarray(plane)
    one, other, both, steepest = compiled(_tensor)(plane)
    if steepest < 2 * LEAST_SLOPE**2:  # the diagonals' squares add up to two of the slope's
        return 1.0
    least = LEAST_SHARE * (one + other)
    one, other = one + least, other + least
    coarse_one, coarse_other, coarse_both, _ = compiled(_tensor)(np.asarray(cv2.pyrDown(plane)))
    # Both eigenvalues of the first tensor's inverse times the second: mean and product.
    area = one * other - both * both
    mean = (coarse_one * other + coarse_other * one - 2 * coarse_both * both) / (2 * area)
    product = (coarse_one * coarse_other - coarse_both * coarse_both) / area
    worst: float = mean + max(0.0, mean * mean - product) ** 0.5
    return min(1.0, max(0.0, 1.0 - worst))


def _tensor(plane: Any) -> Any:
    """Return the summed squares of both diagonal differences, of their product, the steepest.

    Whole numbers, so that every machine adds them up to the same.
    """
    one: Any = 0
    other: Any = 0
    both: Any = 0
    steepest: Any = 0
    for y in range(plane.shape[0] - 1):
        for x in range(plane.shape[1] - 1):
            falling = np.int32(plane[y + 1, x + 1]) - np.int32(plane[y, x])
            rising = np.int32(plane[y, x + 1]) - np.int32(plane[y + 1, x])
            one += falling * falling
            other += rising * rising
            both += falling * rising
            steepest = max(steepest, falling * falling + rising * rising)
    return float(one), float(other), float(both), steepest
