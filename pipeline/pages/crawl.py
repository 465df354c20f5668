"""The pages of one file of a crawl, a WARC or a WAT, and where each comes from."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.pages import html, wat
from pairsieve.pipeline.pages.archive import BadRecord, GoodRecord, records
from pairsieve.pipeline.pages.charset import decoded
from pairsieve.pipeline.pages.page import Page, Pair, pairs
from pairsieve.schemas.recipe_pages import Pages

WARC, WAT = "warc", "wat"
KINDS = {
    WARC: frozenset(("response", "resource", "warcinfo")),
    WAT: frozenset(("metadata", "warcinfo")),
}
SUFFIXES = {WARC: (".warc", ".warc.gz"), WAT: (".wat", ".wat.gz")}
# Why a record that can be read gives no page.
NOT_WAT, TOO_COMPLEX, NO_PAGE_URL = "not_wat", "too_complex", "no_page_url"
MAX_EXAMPLES = 5  # of bad records whose place is kept, and shown in the end

_CRAWL = re.compile(r"(?:^|/)(CC-(?:MAIN|NEWS)-[0-9]{4}(?:-[0-9]{2}){1,2})(?=/)")
_PART_OF = re.compile(rb"^isPartOf:[ \t]*(\S{1,200})", re.MULTILINE | re.IGNORECASE)


class Place(NamedTuple):
    """Where a page comes from.

    Attributes:
        archive: Name of the WARC file that it is in, also of what a WAT tells of it.
        offset: Of its record in that file, bytes; None where a WAT does not say.
        crawl: Such as `CC-MAIN-2024-22`, None where neither path nor file says.
        date: When it was fetched, ISO 8601.
    """

    archive: str
    offset: int | None
    crawl: str | None
    date: str | None


@dataclass(slots=True)
class Tally:
    """What became of the records and images of a file.

    Attributes:
        pages: Pages with an image.
        bad: Bad records, by reason.
        left_out: Images that are no pair, by reason.
        examples: Offset and reason of the first bad records.
    """

    pages: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: list[BadRecord] = field(default_factory=list)

    def count(self, record: BadRecord) -> None:
        """Count a bad record."""
        self.bad[record.reason] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(record)


def format_of(name: str) -> str | None:
    """Return `warc` or `wat` by the name of a file, None for others; `.warc.wat.gz` is a WAT."""
    for format in (WAT, WARC):
        if name.lower().endswith(SUFFIXES[format]):
            return format
    return None


def read(
    file: BinaryIO, location: str, format: str, options: Pages
) -> Iterator[tuple[Page, Place] | BadRecord]:
    """Yield the pages of a file, and its bad records; `location` is its path or URL."""
    found = _CRAWL.search(location)
    crawl = found[1] if found else None
    name = location.rpartition("/")[2]
    for record in records(file, KINDS[format]):
        if isinstance(record, BadRecord):
            yield record
        elif record.kind == "warcinfo":
            crawl = crawl or _part_of(record.body)
        elif format == WAT:
            yield from _of_wat(record, crawl)
        else:
            yield from _of_warc(record, Place(name, record.offset, crawl, None), options)


def pairs_of(
    file: BinaryIO, location: str, format: str, options: Pages, tally: Tally
) -> Iterator[tuple[Page, Place, list[Pair]]]:
    """Yield the pages of a file in the order of its records, with the pairs of each."""
    for found in read(file, location, format, options):
        if isinstance(found, BadRecord):
            tally.count(found)
            continue
        page, place = found
        tally.pages += 1
        yield page, place, pairs(page, options, tally.left_out)


def _part_of(body: bytes) -> str | None:
    """Return which crawl a `warcinfo` says the file is part of."""
    found = _PART_OF.search(body)
    return found[1].decode("utf-8", "replace") if found else None


def _of_wat(record: GoodRecord, crawl: str | None) -> Iterator[tuple[Page, Place] | BadRecord]:
    """Yield the page of a WAT record, if it is one."""
    try:
        found = wat.parse(record.body)
    except ValueError:
        yield BadRecord(record.offset, NOT_WAT)
        return
    if found:
        yield found.page, Place(found.archive, found.offset, crawl, found.date or None)


def _of_warc(
    record: GoodRecord, place: Place, options: Pages
) -> Iterator[tuple[Page, Place] | BadRecord]:
    """Yield the page of a response, if it is one with an image."""
    given = record.http or record.headers
    content_type = given.get("Content-Type")
    if record.http is None and not html.is_html(content_type):
        return
    url = canonical((record.headers.get("WARC-Target-URI") or "").strip("<>"))
    if url is None or url.scheme not in ("http", "https"):
        yield BadRecord(record.offset, NO_PAGE_URL)
        return
    text = decoded(record.body, content_type)
    language = html.language_tag(given.get("Content-Language"))
    try:
        page = html.parse(text, url, language, options.context_words)
    except html.TooComplex:
        yield BadRecord(record.offset, TOO_COMPLEX)
        return
    if page:
        yield page, place._replace(date=record.headers.get("WARC-Date"))
