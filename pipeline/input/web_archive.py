"""WARC and WAT files as input: the pairs of the pages in them.

What `extract` takes of a page is taken here too. A record that cannot be read is a row without URL,
whose problem says why; so it is counted with an outcome.
"""

from collections.abc import Iterator
from functools import partial

from pairsieve.pipeline.input.files import InputFile, open_file
from pairsieve.pipeline.input.reader import Reader, Record
from pairsieve.pipeline.pages import rows
from pairsieve.pipeline.pages.archive import BadRecord
from pairsieve.pipeline.pages.crawl import WARC as WARC_FORMAT
from pairsieve.pipeline.pages.crawl import WAT as WAT_FORMAT
from pairsieve.pipeline.pages.crawl import Tally, read
from pairsieve.pipeline.pages.page import pairs
from pairsieve.schemas.recipe_input import Input
from pairsieve.schemas.recipe_pages import Pages

_OTHERS = rows.SCHEMA.names[2:]  # behind url and text


def _records(format: str, file: InputFile, options: Input) -> Iterator[Record]:
    """Yield the pairs of the pages in a file, and its bad records."""
    chosen = options.pages or Pages()
    left_out = Tally().left_out
    with open_file(file.location) as stream:
        for found in read(stream, file.location, format, chosen):
            if isinstance(found, BadRecord):
                problem = f"a record of {format.upper()} at byte {found.offset:,}: {found.reason}"
                yield Record(None, None, {"record_offset": found.offset}, None, problem)
                continue
            page, place = found
            of_page = rows.of_page(page, place)
            for pair in pairs(page, chosen, left_out):
                url, text, *others = rows.of_pair(pair)
                yield Record(url, text, dict(zip(_OTHERS, (*others, *of_page), strict=True)))


WARC = Reader(
    WARC_FORMAT, (".warc",), partial(_records, WARC_FORMAT), compressed=True, holds_pages=True
)
WAT = Reader(
    WAT_FORMAT, (".wat",), partial(_records, WAT_FORMAT), compressed=True, holds_pages=True
)
