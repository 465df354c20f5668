"""The section `text` of the recipe: what is measured of captions beyond the usual."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pairsieve.schemas.recipe_base import Section


class Text(Section):
    """What is measured of captions beyond words, characters and language, before the fetch.

    Without this section nothing of it is measured, and a rule that reads it is refused.
    """

    language_model: str | None = Field(
        None,
        min_length=1,
        description="A fastText model for `language` instead of lid.176, .bin or .ftz; of labels "
        "such as `eng_Latn` the language is kept.",
    )
    quality: bool = Field(
        True,
        description="Measure `caption_characters`, `caption_repetition` and `caption_quality`.",
    )
    personal_data: bool = Field(True, description="Look for personal data, for that filter.")
    phone_regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = Field(
        ("US",),
        description="Countries, ISO 3166 codes, whose phone numbers are known without a `+`.",
    )
    tokens: bool = Field(
        False, description="Count the tokens of the first model of `embed`, for `caption_tokens`."
    )

    def hashed(self) -> dict[str, Any]:
        """Return the options with the SHA-256 of files in place of their paths."""
        options = self.model_dump(mode="json")
        if self.language_model:
            options["language_model"] = sha256_of(self.language_model)
        return options


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a local file, hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
