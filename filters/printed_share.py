"""Drop pairs whose caption only repeats what is printed in the picture.

A model learns to read from them instead of to see. The share is that of the caption's words that
stand in the picture, as `printed_text` read it (so it is only there with
`image: {read_text: true}`). Words are compared in NFKC and without case; one of at least four
letters also counts inside of others, since the reader does not always see the space. In Chinese,
Japanese and Thai every character is a word.

A text painted on a thing to be taken for another (the typographic attack) has a high share, too,
and a high `clip_similarity`: `where: printed_share <= 0.5 OR clip_similarity <= 0.3`.

Source: Lin et al., "Parrot Captions Teach CLIP to Spot Text" (arXiv:2312.14232): 30 % of the words
of LAION-2B's captions stand in the picture, and models trained without such pairs see better; the
default is ours. Goh et al., "Multimodal Neurons in Artificial Neural Networks" (Distill, 2021), for
the attack.
Measured: above 0.5 for none of 125 captions of 25 Flickr photographs, and for 7 of 33 of a web
site, most of them screenshots told by their title; above 0 for 20 of these.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.filters.words import RUNS
from pairsieve.schemas.arrays import Floats, Texts
from pairsieve.schemas.columns import PRINTED_SHARE, PRINTED_TEXT, TEXT, Column
from pairsieve.schemas.recipe import Recipe

WORD = re.compile(r"[^\W_]+")
MIN_INSIDE = 4  # letters of a word that may stand inside of another


@dataclass(frozen=True, slots=True)
class PrintedShare:
    """Keep pairs of whose caption's words at most `max_share` are printed in the picture."""

    reads: ClassVar[tuple[Column, ...]] = (TEXT, PRINTED_TEXT)
    writes: ClassVar[tuple[Column, ...]] = (PRINTED_SHARE,)
    needs: ClassVar[str] = "image: {read_text: true}"

    max_share: float = 0.5  # [0, 1]

    def __post_init__(self) -> None:
        if not 0 <= self.max_share <= 1:
            raise ValueError(f"max_share must be in [0, 1], got {self.max_share}")

    def configured(self, recipe: Recipe) -> "PrintedShare | None":
        """Return the measure where the recipe asks for it."""
        return self if recipe.image.read_text else None

    def measure(self, text: Texts, printed_text: Texts) -> Floats:
        """Return the share of each text's words that are printed, (n,), in [0, 1]."""
        pairs = zip(text, printed_text, strict=True)
        return np.array([_share(caption, printed) for caption, printed in pairs], np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{PRINTED_SHARE.name} <= {self.max_share!r}"


def _share(caption: str, printed: str) -> float:
    """Return the share of the caption's words that are printed; 0 of a caption without words."""
    words, there = _words(caption), _words(printed)
    joined = "".join(there)
    known = set(there)
    found = [
        word in known
        or (len(word) >= MIN_INSIDE and word in joined)
        or (bool(RUNS.match(word)) and word in joined)
        for word in words
    ]
    return sum(found) / len(words) if words else 0.0


def _words(text: str) -> list[str]:
    """Return the words of a text as they are compared."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return WORD.findall(RUNS.sub(lambda run: " " + " ".join(run[0]) + " ", plain))
