"""Keep images that people would probably rate well, by a head on the CLIP vector.

No prompt measures this: a recipe with this rule and without `embed.scores.aesthetic.head` is
refused. The scale is that of the ratings the head was trained on, about 1 to 10 for LAION's;
neither end is a bound.

Source: LAION's predictors (LAION-AI/aesthetic-predictor). The default 5 is the limit of the
training of Stable Diffusion 1.2 by its model card, for LAION's second predictor on OpenAI's
ViT-L/14.
Measured: 100 everyday photographs (Flickr8k) by LAION's linear head for OpenAI's ViT-B/32: mean
5.6, 90 % between 4.4 and 6.8, lowest 3.7, highest 7.6.
"""

import math
from dataclasses import dataclass

from pairsieve.schemas.columns import AESTHETIC


@dataclass(frozen=True, slots=True)
class Aesthetic:
    """Keep images whose expected rating is at least `min_score`."""

    min_score: float = 5.0  # rating on the head's scale, about 1 to 10

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_score):
            raise ValueError(f"min_score must be a finite number, got {self.min_score}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        return f"{AESTHETIC.name} >= {self.min_score!r}"
