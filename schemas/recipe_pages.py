"""The recipe's section `input.pages`: which pairs are taken from the pages of a crawl."""

from typing import Literal

from pydantic import Field

from pairsieve.schemas.recipe_base import Section


class Pages(Section):
    """WARC and WAT: which pairs are taken from a page, and what is kept of it."""

    max_per_page: int = Field(
        1000, ge=1, le=100_000, description="Most pairs of one page; the first ones are taken."
    )
    context_words: int = Field(
        20, ge=0, le=1000, description="Words before and after the image that are kept; WARC alone."
    )
    boilerplate: Literal["drop", "keep"] = Field(
        "drop",
        description="What to do with logos, pixels and sprites, told by size attributes and name.",
    )
    min_side_px: int = Field(
        32,
        ge=0,
        description="An image whose `width` or `height` attribute is less is boilerplate, pixels.",
    )
