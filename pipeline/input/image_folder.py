"""Folders of pictures as input: a text beside each, or one table for a folder and all below.

Beside `a/b.jpg` lie `a/b.txt` with its text, or `a/b.json` with text, URL and extra columns; or
a table `metadata.csv`, `.jsonl` or `.parquet` in its folder, or the nearest above, has a row whose
`file_name` is its path from there. Every file is answered for: a picture without a text, a text
without a picture and a row without a file are pairs, too, in the order of their names.

A folder is one file of the plan, so that the plan does not grow with the pictures. Links are not
followed out of the input's folder.

Source: https://huggingface.co/docs/datasets/image_dataset, ImageFolder.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.input import parquet, text
from pairsieve.pipeline.input.column_types import without_times
from pairsieve.pipeline.input.extra_columns import own_address
from pairsieve.pipeline.input.files import InputFile, split_location
from pairsieve.pipeline.input.reader import BadFile, Reader, Record, Rows, missing_column
from pairsieve.pipeline.input.text import MAX_LINE, json_object, json_pair
from pairsieve.pipeline.input.webdataset import IMAGES, url_and_text
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import Input

FORMAT = "images"
FILE_NAME = "file_name"  # column of a table, and of every pair
TEXT, JSON = ".txt", ".json"
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
SMALL_FILES_AT_ONCE = 256  # texts read together: object stores answer slowly
ROWS_AT_ONCE = 1000  # of a table in Parquet


def grouped(files: Sequence[InputFile]) -> list[InputFile]:
    """Return one file per folder, with what belongs to it as its members, in order.

    Raises:
        BadOption: a link leads out of the input's folder, or a folder has several tables, or a
            table and other texts.
    """
    root = files[0].location.removesuffix(files[0].name)
    _check_links(files, root)
    parents = {file: str(PurePosixPath(file.name).parent) for file in files}
    with_table = {parents[file] for file in files if _is_table(file)}
    members: dict[str, list[InputFile]] = {}
    for file in files:
        members.setdefault(_owner(parents[file], with_table), []).append(file)
    return [_folder(root, name, members[name]) for name in sorted(members)]


def records(folder: InputFile, options: Input) -> Iterator[Record]:
    """Yield the pairs of a folder.

    Raises:
        BadOption: its table lacks a column.
        BadFile: its table is broken.
    """
    table = next((file for file in folder.members if _is_table(file)), None)
    pictures = {_below(folder, file): file for file in folder.members if _is_picture(file)}
    if table:
        yield from _of_table(folder, table, pictures, options)
    else:
        yield from _of_small_files(folder, pictures, options)


def _owner(parent: str, with_table: set[str]) -> str:
    """Return the nearest folder with a table, else the folder itself."""
    for above in (parent, *map(str, PurePosixPath(parent).parents)):
        if above in with_table:
            return above
    return parent


def _folder(root: str, name: str, members: list[InputFile]) -> InputFile:
    tables = [file.name for file in members if _is_table(file)]
    others = [file.name for file in members if not (_is_picture(file) or _is_table(file))]
    if len(tables) > 1 or (tables and others):
        both = " and ".join([*tables, *others][:2])
        raise BadOption(
            f"input.path: {both} say texts for the same pictures; move one of them away"
        )
    version = fingerprint([(file.name, file.bytes, file.version) for file in members])
    location = root.rstrip("/") if name == "." else f"{root}{name}"
    size = sum(file.bytes for file in members)
    return InputFile(location, name, size, version, members=tuple(members))


def _check_links(files: Sequence[InputFile], root: str) -> None:
    """Refuse links out of the folder `root`; each folder below it is looked at once."""
    if "://" in root:
        return
    inside = os.path.realpath(root)
    real: dict[str, str] = {}
    for file in files:
        parent = os.path.dirname(file.location)
        if parent not in real:
            real[parent] = os.path.realpath(parent)
        linked = os.path.islink(file.location)
        target = os.path.realpath(file.location) if linked else real[parent]
        if os.path.commonpath([inside, target]) != inside:
            raise BadOption(
                f"input.path: {file.location} is or lies behind a link out of {root}; put the "
                "files themselves there"
            )


def _of_table(
    folder: InputFile, table: InputFile, pictures: dict[str, InputFile], options: Input
) -> Iterator[Record]:
    """Yield a pair for each row of the table, and for each picture that it does not name."""
    rows: dict[str, list[Record]] = {name: [] for name in pictures}
    for row in _rows(table, options.model_copy(update={"url": FILE_NAME, "header": True})):
        rows.setdefault((row.url or "").removeprefix("./"), []).append(row)
    for name in sorted(rows):
        picture = pictures.get(name)
        unnamed = Record(name, None, {}, None, f"{table.name} has no row for {name}")
        for row in rows[name] or [unnamed]:
            url = row.others.get(options.url)
            if isinstance(url, str):
                del row.others[options.url]
            own = own_address(
                FORMAT, *((picture.name, "") if picture else (table.name, f"#{name}"))
            )
            problem = row.problem or (None if picture else f"no file {name!r} in {folder.name}")
            others = {FILE_NAME: name} | row.others
            given = url if isinstance(url, str) and url.strip() else own
            yield _record(given, row.text, others, picture, problem)


def _rows(table: InputFile, options: Input) -> Iterator[Record]:
    """Yield the rows of a table, the name of their file as the URL."""
    reader = {"metadata.csv": text.CSV, "metadata.jsonl": text.JSONL}.get(_name(table))
    try:
        if reader is None:
            yield from _parquet_rows(table, options)
        elif not isinstance(reader.read, Rows):
            yield from reader.read(table, options)
    except BadFile:
        raise
    except BadOption as error:  # the name of the file is no key of the recipe
        raise BadOption(str(error).replace("input.url: ", "input.path: ", 1)) from error


def _parquet_rows(table: InputFile, options: Input) -> Iterator[Record]:
    total, schema = parquet.footer(table)
    for key, name in (("url", FILE_NAME), ("text", options.text)):
        if name not in schema.names:
            raise missing_column(table.location, key, name, schema.names)
    for first in range(0, total, ROWS_AT_ONCE):
        rows = parquet.read(table.location, first, min(ROWS_AT_ONCE, total - first), total)
        columns = [parquet.plain(rows[field.name], field.type) for field in schema]
        plain = without_times(pa.Table.from_arrays(columns, schema=schema))
        for others in plain.to_pylist():
            yield json_pair(others, options, None, None)


def _of_small_files(
    folder: InputFile, pictures: dict[str, InputFile], options: Input
) -> Iterator[Record]:
    """Yield a pair for each picture, and for each text or JSON without one."""
    stems: dict[str, dict[str, InputFile]] = {}
    for file in folder.members:
        stem, suffix = os.path.splitext(_below(folder, file))
        beside = stems.setdefault(stem, {})
        key = suffix if _is_picture(file) else suffix.lower()
        if key in beside:
            names = f"{beside[key].name} and {file.name}"
            raise BadOption(f"input.path: {names} differ in case alone; move one of them away")
        beside[key] = file
    order = sorted(stems)
    decoder = json.JSONDecoder(strict=False)
    for start in range(0, len(order), SMALL_FILES_AT_ONCE):
        some = [stems[stem] for stem in order[start : start + SMALL_FILES_AT_ONCE]]
        bodies = _bodies([f for each in some for f in each.values() if not _is_picture(f)])
        for files in some:
            yield from _of_stem(files, bodies, options, decoder)


def _of_stem(
    files: dict[str, InputFile],
    bodies: dict[str, bytes | None],
    options: Input,
    decoder: json.JSONDecoder,
) -> Iterator[Record]:
    """Yield a pair for each picture of one name without its suffix; or one without a picture."""
    caption, problem = None, None
    if TEXT in files:
        caption, problem = _text(bodies[files[TEXT].location], options)
    pictures: list[InputFile | None] = [*sorted(filter(_is_picture, files.values()), key=_name)]
    for file in pictures or [None]:
        others: dict[str, Any] = {}
        if JSON in files:
            others, wrong = json_object(bodies[files[JSON].location], decoder)
            problem = problem or wrong
        url, found, wrong = url_and_text(others, caption, options)
        named = file or next(iter(files.values()))
        others.setdefault(FILE_NAME, named.name)
        why = problem or wrong or (None if file else f"no image beside {named.name}")
        own = own_address(FORMAT, named.name, "")
        yield _record(own if url is None else url, found, others, file, why)


def _record(
    url: str, text: str | None, others: dict[str, Any], file: InputFile | None, why: str | None
) -> Record:
    """Return a pair; an empty file is no picture."""
    if file and not file.bytes:
        return Record(url, text, others, None, why or f"{file.name} is empty")
    return Record(url, text, others, (file.location, 0, file.bytes) if file else None, why)


def _text(body: bytes | None, options: Input) -> tuple[str | None, str | None]:
    """Return a text without the line break at its end, or None and why."""
    if body is None:
        return None, f"a text of more than {MAX_LINE >> 20} MiB"
    try:
        found = body.decode("utf-8-sig" if options.encoding == "utf-8" else options.encoding)
    except UnicodeError:
        shown = body.decode("ascii", "backslashreplace")[:60]
        return None, f"the text is not {options.encoding}: {shown}"
    return found.removesuffix("\n").removesuffix("\r"), None


def _bodies(files: list[InputFile]) -> dict[str, bytes | None]:
    """Return the bytes of small files by location, None where one is too large for a text."""
    bodies: dict[str, bytes | None] = {}
    by_store: dict[Any, dict[str, tuple[str, int, int]]] = {}
    for file in files:
        bodies[file.location] = b"" if file.bytes <= MAX_LINE else None
        if 0 < file.bytes <= MAX_LINE:
            store, path = split_location(file.location)
            by_store.setdefault(store, {})[file.location] = path, 0, file.bytes
    for store, ranges in by_store.items():
        found = store.read_byte_ranges(list(ranges.values()))
        bodies |= dict(zip(ranges, found, strict=True))
    return bodies


def _below(folder: InputFile, file: InputFile) -> str:
    return file.name if folder.name == "." else file.name.removeprefix(f"{folder.name}/")


def _name(file: InputFile) -> str:
    return PurePosixPath(file.name).name


def _is_table(file: InputFile) -> bool:
    return _name(file) in TABLES


def _is_picture(file: InputFile) -> bool:
    return PurePosixPath(file.name.lower()).suffix[1:] in IMAGES


IMAGE_FOLDER = Reader(
    FORMAT,
    tuple(f".{suffix}" for suffix in sorted(IMAGES)),
    records,
    holds_images=True,
    beside=(TEXT, JSON, *TABLES),
    group=grouped,
)
