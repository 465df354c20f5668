"""The recipe's section on shards."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pairsieve.schemas.recipe_base import Section

WINDOW_UNITS = 32


class Shard(Section):
    """How survivors are packed."""

    samples: int = Field(10_000, ge=1, le=1_000_000, description="Samples per shard, at most.")
    seed: int = Field(0, ge=0, description="Seed of the order of the samples.")
    text: Literal["original", "cleaned"] = Field(
        "original",
        description="The caption in a sample's `.txt`; its JSON has the original in any case.",
    )
    personal_data: Literal["keep", "mask"] = Field(
        "keep",
        description="`mask` puts `[email]` and the like in its place in `.txt` and the texts of "
        "JSON, within their first 10,000 characters.",
    )
    mix: Literal["pool", "window"] = Field(
        "pool",
        description="What is shuffled: `pool`, all survivors, each image read by itself; `window`, "
        "those of some units drawn by the seed, whose stored images are read once, in order.",
    )
    window_units: int = Field(
        WINDOW_UNITS,
        ge=1,
        le=1000,
        description="With `mix: window`: units that a shard draws from, at most.",
    )

    @model_validator(mode="after")
    def _windowed(self) -> Self:
        """Refuse the size of a window where there is none."""
        if self.mix == "pool" and self.window_units != WINDOW_UNITS:
            raise ValueError("window_units says how large a window is: say `mix: window`, too")
        return self
