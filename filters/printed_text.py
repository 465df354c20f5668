"""Drop pictures that are mostly text: read it, and take the area of the lines that could be read.

Where `text_coverage` guesses from the look of the pixels, this one detects and reads: it takes 100
times as long and tells letters from textures. It is only measured where the recipe says
`image: {read_text: true}`, with `pip install 'pairsieve[ocr]'`. What was read is kept, a line each,
for `printed_share` and rules of your own; at most the 30 largest lines of a picture.

Not read: lines that stand on their head, and scripts other than Latin, Chinese and Japanese.

Source: PP-OCRv6's small models, run by rapidocr; the default is ours.
Measured: 88 ms of CPU per Flickr photograph, 0.7 s per picture of a web site (33, most with many
lines, the slowest 2.2 s); 0.4 GiB per process. Of 25 Flickr photographs, 6 had a box over a fifth
of the area or more that held no text, so that what cannot be read does not count; of 50 others and
25 of another source, a few of which had been looked at, none has more than 0.14.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.text_reader import Line, read_lines
from pairsieve.schemas.arrays import Floats, Planes, Texts
from pairsieve.schemas.columns import LUMA, PRINTED_AREA, PRINTED_TEXT, Column
from pairsieve.schemas.recipe import Recipe


@dataclass(frozen=True, slots=True)
class PrintedText:
    """Keep pictures of whose area at most `max_area` is text that can be read."""

    reads: ClassVar[tuple[Column, ...]] = (LUMA,)
    writes: ClassVar[tuple[Column, ...]] = (PRINTED_AREA, PRINTED_TEXT)
    needs: ClassVar[str] = "image: {read_text: true}"

    max_area: float = 0.2  # [0, 1]

    def __post_init__(self) -> None:
        if not 0 <= self.max_area <= 1:
            raise ValueError(f"max_area must be in [0, 1], got {self.max_area}")

    def configured(self, recipe: Recipe) -> "PrintedText | None":
        """Return the measure where the recipe asks for it."""
        return self if recipe.image.read_text else None

    def measure(self, luma: Planes) -> tuple[Floats, Texts]:
        """Return the share of text of each plane, (n,), in [0, 1], and the text, (n,)."""
        read = [read_lines(plane) for plane in luma]
        areas = [_area(lines, plane) for lines, plane in zip(read, luma, strict=True)]
        texts = np.empty(len(read), object)
        texts[:] = ["\n".join(line.text for line in lines) for lines in read]
        return np.array(areas, np.float32), texts

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{PRINTED_AREA.name} <= {self.max_area!r}"


def _area(lines: list[Line], plane: NDArray[np.uint8]) -> float:
    """Return the share of a plane that the lines' boxes cover, once where they overlap."""
    import cv2

    covered = np.zeros(plane.shape, np.uint8)
    for line in lines:
        cv2.fillConvexPoly(covered, np.round(line.corners).astype(np.int32), 1)
    return float(covered.mean())
