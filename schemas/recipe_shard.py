"""The recipe's section on shards."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pairsieve.schemas.columns import CAPTION_TEXTS
from pairsieve.schemas.errors import nearest
from pairsieve.schemas.recipe_base import Section

WINDOW_UNITS = 32
TEXTS = ("original", "cleaned")  # kinds of text in `.txt`
MIXED = (*TEXTS, *(column.name for column in CAPTION_TEXTS))


def _text(value: Any) -> Any:
    """Refuse a text that is none of the kinds, and shares of them that are no whole."""
    if not isinstance(value, dict):
        if value not in TEXTS:
            raise ValueError(f"must be `original`, `cleaned`, or shares of kinds, got {value!r}")
        return value
    for kind, share in value.items():
        if kind not in MIXED:
            raise ValueError(f"there is no kind of text `{kind}`; {nearest(str(kind), [*MIXED])}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ValueError(f"the share of `{kind}` must be above 0 and at most 1, got {share!r}")
    total = math.fsum(value.values())
    if abs(total - 1) > 1e-6:
        raise ValueError(f"the shares must add up to 1, not {total:g}")
    return value


class Shard(Section):
    """How survivors are packed."""

    samples: int = Field(10_000, ge=1, le=1_000_000, description="Samples per shard, at most.")
    seed: int = Field(0, ge=0, description="Seed of the order of the samples.")
    text: Annotated[str | dict[str, float], BeforeValidator(_text)] = Field(
        "original",
        description="The caption in a sample's `.txt`: `original`, `cleaned`, or shares of these "
        "and of the columns of `captions`, e.g. `{original: 0.5, recaption: 0.5}`. Its JSON has "
        "the original in any case.",
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
