"""How much the colours of two pictures differ, in contrasts.

Plain pictures, a third of whose cells look the same, as in cards, graphics and logos, have little
else to be told apart by: of them a copy may be dimmer and nothing else. Others have so much in them
that a copy may be graded: of each channel the best gain and offset are taken off first, and where
one of two is monochrome, only the brightness counts.

What a gain and an offset can hide is another graphic of the same shape in other colours, so a plain
picture never gets them: with them, 200 to 375 of 2,000 drawn graphics took another for a copy in
place of 15.

It imports numba at its top, so import it where it is used. `star_clusters.py` calls it compiled:
change that file too when this one changes, or numba's cache keeps the old one.
"""

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.dedup.features import Ints

DIMMEST = 0.5  # of the brightness of a picture, to which it is dimmed for comparing
LEAST_CONTRAST = 4.0  # levels added to the contrast, so that next to none does not count
LEAST_GAIN, MOST_GAIN = 0.4, 2.5  # of a channel of a graded copy
GRADED = 0.7  # what a difference left after grading counts of one that is left after dimming
MONOCHROME = 20  # levels by which colours of one brightness differ, less, in a monochrome picture
BRIGHTNESS = (299, 587, 114)  # of red, green and blue, thousandths (ITU-R BT.601)


@compiled
def difference(a: NDArray[np.uint8], b: NDArray[np.uint8], plain: bool) -> float:
    """Return the largest difference of a cell over the contrast of two pictures, (75,) each.

    `plain`: whether one of them is.
    """
    if plain:
        return _dimmed_difference(a, b)
    brightness_a, brightness_b = _brightness(a), _brightness(b)
    if _is_monochrome(a, brightness_a) or _is_monochrome(b, brightness_b):
        return GRADED * _graded_difference(brightness_a, brightness_b, 1000.0)
    return GRADED * _graded_difference(_levels(a), _levels(b), 1.0)


@compiled
def _dimmed_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the largest difference over the contrast, the brighter picture dimmed to the other."""
    aa, bb, ab = 0, 0, 0
    for index in range(a.shape[0]):
        x, y = int(a[index]), int(b[index])
        aa += x * x
        bb += y * y
        ab += x * y
    dim = min(1.0, max(DIMMEST, ab / max(aa, bb, 1)))
    dim_a, dim_b = (dim, 1.0) if aa >= bb else (1.0, dim)
    largest = 0.0
    for index in range(a.shape[0]):
        largest = max(largest, abs(dim_a * a[index] - dim_b * b[index]))
    return largest / (min(dim_a * _contrast(a), dim_b * _contrast(b)) + LEAST_CONTRAST)


@compiled
def _graded_difference(a: Ints, b: Ints, unit: float) -> float:
    """Return the largest difference over the contrast, a gain and an offset per channel taken off.

    The picture with more contrast is graded to the other. Both are (cells, channels), their levels
    in parts of a `unit`.
    """
    count, channels = a.shape
    spread_a, spread_b = 0, 0
    for channel in range(channels):
        sum_a, sum_b, squares_a, squares_b, _ = _sums(a[:, channel], b[:, channel])
        spread_a += count * squares_a - sum_a * sum_a
        spread_b += count * squares_b - sum_b * sum_b
    x, y = (a, b) if spread_a >= spread_b else (b, a)
    largest = 0.0
    for channel in range(channels):
        sum_x, sum_y, squares, _, products = _sums(x[:, channel], y[:, channel])
        own = count * squares - sum_x * sum_x
        gain = min(MOST_GAIN, max(LEAST_GAIN, (count * products - sum_x * sum_y) / max(own, 1)))
        for cell in range(count):
            left = (count * y[cell, channel] - sum_y) - gain * (count * x[cell, channel] - sum_x)
            largest = max(largest, abs(left) / count)
    contrast = np.sqrt(min(spread_a, spread_b) / (channels * count * count))
    return float(largest / (contrast + LEAST_CONTRAST * unit))


@compiled
def _sums(a: Ints, b: Ints) -> tuple[int, int, int, int, int]:
    """Return the sum of each, the sums of their squares, and that of their products."""
    sum_a, sum_b, squares_a, squares_b, products = 0, 0, 0, 0, 0
    for x, y in zip(a, b):  # noqa: B905 - numba knows no `strict`
        sum_a += x
        sum_b += y
        squares_a += x * x
        squares_b += y * y
        products += x * y
    return sum_a, sum_b, squares_a, squares_b, products


@compiled
def _is_monochrome(colours: NDArray[np.uint8], brightness: Ints) -> bool:
    """Return whether the brightness of a cell tells its colour, as in grey and sepia pictures."""
    count, levels = len(brightness), _levels(colours)
    for channel in range(3):
        sum_x, sum_y, squares, _, products = _sums(brightness[:, 0], levels[:, channel])
        gain = (count * products - sum_x * sum_y) / max(count * squares - sum_x * sum_x, 1)
        for cell in range(count):
            left = (count * levels[cell, channel] - sum_y) - gain * (
                count * brightness[cell, 0] - sum_x
            )
            if abs(left) >= count * MONOCHROME:
                return False
    return True


@compiled
def _levels(colours: NDArray[np.uint8]) -> Ints:
    """Return the levels of the cells of a picture, (cells, 3)."""
    found = np.empty((colours.shape[0] // 3, 3), np.int64)
    for cell in range(len(found)):
        for channel in range(3):
            found[cell, channel] = colours[3 * cell + channel]
    return found


@compiled
def _brightness(colours: NDArray[np.uint8]) -> Ints:
    """Return the brightness of the cells of a picture, (cells, 1), thousandths of a level."""
    found = np.empty((colours.shape[0] // 3, 1), np.int64)
    for cell in range(len(found)):
        found[cell, 0] = 0
        for channel in range(3):
            found[cell, 0] += BRIGHTNESS[channel] * int(colours[3 * cell + channel])
    return found


@compiled
def _contrast(colours: NDArray[np.uint8]) -> float:
    """Return the standard deviation of the cells of a picture from its mean colour, levels."""
    count, spread = colours.shape[0] // 3, 0
    for channel in range(3):
        total, squares = 0, 0
        for index in range(channel, colours.shape[0], 3):
            level = int(colours[index])
            total += level
            squares += level * level
        spread += count * squares - total * total
    return float(np.sqrt(spread / (3.0 * count * count)))
