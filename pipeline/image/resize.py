"""The sizes of the stored image, and the pixels at that size.

The part that is kept is cut out first and then resized, in the orientation in which the pixels lie,
so that rotation and everything after costs only what the stored image has. Smaller is by area
averages (`area_resize.py`); larger, only if the recipe says so, by Pillow's bicubic, which is the
same on every machine.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pairsieve.schemas import recipe

LONGEST_SIDE = {"jpg": 65_500, "webp": 16_383, "png": 65_500}  # px, of libjpeg and libwebp
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
BACK = {6: 8, 8: 6}  # the orientation that undoes another; the other ones undo themselves


@dataclass(frozen=True, slots=True)
class Fit:
    """What of an upright picture is kept, and at which size; all in px.

    Attributes:
        left: Of the part that is cut out.
        top: Of the part that is cut out.
        part: Its (width, height).
        size: (width, height) to which it is resized.
        canvas: (width, height) of the stored image, larger than `size` where it is padded.
    """

    left: int
    top: int
    part: tuple[int, int]
    size: tuple[int, int]
    canvas: tuple[int, int]


def fit(width: int, height: int, options: recipe.Image) -> Fit:
    """Return how an upright picture of this size is stored: never without a pixel."""
    side = options.side
    scale = _scale(width, height, options)
    part = width, height
    if options.size_key == "center_crop":
        part = min(width, max(1, round(side / scale))), min(height, max(1, round(side / scale)))
    size = max(1, round(part[0] * scale)), max(1, round(part[1] * scale))
    canvas = (side, side) if options.size_key == "pad" else size
    return Fit((width - part[0]) // 2, (height - part[1]) // 2, part, size, canvas)


def _scale(width: int, height: int, options: recipe.Image) -> float:
    """Return stored px per published px."""
    key, limit = options.size_key, LONGEST_SIDE[options.format] / max(width, height)
    if key == "none":
        return min(1.0, limit)
    shorter = key in ("min_side", "center_crop")
    scale = options.side / (min(width, height) if shorter else max(width, height))
    scale = scale if options.upscale else min(1.0, scale)
    return scale if key == "center_crop" else min(scale, limit)


def resized(pixels: NDArray[np.uint8], orientation: int, to: Fit) -> NDArray[np.uint8]:
    """Return the part of the pixels, (h, w, 3), that `to` keeps, upright, at its size."""
    part = _part(pixels, orientation, to)
    size = to.size[::-1] if orientation in SIDEWAYS else to.size
    return np.ascontiguousarray(upright(_at_size(part, size), orientation))


def _part(pixels: NDArray[np.uint8], orientation: int, to: Fit) -> NDArray[np.uint8]:
    """Return the part to keep, still as it lies."""
    width, height = to.part
    kept = upright(pixels, orientation)[to.top : to.top + height, to.left : to.left + width]
    return upright(kept, BACK.get(orientation, orientation))


def _at_size(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels at `size`, (width, height)."""
    height, width = pixels.shape[:2]
    if size == (width, height):
        return pixels
    if size[0] > width or size[1] > height:
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    from pairsieve.pipeline.image.area_resize import reduced

    return reduced(pixels, *size)


def padded(pixels: NDArray[np.uint8], to: Fit, background: str) -> NDArray[np.uint8]:
    """Return the pixels in the middle of the canvas."""
    height, width = pixels.shape[:2]
    if to.canvas == (width, height):
        return pixels
    canvas = np.empty((to.canvas[1], to.canvas[0], 3), np.uint8)
    canvas[:] = np.frombuffer(bytes.fromhex(background[1:]), np.uint8)
    left, top = (to.canvas[0] - width) // 2, (to.canvas[1] - height) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a view of pixels (h, w, ...) rotated and mirrored upright; as is beyond 1 to 8.

    Source: EXIF 2.3, tag 0x0112.
    """
    if orientation in SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
