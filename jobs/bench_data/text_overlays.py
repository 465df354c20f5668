"""Write lines of words on pictures, in the font that Pillow brings along."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]  # (h, w), luma
Random = np.random.Generator
SMALLEST, LARGEST = 0.03, 0.12  # size of the font over the shorter side: 10 to 40 px of 340
SPACING = (1.0, 1.4)  # from line to line, in heights of the font
CONTRAST = 80  # levels, at least, between ink and paper
_WORDS = (
    "a", "quiet", "morning", "by", "the", "river", "Someone", "left", "THE", "LAMP", "on", "again",
    "and", "nobody", "knows", "why", "We", "walk", "home", "together", "every", "winter", "Dreams",
    "begin", "where", "fear", "ends", "24", "reasons", "to", "stay", "Please", "read", "this",
)  # fmt: skip


def text_card(plane: Plane, rng: Random, share: float) -> Plane:
    """Return a plain card of the same size with lines of words over `share` of its area."""
    return written(np.full_like(plane, rng.integers(256)), rng, share)


def captioned(plane: Plane, rng: Random, share: float) -> Plane:
    """Return the picture with lines of words over `share` of its area, on a plain band."""
    return written(plane, rng, share, band=int(rng.integers(256)))


def written(plane: Plane, rng: Random, share: float, band: int | None = None) -> Plane:
    """Return the picture with lines whose boxes, a font's height high, cover about `share`."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = plane.shape
    small, large = SMALLEST * min(plane.shape), LARGEST * min(plane.shape)
    size = round(float(np.exp(rng.uniform(np.log(small), np.log(large)))))
    font: Any = ImageFont.load_default(size)
    tall = sum(font.getmetrics())
    step = tall * float(rng.uniform(*SPACING))
    wide = width * float(rng.uniform(max(0.5, share * step / tall / 0.9), 0.95))
    lines: list[str] = []
    while (
        not lines or sum(map(font.getlength, lines)) * tall < share * plane.size - wide * tall / 2
    ):
        lines.append(_line(rng, font, wide))
    image = Image.fromarray(plane)
    draw = ImageDraw.Draw(image)
    left = float(rng.uniform(0, width - wide))
    top = float(rng.uniform(0, max(0, height - step * len(lines))))
    if band is not None:
        bottom = top + step * len(lines) + tall / 2
        draw.rectangle((left - tall / 2, top - tall / 2, left + wide + tall / 2, bottom), band)
    paper = int(plane[0, 0]) if band is None else band
    apart = round(float(rng.uniform(CONTRAST, max(paper, 255 - paper))))
    ink = paper - apart if paper > 127 else paper + apart
    for index, line in enumerate(lines):
        draw.text((left, top + step * index), line, ink, font)
    return np.asarray(image)


def _line(rng: Random, font: Any, wide: float) -> str:
    """Return words that fill a line of `wide` px, at least one."""
    line = _WORDS[rng.integers(len(_WORDS))]
    while True:
        longer = f"{line} {_WORDS[rng.integers(len(_WORDS))]}"
        if font.getlength(longer) > wide:
            return line
        line = longer
