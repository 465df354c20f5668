"""The section `group` of the recipe: how copies are found, and which of them stays."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from pairsieve.schemas.errors import nearest
from pairsieve.schemas.recipe_base import Section

# The orientations in which a copy may be stored, and the inverse of each.
INVERSES = {
    "mirrored": "mirrored",
    "rotated_90": "rotated_270",
    "rotated_180": "rotated_180",
    "rotated_270": "rotated_90",
}


def _without_none(value: Any) -> Any:
    """Let `none` stand for an empty list."""
    return () if value == "none" else value


class Group(Section):
    """How copies are found, and which of them stays: [near-duplicates.md](near-duplicates.md)."""

    verify: Annotated[
        tuple[Literal["dhash", "colour", "embedding"], ...], BeforeValidator(_without_none)
    ] = Field(
        ("dhash", "colour"),
        description="What must agree besides the pHash before two pictures are joined; `none` for "
        "nothing. `embedding` needs `embed`.",
    )
    max_dhash: int = Field(
        12, ge=0, le=64, description="Bits in which the dhash of a copy may differ."
    )
    max_colour: float = Field(
        0.55, ge=0, description="Colours of a copy may differ by so many times the contrast."
    )
    min_embedding: float = Field(
        0.9, ge=-1, le=1, description="Cosine that the image vectors of copies have at least."
    )
    clusters: Literal["star", "chain"] = Field(
        "star",
        description="`star`: every copy is like the one that stays; `chain`: like one of the "
        "copies.",
    )
    orientations: tuple[Literal["mirrored", "rotated_90", "rotated_180", "rotated_270"], ...] = (
        Field((), description="How a copy may be rotated or mirrored; measured in `gather`.")
    )
    prefer: tuple[str, ...] = Field(
        ("pixels", "clip_similarity", "caption_words", "uid"),
        description="Which copy stays: the one with the most of the first, then of the next; of "
        "`-name` the least. A number of the ledger, or `pixels`; `uid`: the smaller.",
    )
    captions: Literal["best", "all_as_list"] = Field(
        "best", description="Whether the copy that stays has the others' captions as a list too."
    )

    @field_validator("prefer")
    @classmethod
    def _preferable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what copies cannot be ordered by."""
        from pairsieve.schemas.columns import PREFERABLE

        names = [name.removeprefix("-") for name in value if name != "-uid"]
        for name in names:
            if name not in PREFERABLE:
                raise ValueError(f"cannot prefer by `{name}`; {nearest(name, list(PREFERABLE))}")
        if len(set(names)) < len(value):
            raise ValueError("names a thing twice, or asks for `-uid`")
        return value

    @property
    def compared(self) -> tuple[str, ...]:
        """Return the orientations that are compared, in order: each with its inverse."""
        requested = {one for each in self.orientations for one in (each, INVERSES[each])}
        return tuple(orientation for orientation in INVERSES if orientation in requested)
