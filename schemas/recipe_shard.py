"""The recipe's section on shards."""

import math
import re
from collections.abc import Collection
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pairsieve.schemas.columns import CAPTION_TEXTS
from pairsieve.schemas.errors import nearest
from pairsieve.schemas.recipe_base import Section

WINDOW_UNITS = 32
BYTES = 1_000_000_000
TEXTS = ("original", "cleaned")  # kinds of text in `.txt`
BEST = "best"  # likewise, of all samples alike
MIXED = (*TEXTS, *(column.name for column in CAPTION_TEXTS))
STORED = "stored"
PARQUET_COLUMNS = ("image", "original_text", "image_embedding")  # of shards, besides the ledger's
TRAIN = "train"  # what is left when the other parts of `split` have had their share
PART_FOLDERS = ("members", "order", "parts")  # of what is made beside shards: no part has the name
_PART = re.compile(r"[a-z][a-z0-9_]{0,49}")
Share = Annotated[float, Field(gt=0, lt=1)]


class Smaller(Section):
    """The size of the images in shards."""

    min_side: int = Field(ge=16, le=8192, description="Shorter side at most this, px.")


def _smaller(value: Any) -> Any:
    """Return None for images as they are stored; refuse what is no size."""
    if value == STORED:
        return None
    if not isinstance(value, dict | Smaller | None):
        raise ValueError(f"must be `stored` or a size, `{{min_side: 256}}`, got {value!r}")
    return value


def _text(value: Any) -> Any:
    """Refuse a text that is none of the kinds, and shares of them that are no whole."""
    if not isinstance(value, dict):
        if value not in (*TEXTS, BEST):
            raise ValueError(
                f"must be `original`, `cleaned`, `best`, or shares of kinds, got {value!r}"
            )
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

    layout: Literal["webdataset", "parquet"] = Field(
        "webdataset",
        description="`webdataset`: tars. `parquet`: for Hugging Face's `datasets`, with a card; "
        "what JSON would have are columns.",
    )
    samples: int = Field(10_000, ge=1, le=1_000_000, description="Samples per shard, at most.")
    by: Literal["samples", "bytes"] = Field(
        "samples", description="What is cut by: so many `samples`, or `bytes`, of a tar."
    )
    bytes: int = Field(
        BYTES,
        ge=10_240,
        description="With `by: bytes`: of a shard with images as they are stored, bytes, give or "
        "take a sample; `mix: window` gives shards of a window as many samples each as come to "
        "that on average.",
    )
    seed: int = Field(0, ge=0, description="Seed of the order of the samples.")
    text: Annotated[str | dict[str, float], BeforeValidator(_text)] = Field(
        "original",
        description="The caption in a sample's `.txt`: `original`, `cleaned`, or shares of these "
        "and of the columns of `captions`, e.g. `{original: 0.5, recaption: 0.5}`; or `best`, of "
        "its own and those of its copies (`group.captions: all_as_list`) the one whose own pair "
        "has the highest `clip_similarity` of the first model. One without loses; of equals its "
        "own stays, else that of the lower uid. Its JSON has the original in any case.",
    )
    personal_data: Literal["keep", "mask"] = Field(
        "keep",
        description="`mask` puts `[email]` and the like in its place in `.txt` and the texts of "
        "JSON, within their first 10,000 characters.",
    )
    captions: Literal["one", "all"] = Field(
        "one",
        description="`all` writes the other captions of an image, of the input and of its copies "
        "(`group.captions: all_as_list`), as `.1.txt`, `.2.txt` and so on beside `.txt`.",
    )
    columns: tuple[str, ...] | None = Field(
        None,
        description="What JSON says besides uid and text: columns of pairsieve and of the input; "
        "all that may leave the dataset if not given.",
    )
    image: Annotated[Smaller | None, BeforeValidator(_smaller)] = Field(
        None,
        description="`stored`, or a smaller size, `{min_side: 256}`: images that are larger are "
        "reduced by area averages and encoded anew.",
    )
    vectors: Literal["none", "npy"] = Field(
        "none",
        description="`npy` gives each sample the vector of its image, of the first model in "
        "`embed`, as `.npy` of float16; in Parquet the column `image_embedding`.",
    )
    index: tuple[Literal["wids", "energon"], ...] = Field(
        (),
        description="Indexes written for loaders: `wids` of webdataset, Megatron-`energon`.",
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

    split: dict[str, Share] = Field(
        {},
        description="Share of each part but `train`, e.g. `{val: 0.01}`, by a hash of seed and "
        "uid; copies go with their keeper. Each part has a folder of its own.",
    )

    @property
    def cleans(self) -> bool:
        """Return whether captions are cleaned: all of them, or a share."""
        return "cleaned" in self.text

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        """Refuse parts after which nothing is left to train on."""
        if TRAIN in self.split:
            raise ValueError(f"split: `{TRAIN}` is what the others leave: name only these")
        for name in self.split:
            if not _PART.fullmatch(name):
                raise ValueError(f"split: `{name}` is no name: a letter, then letters, digits or _")
        if taken := self.split.keys() & set(PART_FOLDERS):
            raise ValueError(f"split: `{min(taken)}` is a folder of its own: take another name")
        if sum(map(exact, self.split.values())) >= 1:
            raise ValueError("split: the shares must add to less than 1: `train` has what is left")
        return self

    @model_validator(mode="after")
    def _indexed(self) -> Self:
        """Refuse indexes of tars where there are none."""
        if self.layout == "parquet" and self.index:
            raise ValueError(f"index: `{self.index[0]}` is for tars; `layout: parquet` has none")
        return self

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        """Refuse two sizes of a shard."""
        other = "bytes" if self.by == "samples" else "samples"
        if getattr(self, other) != type(self).model_fields[other].default:
            raise ValueError(f"{other} is not what shards are cut by: {self.by}")
        return self

    @model_validator(mode="after")
    def _windowed(self) -> Self:
        """Refuse the size of a window where there is none."""
        if self.mix == "pool" and self.window_units != WINDOW_UNITS:
            raise ValueError("window_units says how large a window is: say `mix: window`, too")
        return self


def check_text(
    text: str | dict[str, float], written: Collection[str], scored: bool, captions: str
) -> None:
    """Refuse texts of shards that nothing else in the recipe makes.

    Args:
        text: As the recipe has it.
        written: The columns that models write.
        scored: Whether some model measures `clip_similarity`.
        captions: What `group.captions` is.

    Raises:
        ValueError: saying which and what to do.
    """
    for name in text if isinstance(text, dict) else ():
        if name not in (*TEXTS, *written):
            raise ValueError(f"shard.text: nothing writes `{name}`; add it to captions.columns")
    if text == BEST and not scored:
        raise ValueError("shard.text: `best` by which model? name it in the section `embed`")
    if text == BEST and captions != "all_as_list":
        raise ValueError(
            "shard.text: `best` is one of the captions of an image's copies: say "
            "`group: {captions: all_as_list}`, too"
        )


def exact(share: float) -> Fraction:
    """Return a share as it is written: 0.1 is a tenth."""
    return Fraction(repr(share))
