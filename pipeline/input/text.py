"""Text files as input: one record per pair, whatever the file holds.

A line that does not say what it should is a record too, with nulls where nothing could be read;
only an empty line is none. Bytes that are not UTF-8 are escaped with backslashes.

- CSV: comma, double quotes, line breaks inside quotes. All values are text.
- TSV: tabs only. A quote is a character like any other: real alt texts hold single ones, and a
  reader that believes them swallows the lines up to the next.
- JSONL: one object per line; a URL or text that is no string is null.
- TXT: one URL per line, without text.

Cells beyond the header become the extra column `extra_cells`; without a header, columns are called
0, 1, 2 ...
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pairsieve.pipeline.input.files import InputFile, open_text
from pairsieve.pipeline.input.parquet import distinct
from pairsieve.pipeline.input.reader import Reader, Record, missing_column
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import HASHES, Input

MAX_LINE = 64 << 20  # bytes of a line, characters of a CSV cell: bounds the memory for one record
EXTRA_CELLS = "extra_cells"


Parse = Callable[[io.BufferedReader, InputFile, Input], Iterator[Record]]


def records(parse: Parse, file: InputFile, options: Input) -> Iterator[Record]:
    """Yield the pairs of a text file.

    Raises:
        BadOption: a column named in `options` is not there, or the file cannot be read.
    """
    try:
        with open_text(file) as stream:
            yield from parse(stream, file, options)
    except OSError as error:
        raise BadOption(f"{file.location}: cannot be read to its end: {error}") from error


def _csv(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    csv.field_size_limit(MAX_LINE)
    text = io.TextIOWrapper(stream, "utf-8-sig", "backslashreplace", newline="")
    rows = csv.reader(iter(lambda: text.readline(MAX_LINE), ""))
    try:
        yield from _table(rows, file, options)
    except csv.Error as error:
        raise BadOption(
            f"{file.location}, line {rows.line_num}: not CSV: {error}; a quote may be unbalanced "
            "before it; for lines of plain tab-separated text say `input.format: tsv`"
        ) from error


def _tsv(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    rows = (_decoded(line).split("\t") if line is not None else [""] for line in _lines(stream))
    yield from _table(rows, file, options)


def _table(rows: Iterator[list[str]], file: InputFile, options: Input) -> Iterator[Record]:
    """Yield a record for each row of cells; a header names the columns."""
    head = next(rows, None)
    if head is None:
        return
    names = distinct(head) if options.header else [str(index) for index in range(len(head))]
    hashes = [(key, name) for key in HASHES if (name := getattr(options, key))]
    for key, name in (("url", options.url), ("text", options.text), *hashes):
        if name not in names:
            raise missing_column(file.location, key, name, names)
    url, text, width = names.index(options.url), names.index(options.text), len(names)
    others = [(index, name) for index, name in enumerate(names) if index not in (url, text)]
    if not options.header:
        yield Record(head[url], head[text], {name: head[index] for index, name in others})
    for cells in rows:
        if len(cells) == width:
            rest: dict[str, Any] = {name: cells[index] for index, name in others}
            yield Record(cells[url], cells[text], rest)
        elif cells:
            whole = [*cells, *[None] * (width - len(cells))]
            rest = {name: whole[index] for index, name in others}
            if len(cells) > width:
                rest[EXTRA_CELLS] = cells[width:]
            yield Record(whole[url], whole[text], rest)


def _jsonl(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    decoder = json.JSONDecoder(strict=False)
    for number, line in enumerate(_lines(stream)):
        if number == 0 and line and line.lstrip().startswith(b"["):
            raise BadOption(f"{file.location}: begins like one JSON array; give one object a line")
        others = json_object(line, decoder)
        url, text = others.pop(options.url, None), others.pop(options.text, None)
        yield Record(string(url), string(text), others)


def _txt(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    for line in _lines(stream):
        yield Record(None if line is None else _decoded(line), None, {})


def json_object(line: bytes | None, decoder: json.JSONDecoder) -> dict[str, Any]:
    """Return the JSON object in `line`, empty if there is none.

    Bytes that are not UTF-8 become lone surrogates, because a backslash would be an escape here.
    """
    try:
        value = decoder.decode((line or b"").decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def string(value: Any) -> str | None:
    """Return `value` if it is a string."""
    return value if isinstance(value, str) else None


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


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


CSV = Reader("csv", (".csv",), partial(records, _csv), compressed=True)
TSV = Reader("tsv", (".tsv",), partial(records, _tsv), compressed=True)
JSONL = Reader("jsonl", (".jsonl", ".ndjson", ".json"), partial(records, _jsonl), compressed=True)
TXT = Reader("txt", (".txt",), partial(records, _txt), compressed=True)
