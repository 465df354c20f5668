"""How text files are written: delimiter, quote and encoding; what is taken where no recipe says.

Of TSV it is not known whether quotes mean something. They do if the file's beginning is what a
writer of CSV makes: every cell that begins with a quote is one, exactly those cells are quoted that
need it (or all, or all but numbers), and there is proof: a doubled quote, a quoted header, or lines
that have too few cells without it. What proves it later, where no quote was taken, is refused.

Bytes that are not UTF-8 are decoded to lone surrogates (`surrogateescape`), so that they can be
told from what was written; a URL or text with such a byte is none, because nobody should train on
its escape. It stays, escaped, as an extra column.
"""

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pairsieve.pipeline.input.files import InputFile, open_text
from pairsieve.pipeline.input.reader import BadFile, Dialect
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import Input

UTF_8 = "utf-8"
NO_QUOTE = "none"
QUOTE = '"'
SAMPLE_BYTES = 1 << 20  # of a file whose quotes are in doubt
HEAD_BYTES = 4096
SHOWN = 60  # characters of a value that is told
NOT_UTF_8 = "is not UTF-8"
OTHER_ENCODING = (
    "they are probably Windows-1252 or Latin-1: say `input.encoding: cp1252`, or the encoding it is"
)
_RAW = re.compile("[\udc80-\udcff]")  # a byte that was no UTF-8
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_PART = r'[^"]*(?:""[^"]*)*'  # of a quoted cell
_INSIDE = re.compile(_PART)
_WHOLE = re.compile(rf'"{_PART}"')
_OPENED, _CLOSED = re.compile(rf'"{_PART}'), re.compile(rf'{_PART}"')
_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Encoding:
    """What is known of the encoding of one file while its rows are read."""

    def __init__(self, file: InputFile) -> None:
        self._location = file.location
        self._right = self._wrong = 0  # values beyond ASCII

    def fits(self, line: bytes) -> bool:
        """Return whether a line beyond ASCII is UTF-8, and count it if so."""
        try:
            line.decode(UTF_8)
        except UnicodeDecodeError:
            return False
        self._right += 1
        return True

    def taken(self, name: str, value: str, others: dict[str, Any]) -> tuple[str | None, str | None]:
        """Return a URL or text, and None; or None and why it is none, and put it into `others`."""
        if value.isascii():
            return value, None
        if not _RAW.search(value):
            self._right += 1
            return value, None
        self._wrong += 1
        others[name] = escaped = plain(value)
        return None, f"`{name}` {NOT_UTF_8}: {escaped[:SHOWN]}"

    def check(self) -> None:
        """Refuse the file if it is, as a whole, in another encoding: no value beyond ASCII fits.

        Raises:
            BadOption: naming the likely encoding.
        """
        if self._wrong and not self._right:
            raise BadOption(
                f"input.encoding: {self._location}: none of {self._wrong:,} values beyond ASCII is "
                f"UTF-8; {OTHER_ENCODING}"
            )


def plain(value: str | None) -> Any:
    """Return a value with the bytes that were no UTF-8 escaped with backslashes; None as it is."""
    if value is None or value.isascii() or not _RAW.search(value):
        return value
    return _RAW.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", value)


@contextmanager
def decoded(file: InputFile, encoding: str) -> Iterator[io.BufferedReader]:
    """Give a text file's bytes, decompressed and in UTF-8.

    Raises:
        BadFile: they are not in `encoding`, or cannot be read to their end.
    """
    try:
        with open_text(file) as stream, as_utf8(stream, file, encoding) as text:
            yield text
    except UnicodeError as error:
        raise BadFile(f"{file.location}: not {encoding}: {error}") from error
    except OSError as error:
        raise BadFile(f"{file.location}: cannot be read to its end: {error}") from error


def as_utf8(stream: io.BufferedReader, file: InputFile, encoding: str) -> io.BufferedReader:
    """Return a stream of the file's text in UTF-8.

    Reading raises UnicodeError where it is not in `encoding`; UTF-8 itself is not checked here.

    Raises:
        BadFile: it should be UTF-8 and is plainly UTF-16.
    """
    if encoding == UTF_8:
        head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
        if head.startswith(_BOMS) or 4 * head.count(0) > len(head):
            raise BadFile(f"{file.location}: looks like UTF-16; say `input.encoding: utf-16`")
        return stream
    import pyarrow as pa

    transcoded = pa.transcoding_input_stream(pa.PythonFile(stream, "r"), encoding, UTF_8)
    return io.BufferedReader(transcoded, 1 << 20)


def taken(file: InputFile, options: Input, delimiter: str, quote: str | None) -> Dialect:
    """Return how a file of cells is written: as the recipe says, else as is usual of its format.

    Args:
        file: The file.
        options: The recipe's.
        delimiter: The usual one.
        quote: The usual one; None where it is told from the file's beginning.

    Raises:
        BadFile: the beginning cannot be read.
    """
    delimiter = options.delimiter or delimiter
    if options.quote is not None:
        quote = None if options.quote == NO_QUOTE else options.quote
    elif quote is None:
        with decoded(file, options.encoding) as stream:
            head = stream.read(SAMPLE_BYTES + 1)
        text = head.decode(UTF_8, "surrogateescape").removeprefix("\ufeff")
        quote = QUOTE if _is_quoted(text, len(head) > SAMPLE_BYTES, delimiter) else None
    return Dialect(options.encoding, delimiter, quote, options.header)


def _is_quoted(text: str, is_cut: bool, delimiter: str) -> bool:
    """Return whether the beginning of a file is as a writer of CSV makes it."""
    if QUOTE not in text:
        return False
    header = text.partition("\n")[0].rstrip("\r")
    cells: list[tuple[bool, str]] = []
    for quoted, value in _cells(text, is_cut, delimiter):
        if value is None:
            return False
        cells.append((quoted, value))
    needing = [any(mark in value for mark in (QUOTE, delimiter, "\n")) for _, value in cells]
    minimal = all(
        quoted == need or (quoted and not value)
        for (quoted, value), need in zip(cells, needing, strict=True)
    )
    most = all(quoted or not value or _NUMBER.fullmatch(value) for quoted, value in cells)
    in_header = all(quoted for quoted, _ in cells[: header.count(delimiter) + 1])
    if not (minimal or (most and in_header)):
        return False
    lines = [line for line in text.split("\n") if line.rstrip("\r")]
    widths = {line.count(delimiter) for line in (lines[:-1] if is_cut else lines)}
    doubled = any(quoted and QUOTE in value for quoted, value in cells)
    return in_header or doubled or (len(widths) > 1 and any(quoted for quoted, _ in cells))


def _cells(text: str, is_cut: bool, delimiter: str) -> Iterator[tuple[bool, str | None]]:
    """Yield each cell, whether it is quoted, and its value; None where that is no cell."""
    mark = re.escape(delimiter)
    cell = re.compile(
        rf'(?:"([^"]*(?:""[^"]*)*)"|((?:(?!{mark})[^"\n])*?))(?:{mark}|\r?\n|\Z)', re.DOTALL
    )
    at = 0
    while at < len(text):
        found = cell.match(text, at)
        if not found:
            if not (is_cut and text[at] == QUOTE):
                yield False, None
            return
        quoted = found[1] is not None
        yield quoted, found[1].replace(QUOTE * 2, QUOTE) if quoted else found[2]
        at = found.end()


class QuoteWatch:
    """What the quotes of a file say in which none was taken."""

    def __init__(self, file: InputFile, delimiter: str) -> None:
        self._location, self._delimiter = file.location, delimiter
        self._width = 0
        self._proof = 0  # line of the first, 0 if there is none
        self._against = False

    def rows(self, lines: Iterable[str | None]) -> Iterator[list[str]]:
        """Yield the cells of each line.

        Raises:
            BadOption: at the end, where all quotes are those of a writer of CSV.
        """
        for number, line in enumerate(lines, 1):
            cells = line.split(self._delimiter) if line else [""]
            self._width = self._width or len(cells)
            if line and QUOTE in line and not self._against:
                self._see(number, cells)
            yield cells
        if self._proof and not self._against:
            raise BadOption(
                f"input.quote: {self._location}, line {self._proof}: quotes begin to mean "
                "something there, as writers of CSV use them; say `input.quote: '\"'`, or `none` "
                "if they are part of the texts"
            )

    def _see(self, number: int, cells: list[str]) -> None:
        for cell in cells:
            if QUOTE not in cell or cell == QUOTE * 2:
                continue
            whole = _WHOLE.fullmatch(cell)
            part = _OPENED.fullmatch(cell) or _CLOSED.fullmatch(cell)
            doubled = cell.count(QUOTE) > 2 and (whole or part)
            if doubled or (not whole and len(cells) != self._width and (part or _is_inside(cell))):
                self._proof = self._proof or number
            elif not part and not _is_inside(cell):
                self._against = True


def _is_inside(cell: str) -> bool:
    """Return whether this may be a line inside a quoted cell: its quotes are doubled."""
    return bool(_INSIDE.fullmatch(cell))
