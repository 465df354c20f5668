"""The columns that a pair of a crawl has, as `extract` writes them and `input` reads them."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from pairsieve.pipeline.pages.crawl import Place
from pairsieve.pipeline.pages.page import CAPTION, LABEL, TITLE, Page, Pair

ROWS_AT_ONCE = 50_000  # of a row group


class Field(NamedTuple):
    """A column.

    Attributes:
        name: Its name.
        type: Of its values, in Arrow.
        doc: What it says, a sentence.
    """

    name: str
    type: pa.DataType
    doc: str


FIELDS = (
    Field("url", pa.string(), "Canonical URL of the image."),
    Field("text", pa.string(), "What is said of it, with single spaces."),
    Field("text_source", pa.string(), "Where the text stands: `alt`, `figcaption`, ..."),
    Field("url_source", pa.string(), "Where the URL stands: `src`, `srcset`, `picture`, ..."),
    Field("title", pa.string(), "Its `title`."),
    Field("aria_label", pa.string(), "Its `aria-label`."),
    Field("figcaption", pa.string(), "The caption of the figure that it is in."),
    Field("position", pa.int32(), "Of the image among all of its page, from 0."),
    Field("text_before", pa.string(), "The words before it."),
    Field("text_after", pa.string(), "The words after it."),
    Field("page_url", pa.string(), "Canonical URL of the page."),
    Field("page_language", pa.string(), "What the page says its language is."),
    Field("page_license", pa.string(), "URL of the licence that the page names."),
    Field("page_license_source", pa.string(), "How: `rel`, `schema.org` or `link`."),
    Field("page_date", pa.string(), "When the page was fetched, ISO 8601."),
    Field("crawl", pa.string(), "The crawl, such as `CC-MAIN-2024-22`."),
    Field("archive", pa.string(), "Name of the WARC file that holds the page."),
    Field("record_offset", pa.int64(), "Where the page's record begins in it, bytes."),
)
SCHEMA = pa.schema([(field.name, field.type) for field in FIELDS])


def row(page: Page, place: Place, pair: Pair) -> tuple[Any, ...]:
    """Return the values of a pair, in the order of `FIELDS`."""
    image = pair.image
    texts = image.texts
    named = page.license
    return (
        pair.url,
        pair.text,
        pair.text_source,
        pair.url_source,
        texts.get(TITLE),
        texts.get(LABEL),
        texts.get(CAPTION),
        pair.position,
        image.before,
        image.after,
        page.url.url,
        page.language,
        page.license_url if named else None,
        named.source if named else None,
        place.date,
        place.crawl,
        place.archive,
        place.offset,
    )


def tables(rows: Iterable[tuple[Any, ...]]) -> Iterator[pa.Table]:
    """Yield rows as tables of at most `ROWS_AT_ONCE`."""
    held: list[tuple[Any, ...]] = []
    for each in rows:
        held.append(each)
        if len(held) == ROWS_AT_ONCE:
            yield _table(held)
            held = []
    if held:
        yield _table(held)


def _table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, each.type) for values, each in zip(columns, FIELDS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
