"""Drop captions with too few words to describe anything, or so many that they are page text.

Words are counted in two ways. `whitespace` counts what white space separates. `unicode` counts
words by the rules of Unicode, cutting Chinese, Japanese and Thai with BudouX, where by white space
every sentence is one word; hyphens part words, apostrophes do not, and a name such as `img_0123`
is one.

Source: DataComp (arXiv:2304.14108), basic filtering as its code has it: more than one word, no
upper bound. It counts words with fastText's tokenizer, by white space. Unicode Standard Annex #29
for `unicode`.
Measured: of 1,000 sentences in 25 languages (lingua's test data), the shortest Chinese, Japanese
and Thai ones have 9, 8 and 5 words by `unicode`, and 1, 1 and 3 by white space; three others, in
Czech, Russian and Korean, have two words either way. 2 us per English caption and core, 70 per
Chinese or Japanese sentence, 160 per Thai one.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pairsieve.filters.words import count_words
from pairsieve.schemas.arrays import Ints, Texts
from pairsieve.schemas.columns import TEXT, Column
from pairsieve.schemas.text_columns import CAPTION_UNICODE_WORDS, CAPTION_WORDS

COLUMN = {"unicode": CAPTION_UNICODE_WORDS, "whitespace": CAPTION_WORDS}


@dataclass(frozen=True, slots=True)
class CaptionWords:
    """Keep captions with at least `min_words` and at most `max_words` words."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_WORDS, CAPTION_UNICODE_WORDS)

    min_words: int = 2  # words
    max_words: int | None = None  # words; None for no upper bound
    tokens: Literal["unicode", "whitespace"] = "unicode"  # what a word is: unicode, whitespace

    def __post_init__(self) -> None:
        if not self.min_words >= 0:
            raise ValueError(f"min_words must be at least 0, got {self.min_words}")
        if self.max_words is not None and not self.max_words >= self.min_words:
            raise ValueError(
                f"max_words must be at least min_words ({self.min_words}), got {self.max_words}"
            )
        if self.tokens not in COLUMN:
            raise ValueError(f"tokens must be unicode or whitespace, got {self.tokens!r}")

    def measure(self, text: Texts) -> tuple[Ints, Ints]:
        """Return the number of words of each text, (n,), by white space and by Unicode's rules."""
        spaced = [len(one.split()) for one in text]
        return np.array(spaced, np.int32), np.array([count_words(one) for one in text], np.int32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; both bounds are kept."""
        name = COLUMN[self.tokens].name
        least = f"{name} >= {self.min_words!r}"
        return least if self.max_words is None else f"{least} AND {name} <= {self.max_words!r}"
