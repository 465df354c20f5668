"""What only the publisher of a dataset knows: the file that `pairsieve card --about` reads."""

from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_core import ErrorDetails

from pairsieve.schemas.errors import nearest
from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_file import MAX_SHOWN, load_option


class About(Section):
    """What the ledger cannot know of a dataset; whatever is left out is said to be unknown."""

    title: str | None = Field(None, min_length=1, description="Name of the dataset.")
    description: str | None = Field(None, min_length=1, description="What it is, in a sentence.")
    licence: str | None = Field(
        None,
        pattern=r"^(https?://\S+|[A-Za-z0-9][A-Za-z0-9.+-]*)$",
        description="Of the collection, not of its images: an SPDX name or a URL.",
    )
    creator: str | None = Field(None, min_length=1, description="Who publishes it.")
    contact: str | None = Field(
        None, min_length=1, description="Where to write to, also to have something taken out."
    )
    url: str | None = Field(None, pattern=r"^https?://\S+$", description="Where it is published.")
    version: str | None = Field(None, min_length=1, description="Of the dataset, such as 1.0.0.")
    published: date | None = Field(None, description="When it was published, YYYY-MM-DD.")
    cite: str | None = Field(None, min_length=1, description="How to cite it, BibTeX as a rule.")
    collection: str | None = Field(
        None, min_length=1, description="Where the input list of pairs comes from."
    )
    purpose: str | None = Field(None, min_length=1, description="What it was made for.")


def load(path: Path) -> About:
    """Return what a file says.

    Raises:
        BadOption: it cannot be read, or a key or value in it is not allowed.
    """
    return load_option("--about", path, _checked, _explained)


def _checked(content: Any) -> About:
    return About.model_validate({} if content is None else content)


def _explained(error: ErrorDetails) -> str:
    """Return key, value and what is allowed for one of pydantic's complaints."""
    key = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; {nearest(key, list(About.model_fields))}"
    given: Any = error["input"]
    return f"{key}: {error['msg'].lower()}, got {str(given)[:MAX_SHOWN]!r}"
