"""Drop captions whose end the model does not read.

Tokens are those of the tokenizer of the recipe's first model, with the two that open and close a
text; what is longer than its context is cut off when it is embedded and trained on. Of a text so
long that it is cut in any case only the beginning is counted: 32 code points (or the longest token)
times the context.

Source: CLIP (arXiv:2103.00020), section 2.4: byte-pair encoding, at most 76 tokens of a text (77 in
the code published with it).
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from pairsieve.schemas.arrays import Ints
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import (
    CAPTION_TOKENS,
    CAPTION_TOKENS_CUT,
    CONTEXT_LENGTH,
    TOKEN_COUNT,
)


@dataclass(frozen=True, slots=True)
class CaptionTokens:
    """Keep captions of which the model does not read at most `max_cut` tokens."""

    reads: ClassVar[tuple[Column, ...]] = (TOKEN_COUNT, CONTEXT_LENGTH)
    writes: ClassVar[tuple[Column, ...]] = (CAPTION_TOKENS, CAPTION_TOKENS_CUT)
    needs: ClassVar[str] = "text: {tokens: true}"

    max_cut: int = 0  # tokens beyond the context of the model

    def __post_init__(self) -> None:
        if not self.max_cut >= 0:
            raise ValueError(f"max_cut must be at least 0, got {self.max_cut}")

    def configured(self, recipe: Recipe) -> Self | None:
        """Return itself where the recipe asks for tokens."""
        return self if recipe.text and recipe.text.tokens else None

    def measure(self, token_count: Ints, context_length: Ints) -> tuple[Ints, Ints]:
        """Return the number of tokens of each text, (n,), and how many are cut off, (n,)."""
        cut = np.maximum(0, token_count.astype(np.int64) - context_length)
        return token_count.astype(np.int32), cut.astype(np.int32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{CAPTION_TOKENS_CUT.name} <= {self.max_cut!r}"
