"""Keep what is not in an evaluation set.

`group` compares every image with those of the recipe's `decontaminate`, by pHash within its
`max_distance` and, with `vectors: true`, by the cosine of vectors. An image whose pHash is near is
always dropped; one whose cosine is high, if `min_cosine` says what is high. That depends on the
model, so there is no default.

Source: DataComp (arXiv:2304.14108), appendix on evaluation-set deduplication, which drops what is
above 0.604169 by the deduplication model of Yokoo (arXiv:2112.04323). For CLIP's vectors that
figure means nothing: two different photographs of dogs may be nearer.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import EVAL_DISTANCE, EVAL_OVERLAP


@dataclass(frozen=True, slots=True)
class EvalOverlap:
    """Drop images of an evaluation set: near by pHash, or at least `min_cosine` by vector."""

    min_cosine: float | None = None  # -1 to 1, dropped from there on; null leaves vectors out

    def __post_init__(self) -> None:
        if self.min_cosine is not None and not -1 <= self.min_cosine <= 1:
            raise ValueError(f"min_cosine must be -1 to 1, got {self.min_cosine}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; null where a vector is missing."""
        far = f"{EVAL_DISTANCE.name} IS NULL"
        if self.min_cosine is None:
            return far
        return f"{far} AND {EVAL_OVERLAP.name} < {self.min_cosine}"
