"""The table of input formats, and which files of an input are read by which.

A new format is a file of this folder that makes its `Reader`, and a line of `READERS`. All files of
one input have one format. A file of unknown or of another format is refused by name, because one
that was skipped is pairs that nobody answers for; exempt is what a format has beside its files.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pairsieve.pipeline.input import image_folder, parquet, text, web_archive, webdataset
from pairsieve.pipeline.input.files import COMPRESSIONS, InputFile, is_compressed, list_files
from pairsieve.pipeline.input.reader import Reader, Rows
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe_input import Input

READERS: tuple[Reader, ...] = (
    parquet.PARQUET,
    text.CSV,
    text.TSV,
    text.JSONL,
    text.TXT,
    webdataset.WEBDATASET,
    image_folder.IMAGE_FOLDER,
    web_archive.WARC,
    web_archive.WAT,
)
AUTO = "auto"  # in the recipe: the format is told from the files' names


@dataclass(frozen=True, slots=True)
class InputFiles:
    """The input's files, sorted by name, and the reader of their format."""

    reader: Reader
    files: tuple[InputFile, ...]


def reader_of(format: str, readers: tuple[Reader, ...] = READERS) -> Reader:
    """Return the reader of a format.

    Raises:
        BadOption: there is no such format.
    """
    for reader in readers:
        if reader.format == format:
            return reader
    known = nearest(format, [AUTO, *(reader.format for reader in readers)])
    raise BadOption(f"input.format: unknown format `{format}`; {known}")


def rows_of(format: str, readers: tuple[Reader, ...] = READERS) -> Rows:
    """Return how the rows of a format that is read in place are read.

    Raises:
        BadOption: there is no such format, or its files are staged.
    """
    read = reader_of(format, readers).read
    if not isinstance(read, Rows):
        raise BadOption(f"input.format: `{format}` is not read in place; use another --dataset")
    return read


def check_format(options: Input, readers: tuple[Reader, ...] = READERS) -> None:
    """Refuse a recipe that names an unknown format, without a look at any file.

    Raises:
        BadOption: there is no such format.
    """
    if options.format != AUTO:
        reader_of(options.format, readers)


def format_of(name: str, readers: tuple[Reader, ...] = READERS) -> str | None:
    """Return the format that a file's name tells, None if it tells none."""
    path, compressed = PurePosixPath(name.lower()), is_compressed(name)
    suffix = path.with_suffix("").suffix if compressed else path.suffix
    for reader in readers:
        if suffix in reader.suffixes and (reader.compressed or not compressed):
            return reader.format
    return None


def find_files(options: Input, dataset: str, readers: tuple[Reader, ...] = READERS) -> InputFiles:
    """Return the files that `options` names, without what lies in the `dataset` being made.

    Raises:
        BadOption: nothing matches, or the files are of unknown or of several formats.
    """
    check_format(options, readers)
    every, folder = list_files(options.path)
    root = every[0].location.removesuffix(every[0].name) if every else ""
    if dataset.startswith(root):
        every = [file for file in every if not file.location.startswith(f"{dataset}/")]
    if not every:
        raise BadOption(f"input.path: no file matches {options.path}")
    for file in every:
        if not _is_text(file.location):
            raise BadOption(f"input.path: a file name is not UTF-8: {file.location!r}")
    every.sort(key=lambda file: file.name)
    if options.format == AUTO:
        reader, chosen = _of_one_format(every, readers)
    else:
        reader, chosen = reader_of(options.format, readers), every
        if folder or reader.beside:
            chosen = [file for file in every if format_of(file.name, readers) == reader.format]
        if not chosen:
            raise BadOption(f"input.path: no file of format {reader.format} in {options.path}")
    if options.image is not None and not reader.takes_image:
        raise BadOption(f"input.image: {reader.format} files hold no images; leave it out")
    if options.pages is not None and not reader.holds_pages:
        raise BadOption(f"input.pages: {reader.format} files hold no pages; leave it out")
    if reader.group:
        names = {file.name for file in chosen}
        chosen = reader.group(
            [f for f in every if f.name in names or f.name.lower().endswith(reader.beside)]
        )
    return InputFiles(reader, tuple(_with_companions(reader, chosen, every)))


def _of_one_format(
    every: list[InputFile], readers: tuple[Reader, ...]
) -> tuple[Reader, list[InputFile]]:
    """Return the reader and the files if all are of one known format."""
    present = {format_of(file.name, readers) for file in every}
    beside = tuple(s for reader in readers if reader.format in present for s in reader.beside)
    files = [file for file in every if not file.name.lower().endswith(beside)]
    examples: dict[str | None, str] = {}
    for file in files:
        examples.setdefault(format_of(file.name, readers), file.name)
    if None in examples:
        known = ", ".join(suffix for reader in readers for suffix in reader.suffixes)
        raise BadOption(
            f"input.path: the format of {examples[None]!r} is not known from its name; known: "
            f"{known}, text formats and tars also with {' or '.join(COMPRESSIONS)}; say "
            "`input.format`, or a glob that matches the input files only"
        )
    if len(examples) > 1:
        mixed = ", ".join(f"{name!r} is {format}" for format, name in examples.items())
        raise BadOption(
            f"input.path: files of several formats: {mixed}; say `input.format`, or a glob that "
            "matches one format"
        )
    (format,) = (each for each in examples if each)
    return reader_of(format, readers), files


def _with_companions(
    reader: Reader, files: list[InputFile], every: list[InputFile]
) -> Iterator[InputFile]:
    """Yield the files, each with what of the same name lies beside it and goes with it."""
    by_name = {file.name: file for file in every} if reader.companion else {}
    for file in files:
        packed = PurePosixPath(file.name).suffix if is_compressed(file.name) else ""
        name = file.name.removesuffix(packed)
        suffix = next((s for s in reader.suffixes if name.endswith(s)), None)
        beside = None if suffix is None else name.removesuffix(suffix) + reader.companion
        companion = by_name.get(beside or "")
        yield replace(file, companion=companion) if companion else file


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
