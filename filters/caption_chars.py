"""Drop captions too short to say anything, and page text that ended up in an alt attribute.

Source: DataComp (arXiv:2304.14108), basic filtering: more than 5 characters, no upper bound. The
default upper bound is ours: CLIP reads 77 tokens, some 300 characters of English, and what is
longer than three times that is seldom about the picture.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.schemas.arrays import Ints, Texts
from pairsieve.schemas.columns import CAPTION_CHARS, TEXT, Column


@dataclass(frozen=True, slots=True)
class CaptionChars:
    """Keep captions with at least `min_chars` and at most `max_chars` characters."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_CHARS,)

    min_chars: int = 6  # Unicode code points
    max_chars: int = 1000  # Unicode code points

    def __post_init__(self) -> None:
        if not 0 <= self.min_chars <= self.max_chars:
            raise ValueError(
                "0 <= min_chars <= max_chars must hold, "
                f"got min_chars {self.min_chars} and max_chars {self.max_chars}"
            )

    def measure(self, text: Texts) -> Ints:
        """Return the number of Unicode code points of each text, (n,)."""
        return np.array([len(one) for one in text], np.int32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; both bounds are kept."""
        name = CAPTION_CHARS.name
        return f"{name} >= {self.min_chars!r} AND {name} <= {self.max_chars!r}"
