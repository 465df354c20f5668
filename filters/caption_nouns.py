"""Drop captions that name nothing: none of their words is in your list of nouns.

No parser: `text.nouns` names a list, with plurals and cases as entries of their own, found as whole
words, or anywhere in scripts without spaces (`word_lists.py`). Entries of several words count, too.
A list has no context, so `run` counts as a noun if the list has it. Measured of the cleaned text.

Source: CC3M (Sharma et al. 2018, section 3) drops captions without a noun, by a tagger of parts of
speech.
Measured: with 50,000 entries, of which five occur in a caption, 30 us per caption and core on
13,000 captions of CC3M. How many captions without a noun are found is a question of the list.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.filters.word_lists import loaded
from pairsieve.schemas.arrays import Ints, Texts
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import CAPTION_NOUNS, CLEAN_TEXT


@dataclass(frozen=True, slots=True)
class Nouns:
    """Counts the entries of a list of nouns."""

    reads: ClassVar[tuple[Column, ...]] = (CLEAN_TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_NOUNS,)

    path: str = ""

    def measure(self, clean_text: Texts) -> Ints:
        """Return how often entries occur in each text, (n,)."""
        found = loaded((("nouns", self.path),) if self.path else ())
        counts = [sum(count for _, count in found.count(text)) for text in clean_text]
        return np.array(counts, np.int32)


@dataclass(frozen=True, slots=True)
class CaptionNouns:
    """Keep captions in which nouns of the recipe's list occur at least `min_nouns` times."""

    reads: ClassVar[tuple[Column, ...]] = Nouns.reads
    writes: ClassVar[tuple[Column, ...]] = Nouns.writes
    needs: ClassVar[str] = "text: {nouns: PATH}"

    min_nouns: int = 1  # times

    def __post_init__(self) -> None:
        if not self.min_nouns >= 0:
            raise ValueError(f"min_nouns must be at least 0, got {self.min_nouns}")

    def configured(self, recipe: Recipe) -> Nouns | None:
        """Return what counts the nouns of the recipe's list, if it has one."""
        return Nouns(recipe.text.nouns) if recipe.text and recipe.text.nouns else None

    def measure(self, clean_text: Texts) -> Ints:
        """Return what `Nouns` does without a list, (n,)."""
        return Nouns().measure(clean_text)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{CAPTION_NOUNS.name} >= {self.min_nouns!r}"
