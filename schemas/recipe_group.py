"""The section `group` of the recipe: how copies are found, and which of them stays."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from pairsieve.schemas.errors import nearest
from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_text import sha256_of

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


class Entries(Section):
    """What captions are matched with, for `concept_balance`.

    Without a file: the words of the pool, and its pairs of words.
    """

    path: str | None = Field(
        None,
        min_length=1,
        description="A text file with an entry a line, a list in JSON as MetaCLIP's metadata, or "
        "WordNet's nouns: its `data.noun`, or NLTK's `corpora/wordnet.zip`.",
    )
    languages: dict[str, Annotated[str, Field(min_length=1)]] = Field(
        {},
        description="Such files by `language`, e.g. `{zh: zh.json}`; captions in others have the "
        "entries of `path`.",
    )
    ignore_case: bool = Field(False, description="Whether `Dog` has the entry `dog`.")
    min_pairs: int = Field(
        100, ge=1, description="Without a file: what so many captions have is an entry."
    )
    max_entries: int = Field(
        500_000, ge=1, description="Without a file: how many entries, the commonest."
    )
    seed: int = Field(0, ge=0, description="Of what is drawn by chance.")

    def hashed(self) -> dict[str, Any]:
        """Return the options with the SHA-256 of files in place of their paths."""
        options = self.model_dump()
        if self.path:
            options["path"] = sha256_of(self.path)
        options["languages"] = {name: sha256_of(path) for name, path in self.languages.items()}
        return options


class CaptionCluster(Section):
    """Which captions are alike, for the columns `caption_cluster` and `caption_cluster_pairs`."""

    min_jaccard: float = Field(
        0.7,
        ge=0.5,
        le=1,
        description="Share of the words and pairs of neighbouring words of two captions that both "
        "have, at least.",
    )


class Affixes(Section):
    """What of a caption is boiler-plate of its host: `text: cleaned` in `shard` leaves it out."""

    min_share: float = Field(
        0.5,
        ge=0.1,
        le=1,
        description="Share of the different captions of a host that begin, or end, alike, at "
        "least: up to the first, or from the last, ` | `, ` - ` or the like.",
    )
    min_captions: int = Field(20, ge=2, description="Different captions that a host has, at least.")


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
    edits: Annotated[tuple[Literal["borders", "crops"], ...], BeforeValidator(_without_none)] = (
        Field(
            ("borders", "crops"),
            description="What a copy may have gone through that moves its pHash, each for another "
            "hash in the search: borders, as frames, letterboxes and captions below; crops by some "
            "3 to 8 % of the sides, all around; `none` for neither.",
        )
    )
    prefer: tuple[str, ...] = Field(
        ("pixels", "clip_similarity", "caption_words", "uid"),
        description="Which copy stays: the one with the most of the first, then of the next; of "
        "`-name` the least. A number of the ledger, or `pixels`; `uid`: the smaller.",
    )
    captions: Literal["best", "all_as_list"] = Field(
        "best", description="Whether the copy that stays has the others' captions as a list too."
    )

    entries: Entries | None = Field(
        None, description="With what captions are matched, for the rule `concept_balance`."
    )

    caption_cluster: CaptionCluster | None = Field(
        None, description="Find captions that are alike; `{}` for what is usual."
    )

    boilerplate: Affixes | None = Field(
        None, description="Find what most captions of a host share; `{}` for what is usual."
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
