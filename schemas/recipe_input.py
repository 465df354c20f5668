"""The recipe's section `input`: where the pairs are, and what of them is read."""

import codecs
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pairsieve.schemas.recipe_base import Section
from pairsieve.schemas.recipe_pages import Pages

HASHES = ("sha256", "md5")  # keys of `input` that name a column of expected hashes


def _caption_rule(rule: str) -> str:
    """Refuse a rule that there is not."""
    if not re.fullmatch(r"first|longest|random\(\d+\)", rule):
        raise ValueError(f"must be `first`, `longest` or `random(n)` with a number n, got {rule!r}")
    return rule


def _encoding(name: str) -> str:
    """Return the usual name of an encoding of text; refuse one that there is not."""
    try:
        found = codecs.lookup(name)
    except LookupError:
        known = "`utf-8`, `utf-16`, `cp1252`, `latin-1`, `gb18030`, `shift_jis` and others"
        raise ValueError(f"unknown encoding; known: {known} of Python's, got {name!r}") from None
    return "utf-8" if found.name in ("utf-8", "utf-8-sig") else found.name


class Input(Section):
    """Where the pairs are and which of their columns are the URL and the text."""

    path: str = Field(
        description="File, folder or glob, also with ranges such as `{000..123}`; local, s3://, "
        "gs:// or az://."
    )
    url: str = Field("url", description="Column that holds the image URL.")
    text: str = Field("text", description="Column that holds the alt text.")
    format: str = Field(
        "auto",
        description="Format of the files, see [input.md](input.md); `auto` tells it from their "
        "names.",
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="CSV, TSV: what separates cells; by default a comma, a tab.",
    )
    quote: str | None = Field(
        None,
        min_length=1,
        description='CSV, TSV: the quote, or `none`; by default `"` in CSV, and told from the file '
        "in TSV.",
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        "utf-8", description="Of text files: any of Python's, such as `cp1252` or `utf-16`."
    )
    header: bool = Field(True, description="CSV and TSV: the first line names the columns.")
    caption: Annotated[str, AfterValidator(_caption_rule)] = Field(
        "first",
        description="Which of several captions is the text: `first`, `longest`, or `random(n)`, "
        "drawn by the number n and the URL.",
    )
    image: str | None = Field(
        None,
        min_length=1,
        description="Parquet: column with the images, as bytes or `{bytes, path}`. WebDataset: "
        "suffix of the image where samples hold several, e.g. `seg.png`.",
    )
    pages: Pages | None = Field(
        None,
        description="WARC, WAT: which pairs are taken; see [common-crawl.md](common-crawl.md).",
    )
    on_bad_file: Literal["stop", "skip"] = Field(
        "stop",
        description="What to do with a file that is broken or cut off; those skipped are listed.",
    )
    sha256: str | None = Field(
        None, min_length=1, description="Column with the SHA-256, hex, that the bytes must have."
    )
    md5: str | None = Field(
        None, min_length=1, description="Column with the MD5, hex, that the bytes must have."
    )
    columns: Literal["all", "none"] | tuple[str, ...] = Field(
        "all", description="Extra columns that are kept: `all`, `none`, or a list of names."
    )
    leave_out: tuple[str, ...] = Field((), description="Extra columns that are not kept.")
    as_text: tuple[str, ...] = Field(
        (),
        description="Extra columns that are kept as text: bytes as base64, nested values as JSON.",
    )
    unit_pairs: int = Field(
        10_000, ge=1, le=1_000_000, description="Pairs per unit, the grain of work and resume."
    )
