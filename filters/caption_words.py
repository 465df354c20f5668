"""Drop captions with too few words to describe anything, or so many that they are page text.

Source: DataComp (arXiv:2304.14108), basic filtering as its code has it: more than one word, no
upper bound. It counts words with fastText's tokenizer; here a word is what white space separates.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.schemas.arrays import Ints, Texts
from pairsieve.schemas.columns import CAPTION_WORDS, TEXT, Column


@dataclass(frozen=True, slots=True)
class CaptionWords:
    """Keep captions with at least `min_words` and at most `max_words` words."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_WORDS,)

    min_words: int = 2  # words separated by white space
    max_words: int | None = None  # words; None for no upper bound

    def __post_init__(self) -> None:
        if not self.min_words >= 0:
            raise ValueError(f"min_words must be at least 0, got {self.min_words}")
        if self.max_words is not None and not self.max_words >= self.min_words:
            raise ValueError(
                f"max_words must be at least min_words ({self.min_words}), got {self.max_words}"
            )

    def measure(self, text: Texts) -> Ints:
        """Return the number of words of each text, (n,)."""
        return np.array([len(one.split()) for one in text], np.int32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; both bounds are kept."""
        least = f"{CAPTION_WORDS.name} >= {self.min_words!r}"
        if self.max_words is None:
            return least
        return f"{least} AND {CAPTION_WORDS.name} <= {self.max_words!r}"
