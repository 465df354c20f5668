"""The columns that a pair of a crawl has, as `extract` writes them and `input` reads them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
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


OF_PAIR = (
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
)
OF_PAGE = (
    Field("page_url", pa.string(), "Canonical URL of the page."),
    Field("page_language", pa.string(), "What the page says its language is."),
    Field("page_license", pa.string(), "URL of the licence that the page names."),
    Field("page_license_source", pa.string(), "How: `rel`, `schema.org` or `link`."),
    Field("page_robots", pa.string(), "What its metas say to robots, as `opt_outs` reads it."),
    Field("page_date", pa.string(), "When the page was fetched, ISO 8601."),
    Field("crawl", pa.string(), "The crawl, such as `CC-MAIN-2024-22`."),
    Field("archive", pa.string(), "Name of the WARC file that holds the page."),
    Field("record_offset", pa.int64(), "Where the page's record begins in it, bytes."),
)
FIELDS = (*OF_PAIR, *OF_PAGE)
SCHEMA = pa.schema([(field.name, field.type) for field in FIELDS])


def of_pair(pair: Pair) -> tuple[Any, ...]:
    """Return the values of a pair, in the order of `OF_PAIR`."""
    image = pair.image
    texts = image.texts
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
    )


def of_page(page: Page, place: Place) -> tuple[Any, ...]:
    """Return the values of a page, in the order of `OF_PAGE`."""
    return (
        page.url.url,
        page.language,
        page.license_url,
        page.license.source if page.license else None,
        page.robots,
        place.date,
        place.crawl,
        place.archive,
        place.offset,
    )


def tables(found: Iterable[tuple[Page, Place, Sequence[Pair]]]) -> Iterator[pa.Table]:
    """Yield the pairs of pages as tables of `ROWS_AT_ONCE`, or few more; the last is shorter."""
    rows: list[tuple[Any, ...]] = []
    pages: list[tuple[Any, ...]] = []
    counts: list[int] = []
    for page, place, pairs in found:
        rows += map(of_pair, pairs)
        pages.append(of_page(page, place))
        counts.append(len(pairs))
        if len(rows) >= ROWS_AT_ONCE:
            yield _table(rows, pages, counts)
            rows, pages, counts = [], [], []
    if rows:
        yield _table(rows, pages, counts)


def _table(
    rows: list[tuple[Any, ...]], pages: list[tuple[Any, ...]], counts: list[int]
) -> pa.Table:
    """Return rows as a table; the values of a page are put there once and repeated by Arrow."""
    page_of_row = pa.array(np.repeat(np.arange(len(pages)), counts))
    arrays = _arrays(rows, OF_PAIR)
    arrays += [array.take(page_of_row) for array in _arrays(pages, OF_PAGE)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _arrays(rows: list[tuple[Any, ...]], fields: tuple[Field, ...]) -> list[pa.Array]:
    """Return the columns of rows."""
    columns = zip(*rows, strict=True)
    return [pa.array(values, each.type) for values, each in zip(columns, fields, strict=True)]
