"""Drop banners and skyscrapers: images far longer than wide, or the reverse.

Source: DataComp (arXiv:2304.14108), basic filtering: at most 3.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.schemas.arrays import Floats, Ints
from pairsieve.schemas.columns import ASPECT_RATIO, HEIGHT, WIDTH, Column


@dataclass(frozen=True, slots=True)
class AspectRatio:
    """Keep images whose long side is at most `max_ratio` times the short side."""

    reads: ClassVar[tuple[Column, ...]] = (WIDTH, HEIGHT)
    writes: ClassVar[tuple[Column, ...]] = (ASPECT_RATIO,)

    max_ratio: float = 3.0  # long side / short side, >= 1

    def __post_init__(self) -> None:
        if not 1 <= self.max_ratio < math.inf:
            raise ValueError(f"max_ratio must be at least 1 and finite, got {self.max_ratio}")

    def measure(self, width: Ints, height: Ints) -> Floats:
        """Return long side over short side, (n,), >= 1; width and height in px, both >= 1."""
        return np.divide(np.maximum(width, height), np.minimum(width, height), dtype=np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{ASPECT_RATIO.name} <= {self.max_ratio!r}"
