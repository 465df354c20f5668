"""Text files as input: one record per pair, whatever the file holds.

A line that does not say what it should is a record too, with nulls where nothing could be read, and
why; only an empty line is none. A URL or text that is not UTF-8 is none (`dialects.py`).

- CSV: comma, double quotes, line breaks inside quotes. All values are text. A quote that closes in
  another line than it should, or never, swallows lines: that is refused, naming both lines.
- TSV: tabs only. A quote is a character like any other, unless `input.quote` or the beginning of
  the file says so (`dialects.py`): real alt texts hold single ones, and a reader that believes them
  swallows the lines up to the next.
- JSONL: one object per line; a URL or text that is no string is null. A file in which no line has
  the columns is refused: they are called otherwise, or it is no JSONL.
- TXT: one URL per line, without text; lines may end in CR alone.

Cells beyond the header become the extra column `extra_cells`; without a header, columns are called
0, 1, 2 ...
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from pairsieve.pipeline.input.dialects import QUOTE, Encoding, QuoteWatch, decoded, plain, taken
from pairsieve.pipeline.input.files import InputFile
from pairsieve.pipeline.input.parquet import distinct
from pairsieve.pipeline.input.reader import (
    BadFile,
    Dialect,
    Reader,
    Record,
    chosen,
    is_captions,
    missing_column,
    told,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import HASHES, Input

MAX_LINE = 64 << 20  # bytes of a line, characters of a CSV cell: bounds the memory for one record
EXTRA_CELLS = "extra_cells"
SEPARATORS = (";", "\t", "|", ",")
NAMES_SHOWN = 100  # of a file's columns, where one is missing

DialectOf = Callable[[InputFile, Input], Dialect]
Parse = Callable[[io.BufferedReader, InputFile, Input], Iterator[Record]]


def records(parse: Parse, file: InputFile, options: Input) -> Iterator[Record]:
    """Yield the pairs of a text file.

    Raises:
        BadOption: a column named in `options` is not there.
        BadFile: the file cannot be read.
    """
    with decoded(file, options.encoding) as text:
        yield from parse(text, file, options)


def _separated(
    dialect_of: DialectOf, stream: io.BufferedReader, file: InputFile, options: Input
) -> Iterator[Record]:
    """Yield the rows of CSV or TSV."""
    yield from _table(_rows(stream, file, options, dialect_of(file, options)), file, options)


def _rows(
    stream: io.BufferedReader, file: InputFile, options: Input, dialect: Dialect
) -> Iterator[list[str]]:
    """Yield rows of cells."""
    separator = dialect.delimiter or ""
    if dialect.quote is not None:
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        reader = partial(csv.reader, delimiter=separator, quotechar=dialect.quote)
        yield from _quoted_rows(text, file.location, reader)
        return
    lines = (_decoded(line) if line else None for line in _lines(stream))
    if options.quote is None:
        yield from QuoteWatch(file, separator).rows(lines)
    else:
        yield from (line.split(separator) if line else [""] for line in lines)


def _columns(dialect_of: DialectOf, file: InputFile, options: Input) -> list[str]:
    """Return the names of a file's extra columns, from its first line."""
    with decoded(file, options.encoding) as stream:
        head = next(_rows(stream, file, options, dialect_of(file, options)), None)
    names = _names(head, file, options) if head else []
    return [name for name in names if name not in (options.url, options.text)]


def _quoted_rows(
    text: io.TextIOWrapper, location: str, reader: Callable[..., Any]
) -> Iterator[list[str]]:
    """Yield rows of cells.

    A strict reader says where a quote does not close before its comma. Within one line such a cell
    is read as it stands; over several lines it holds lines that are no part of it.
    """
    csv.field_size_limit(MAX_LINE)
    line = ""

    def lines() -> Iterator[str]:
        nonlocal line
        while line := text.readline(MAX_LINE):
            yield line

    rows = reader(lines(), strict=True)
    while True:
        first = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            # Else the last cell of the line would take in the next.
            closed = rows.line_num == first and line and len(list(reader([line, "\n"]))) == 2
            if not closed:
                raise BadFile(
                    f"{location}, line {first}: a quote opens a cell and none closes it up to line "
                    f"{rows.line_num}: {error}; mend it, or say `input.quote: none` if quotes mean "
                    "nothing in it"
                ) from error
            row = next(reader([line]))
        if row is None:
            return
        yield row


def _names(head: list[str], file: InputFile, options: Input) -> list[str]:
    """Return the names of the columns, given the first row of cells.

    Raises:
        BadOption: one that the recipe names is not there.
    """
    plain_head = distinct(list(map(plain, head)))
    names = plain_head if options.header else [str(index) for index in range(len(head))]
    hashes = [(key, name) for key in HASHES if (name := getattr(options, key))]
    for key, name in (("url", options.url), ("text", options.text), *hashes):
        if name not in names:
            raise _other_separator(file, head) or missing_column(file.location, key, name, names)
    return names


def _table(rows: Iterator[list[str]], file: InputFile, options: Input) -> Iterator[Record]:
    """Yield a record for each row of cells; a header names the columns."""
    head = next(rows, None)
    if head is None:
        return
    names = _names(head, file, options)
    url, text, width = names.index(options.url), names.index(options.text), len(names)
    others = [(index, name) for index, name in enumerate(names) if index not in (url, text)]
    beyond = distinct([*names, EXTRA_CELLS])[-1]
    encoding = Encoding(file)

    def record(cells: list[str], extra: list[str]) -> Record:
        whole = [*cells, *[None] * (width - len(cells))]
        rest: dict[str, Any] = {name: plain(whole[index]) for index, name in others}
        if extra:
            rest[beyond] = [plain(cell) for cell in extra]
        return _checked(whole[url], whole[text], rest, options, encoding)

    for cells in rows if options.header else chain([head], rows):
        if cells:
            yield record(cells[:width], cells[width:])
    encoding.check()


def _checked(
    url: str | None,
    text: str | None,
    others: dict[str, Any],
    options: Input,
    encoding: Encoding,
    problem: str | None = None,
) -> Record:
    """Return the pair, without a URL or text that is not UTF-8, and why."""
    if url is not None:
        url, wrong = encoding.taken(options.url, url, others)
        problem = problem or wrong
    if text is not None:
        text, wrong = encoding.taken(options.text, text, others)
        problem = problem or wrong
    return Record(url, text, others, None, problem)


def _other_separator(file: InputFile, head: list[str]) -> BadOption | None:
    """Return what is wrong if the header is all one cell, with another separator in it."""
    found = next((mark for mark in SEPARATORS if len(head) == 1 and mark in head[0]), None)
    if found is None:
        return None
    return BadOption(
        f"input.delimiter: {file.location}: the header is one cell, {head[0][:100]!r}; if its "
        f"cells are separated so, say `input.delimiter: {found!r}`"
    )


def _jsonl(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    decoder, encoding = json.JSONDecoder(strict=False), Encoding(file)
    missing, names, objects, count = {"url", "text"}, dict[str, None](), 0, 0
    for count, line in enumerate(_lines(stream), 1):
        if count == 1 and line and line.lstrip().startswith(b"["):
            raise BadFile(f"{file.location}: begins like one JSON array; give one object a line")
        others, problem = json_object(line, decoder)
        objects += problem is None
        missing -= {key for key in missing if getattr(options, key) in others}
        if missing and len(names) < NAMES_SHOWN:
            names |= dict.fromkeys(others)
        raw = line is not None and not line.isascii() and not encoding.fits(line)
        yield json_pair(others, options, encoding if raw else None, problem)
    if not count:
        return
    encoding.check()
    if not objects:
        raise BadFile(
            f"{file.location}: no line holds a JSON object, so it is no JSONL; give one object a "
            "line, not one over several lines"
        )
    for key in ("url", "text"):
        if key in missing:
            raise missing_column(file.location, key, getattr(options, key), list(names))


def json_pair(
    others: dict[str, Any], options: Input, raw: Encoding | None, problem: str | None
) -> Record:
    """Return the pair that a JSON object holds; what is not taken stays in `others`.

    `raw` is given where the line is not UTF-8; a lone surrogate may also be written as an escape.
    """
    url = others.get(options.url)
    if isinstance(url, str) or url is None:
        others.pop(options.url, None)
    else:
        problem, url = told(options.url, url), None
    text = others.get(options.text)
    if isinstance(text, str) or text is None:
        others.pop(options.text, None)
    elif is_captions(text):
        text = chosen(text, options.caption, url or "")
    else:
        problem, text = problem or told(options.text, text), None
    if raw:
        return _checked(url, text, others, options, raw, problem)
    return Record(url, text, others, None, problem)


def _txt(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    encoding = Encoding(file)
    for line in _lines(stream):
        for url in [None] if line is None else _decoded(line).split("\r"):
            if url != "":
                yield _checked(url, None, {}, options, encoding, _too_long(line))
    encoding.check()


def _too_long(line: bytes | None) -> str | None:
    return f"a line of more than {MAX_LINE >> 20} MiB" if line is None else None


def json_object(line: bytes | None, decoder: json.JSONDecoder) -> tuple[dict[str, Any], str | None]:
    """Return the JSON object in `line`, empty if there is none, and then why.

    Bytes that are not UTF-8 become lone surrogates, because a backslash would be an escape here.
    """
    if line is None:
        return {}, _too_long(line)
    try:
        value = decoder.decode(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        return {}, f"no JSON: {str(error)[:100]}"
    return (value, None) if isinstance(value, dict) else ({}, "JSON, but no object")


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _lines(stream: io.BufferedReader) -> Iterator[bytes | None]:
    """Yield the lines that are not empty, without their ends; None for one above `MAX_LINE`."""
    start = True
    while line := stream.readline(MAX_LINE):
        if start:
            line, start = line.removeprefix(b"\xef\xbb\xbf"), False
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            while len(rest := stream.readline(MAX_LINE)) == MAX_LINE and not rest.endswith(b"\n"):
                continue
            yield None
        elif line := line.rstrip(b"\r\n"):
            yield line


def _of_lines(file: InputFile, options: Input) -> Dialect:
    """Return how a file without cells is written."""
    return Dialect(options.encoding)


def _reader_of_cells(format: str, dialect_of: DialectOf) -> Reader:
    return Reader(
        format,
        (f".{format}",),
        partial(records, partial(_separated, dialect_of)),
        compressed=True,
        dialect=dialect_of,
        columns=partial(_columns, dialect_of),
    )


CSV = _reader_of_cells("csv", partial(taken, delimiter=",", quote=QUOTE))
TSV = _reader_of_cells("tsv", partial(taken, delimiter="\t", quote=None))
JSONL = Reader(
    "jsonl",
    (".jsonl", ".ndjson", ".json"),
    partial(records, _jsonl),
    compressed=True,
    dialect=_of_lines,
)
TXT = Reader(
    "txt",
    (".txt",),
    partial(records, _txt),
    compressed=True,
    dialect=_of_lines,
    columns=lambda file, options: [],
)
