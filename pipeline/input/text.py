"""Text files as input: one record per pair, whatever the file holds.

A line that does not say what it should is a record too, with nulls where nothing could be read, and
why; only an empty line is none. Bytes that are not UTF-8 are escaped with backslashes.

- CSV: comma, double quotes, line breaks inside quotes. All values are text. A quote that closes in
  another line than it should, or never, swallows lines: that is refused, naming both lines.
- TSV: tabs only. A quote is a character like any other: real alt texts hold single ones, and a
  reader that believes them swallows the lines up to the next.
- JSONL: one object per line; a URL or text that is no string is null. A file in which no line has
  the columns is refused: they are called otherwise, or it is no JSONL.
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

from pairsieve.pipeline.input.captions import chosen, is_captions, told
from pairsieve.pipeline.input.files import InputFile, open_text
from pairsieve.pipeline.input.parquet import distinct
from pairsieve.pipeline.input.reader import BadFile, Reader, Record, missing_column
from pairsieve.schemas.recipe_input import HASHES, Input

MAX_LINE = 64 << 20  # bytes of a line, characters of a CSV cell: bounds the memory for one record
EXTRA_CELLS = "extra_cells"
NAMES_SHOWN = 100  # of a file's columns, where one is missing

Parse = Callable[[io.BufferedReader, InputFile, Input], Iterator[Record]]


def records(parse: Parse, file: InputFile, options: Input) -> Iterator[Record]:
    """Yield the pairs of a text file.

    Raises:
        BadOption: a column named in `options` is not there.
        BadFile: the file cannot be read.
    """
    try:
        with open_text(file) as stream:
            yield from parse(stream, file, options)
    except OSError as error:
        raise BadFile(f"{file.location}: cannot be read to its end: {error}") from error


def _csv(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    text = io.TextIOWrapper(stream, "utf-8-sig", "backslashreplace", newline="")
    yield from _table(_csv_rows(text, file.location), file, options)


def _csv_rows(text: io.TextIOWrapper, location: str) -> Iterator[list[str]]:
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

    rows = csv.reader(lines(), strict=True)
    while True:
        first = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            if rows.line_num != first or not line or not _closes(line):
                raise BadFile(
                    f"{location}, line {first}: a quote opens a cell and none closes it up to line "
                    f"{rows.line_num}: {error}; mend it, or say `input.format: tsv` for lines of "
                    "plain tab-separated text"
                ) from error
            row = next(csv.reader([line]))
        if row is None:
            return
        yield row


def _closes(line: str) -> bool:
    """Return whether every quoted cell of a line ends in it: else it would take in the next."""
    return len(list(csv.reader([line, "\n"]))) == 2


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
    missing, names, objects, count = {"url", "text"}, dict[str, None](), 0, 0
    for count, line in enumerate(_lines(stream), 1):
        if count == 1 and line and line.lstrip().startswith(b"["):
            raise BadFile(f"{file.location}: begins like one JSON array; give one object a line")
        others, problem = json_object(line, decoder)
        objects += problem is None
        missing -= {key for key in missing if getattr(options, key) in others}
        if missing and len(names) < NAMES_SHOWN:
            names |= dict.fromkeys(others)
        yield pair(others, options, problem)
    if not count:
        return
    if not objects:
        raise BadFile(
            f"{file.location}: no line holds a JSON object, so it is no JSONL; give one object a "
            "line, not one over several lines"
        )
    for key in ("url", "text"):
        if key in missing:
            raise missing_column(file.location, key, getattr(options, key), list(names))


def pair(others: dict[str, Any], options: Input, problem: str | None = None) -> Record:
    """Return the pair that a JSON object holds; what is not taken stays in `others`."""
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
    return Record(url, text, others, None, problem)


def _txt(stream: io.BufferedReader, file: InputFile, options: Input) -> Iterator[Record]:
    for line in _lines(stream):
        yield Record(None if line is None else _decoded(line), None, {}, None, _too_long(line))


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
