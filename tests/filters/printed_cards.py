"""Drawn pictures with text."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIZE = (400, 300)


def card(*lines: str, size: int = 28) -> NDArray[np.uint8]:
    """Return the luma of a grey card with these lines, (300, 400)."""
    image = Image.new("L", SIZE, 215)
    draw = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        draw.text((30, 40 + index * 2 * size), line, 20, ImageFont.load_default(size))
    return np.asarray(image)


def box_area(line: str, size: int = 28) -> float:
    """Return the share of a card that the box of a line's ink covers."""
    left, top, right, bottom = ImageFont.load_default(size).getbbox(line)
    return (right - left) * (bottom - top) / (SIZE[0] * SIZE[1])
