"""The section `alignment` of the recipe: measures of pairs by vectors that need more than a pair.

What they are: docs/vectors.md.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from pairsieve.schemas.recipe_base import Section


class NegClipLoss(Section):
    """The cosine of a pair, less what its image and text reach with random others."""

    batch: int = Field(32_768, ge=2, le=1_000_000, description="Pairs of a random batch, about.")
    batches: int = Field(10, ge=1, le=1000, description="Random batches, over which is averaged.")
    temperature: float | None = Field(
        None, gt=0, le=10, description="Of the loss; else the model's own: 0.01 for OpenAI's."
    )
    seed: int = Field(0, description="Of the hash of seed and uid that draws the batches.")


class NormSim(Section):
    """How near an image is to target images, as those of the tasks to be solved."""

    targets: str = Field(
        min_length=1,
        description="Vectors of the same model: a .npy of (n, d), or Parquet with the column "
        "`image_embedding`; a file, or a folder of them.",
    )
    norm: Literal["max", "l2"] = Field(
        "max", description="`max`: the cosine to the nearest; `l2`: root of the sum of squares."
    )


class Alignment(Section):
    """Measures on vectors that `group` makes: see [vectors.md](vectors.md#alignment)."""

    neg_clip_loss: NegClipLoss | None = Field(
        None, description="What fills the column `neg_clip_loss`; `{}` is as published."
    )
    norm_sim: NormSim | None = Field(None, description="What fills the column `norm_sim`.")

    @model_validator(mode="after")
    def _measures(self) -> Self:
        if self.neg_clip_loss is None and self.norm_sim is None:
            raise ValueError("name `neg_clip_loss`, `norm_sim` or both")
        return self
