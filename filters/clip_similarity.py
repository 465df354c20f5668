"""Keep pairs whose image and text the CLIP model finds similar.

A threshold means nothing without the name of the model. `min_similarity` is for OpenAI's ViT-B/32;
other models need their own, or a `top_fraction` of the pool, which is a rule of its own:
`- {top_fraction: 0.3, of: clip_similarity}`. `by_language` gives languages their own thresholds by
the column `language`, e.g. `{en: 0.28, other: 0.26}`.

Source: LAION-5B (arXiv:2210.08402) keeps English pairs of at least 0.28 by OpenAI's ViT-B/32 and
others of at least 0.26 by a multilingual model; LAION-400M (arXiv:2111.02114) demands 0.3.
DataComp (arXiv:2304.14108) keeps the top 30 % of its pool by OpenAI's ViT-L/14.
Measured: of 500 true pairs (Flickr8k, OpenAI's ViT-B/32) 93.6 % reach 0.28; shuffled, 1.6 %.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.schemas.arrays import Floats, Vectors
from pairsieve.schemas.columns import (
    CLIP_SIMILARITY,
    IMAGE_EMBEDDING,
    LANGUAGE,
    TEXT_EMBEDDING,
    Column,
)

OTHER = "other"  # stands for every language that `by_language` does not list


@dataclass(frozen=True, slots=True)
class ClipSimilarity:
    """Keep pairs whose image and text vectors have a cosine of at least `min_similarity`."""

    reads: ClassVar[tuple[Column, ...]] = (IMAGE_EMBEDDING, TEXT_EMBEDDING)
    writes: ClassVar[tuple[Column, ...]] = (CLIP_SIMILARITY,)

    min_similarity: float = 0.28  # cosine, [-1, 1]
    by_language: dict[str, float] | None = None  # cosine by ISO 639 code; `other`: all not listed

    def __post_init__(self) -> None:
        if not -1 <= self.min_similarity <= 1:
            raise ValueError(f"min_similarity must be in [-1, 1], got {self.min_similarity}")
        for code, least in (self.by_language or {}).items():
            if not re.fullmatch(f"[a-z]{{2,3}}|{OTHER}", code):
                raise ValueError(f"by_language has codes such as en, or {OTHER}, got {code!r}")
            if not -1 <= least <= 1:
                raise ValueError(f"by_language must be in [-1, 1], got {least} for {code}")

    def measure(self, image_embedding: Vectors, text_embedding: Vectors) -> Floats:
        """Return the cosine of each pair's vectors, (n,), in [-1, 1]; they may have any length.

        Sums in double precision row by row, so that a row's value does not depend on the others.
        """
        dots = np.sum(image_embedding * text_embedding, axis=1, dtype=np.float64)
        squares = [
            np.sum(np.square(vectors), axis=1, dtype=np.float64)
            for vectors in (image_embedding, text_embedding)
        ]
        lengths = np.sqrt(squares[0] * squares[1])
        cosines = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
        return np.clip(cosines, -1, 1).astype(np.float32)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept.

        A language that is neither listed nor covered by `other` is held to `min_similarity`.
        """
        own = dict(self.by_language or {})
        others = own.pop(OTHER, self.min_similarity)
        least = repr(others)
        if own:
            cases = " ".join(f"WHEN '{code}' THEN {bound!r}" for code, bound in own.items())
            least = f"CASE {LANGUAGE.name} {cases} ELSE {others!r} END"
        return f"{CLIP_SIMILARITY.name} >= {least}"
