"""Blur boxes of a picture, e.g. of faces, so far that nobody can be recognised in what is left.

As DataComp did: a box grown by a tenth of its longer side is blended with its Gaussian blur through
a mask with soft edges. There one blur, as wide as the largest box needs, serves all; but then the
mask of a small box beside a large one washes out and the small face stays. Here every box has its
own.

Source: Gadre et al., "DataComp" (2023), appendix on face blurring; after Yang et al., "A Study of
Face Obfuscation in ImageNet" (ICML 2022).
"""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

BlurBox = tuple[float, float, float, float]  # x0, y0, x1, y1

GROWN = 0.1  # of the longer side, on every side
SIGMA = 0.1  # of the longer side
MIN_SIGMA = 1.0  # px
REACH = 3  # sigmas of picture around a box that its blur and its soft edge take in
MAX_BOXES = 1000
FRACTIONS = (-1.0, 2.0)  # detectors give boxes a little over the edge; 37.5 is not a fraction


def parse_boxes(value: Any, unit: str) -> tuple[BlurBox, ...] | str:
    """Return the boxes of one row of the input, or what is wrong with them.

    `value` is a list of boxes of four numbers, or JSON text of one. No boxes are an empty list: a
    missing value means that nothing was detected yet, so it is wrong.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return f"not JSON: {value[:80]!r}"
    if not isinstance(value, list):
        return "missing" if value is None else f"not a list: {str(value)[:80]!r}"
    if len(value) > MAX_BOXES:
        return f"{len(value)} boxes, more than {MAX_BOXES}"
    boxes = tuple(_box(box, unit) for box in value)
    wrong = [index for index, box in enumerate(boxes) if box is None]
    if wrong:
        return f"box {wrong[0]}: {str(value[wrong[0]])[:80]!r} is not [x0, y0, x1, y1] in {unit}"
    return tuple(box for box in boxes if box is not None)


def _box(value: Any, unit: str) -> BlurBox | None:
    """Return one box; None where it is none."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    if not all(type(number) in (int, float) and abs(number) < 2**31 for number in value):
        return None
    x0, y0, x1, y1 = map(float, value)
    low, high = FRACTIONS if unit == "fraction" else (-math.inf, math.inf)
    return (x0, y0, x1, y1) if low <= x0 < x1 <= high and low <= y0 < y1 <= high else None


def in_px(boxes: Sequence[BlurBox], unit: str, width: int, height: int) -> list[BlurBox] | str:
    """Return boxes in px of an upright picture; what is wrong where one lies outside of it."""
    scale = (width, height, width, height) if unit == "fraction" else (1, 1, 1, 1)
    boxes_px = []
    for index, box in enumerate(boxes):
        x0, y0, x1, y1 = (number * by for number, by in zip(box, scale, strict=True))
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            return f"box {index}: {list(box)} lies outside of {width} x {height} px"
        boxes_px.append((x0, y0, x1, y1))
    return boxes_px


def blurred(pixels: NDArray[np.uint8], boxes: Sequence[BlurBox]) -> NDArray[np.uint8]:
    """Return the pixels, (h, w, 3), with every box blurred; boxes in px, also over the edge."""
    image = Image.fromarray(pixels)
    for x0, y0, x1, y1 in boxes:
        side = max(x1 - x0, y1 - y0)
        grow, sigma = GROWN * side, max(MIN_SIGMA, SIGMA * side)
        inner = _clipped((x0 - grow, y0 - grow, x1 + grow, y1 + grow), image.size)
        margin = REACH * sigma
        outer = _clipped(
            (x0 - grow - margin, y0 - grow - margin, x1 + grow + margin, y1 + grow + margin),
            image.size,
        )
        if inner[0] < inner[2] and inner[1] < inner[3]:
            image.paste(_soft(image.crop(outer), _shifted(inner, outer), sigma), outer[:2])
    return np.asarray(image)


def _soft(part: Image.Image, box: tuple[int, int, int, int], sigma: float) -> Image.Image:
    """Return a part of the picture blurred inside of `box`, with a soft edge around it."""
    gaussian = ImageFilter.GaussianBlur(sigma)
    mask = Image.new("L", part.size, 0)
    mask.paste(255, box)
    return Image.composite(part.filter(gaussian), part, mask.filter(gaussian))


def _clipped(box: BlurBox, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box widened to whole pixels and cut at the picture's edges."""
    width, height = size
    x0, y0 = min(width, max(0, math.floor(box[0]))), min(height, max(0, math.floor(box[1])))
    x1, y1 = min(width, max(0, math.ceil(box[2]))), min(height, max(0, math.ceil(box[3])))
    return x0, y0, x1, y1


def _shifted(
    box: tuple[int, int, int, int], origin: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Return a box as seen from the corner of another."""
    left, top = origin[:2]
    return box[0] - left, box[1] - top, box[2] - left, box[3] - top
