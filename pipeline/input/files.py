"""The input's files: which they are, what format they have, how they are opened.

A path is a file, a folder or a glob, on local disk or in an object store. Nothing that a folder or
glob names is passed over in silence, because a file that was skipped is pairs that nobody answers
for: a file of unknown or of another format is refused by name. Exempt are hidden files, names that
begin with `_` (`_SUCCESS`, `_temporary/`) in a folder, and what lies beside WebDataset tars.
"""

import glob
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Input

FORMATS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl",
    ".ndjson": "jsonl", ".json": "jsonl", ".txt": "txt", ".tar": "webdataset",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
TEXT_FORMATS = frozenset(("csv", "tsv", "jsonl", "txt"))
STREAM_BUFFER = 1 << 20  # bytes
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Source:
    """One input file.

    Attributes:
        location: Full path or URL.
        name: Path below the input's folder, which is the same wherever that folder lies.
        bytes: Size.
        version: Changes when the content does: time of change, or the object's entity tag.
    """

    location: str
    name: str
    bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class Found:
    """The input's files, sorted by name.

    Attributes:
        format: Their one format, a value of `FORMATS`.
        sources: The files.
        companions: By name of a tar, the Parquet file of the same name beside it.
    """

    format: str
    sources: tuple[Source, ...]
    companions: dict[str, Source]


def find(options: Input, dataset: str) -> Found:
    """Return the files that `options` names, without what lies in the `dataset` being made.

    Raises:
        BadOption: nothing matches, or the files are of unknown or of several formats.
    """
    every, folder = listed(options.path)
    root = every[0].location.removesuffix(every[0].name) if every else ""
    if dataset.startswith(root):
        every = [file for file in every if not file.location.startswith(f"{dataset}/")]
    if not every:
        raise BadOption(f"input.path: no file matches {options.path}")
    for file in every:
        if not _is_text(file.location):
            raise BadOption(f"input.path: a file name is not UTF-8: {file.location!r}")
    every.sort(key=lambda file: file.name)
    if options.format == "auto":
        return _of_one_format(every)
    if folder or options.format == "webdataset":
        chosen = [file for file in every if format_of(file.name) == options.format]
    else:
        chosen = every
    if not chosen:
        raise BadOption(f"input.path: no file of format {options.format} in {options.path}")
    companions = _companions(every) if options.format == "webdataset" else {}
    return Found(options.format, tuple(chosen), companions)


def format_of(name: str) -> str | None:
    """Return the format that a file's name tells, None if it tells none."""
    path = PurePosixPath(name.lower())
    if path.suffix in COMPRESSIONS:
        inner = FORMATS.get(path.with_suffix("").suffix)
        return inner if inner in TEXT_FORMATS else None
    return FORMATS.get(path.suffix)


def place(location: str) -> tuple[Store, str]:
    """Return the store that holds `location` and the path in it.

    The store of a URL is the whole bucket: a prefix is read as a URL, in which `#`, `?` and `%`
    mean something else; a path is not.
    """
    scheme, separator, rest = location.partition("://")
    if separator:
        bucket, _, key = rest.partition("/")
        return Store.at(f"{scheme}://{bucket}"), key
    path = Path(location)
    return Store.at(path.parent), path.name


def opened(location: str) -> BinaryIO:
    """Return a seekable file over `location`; FileNotFoundError when there is none."""
    store, name = place(location)
    return store.reader(name)


def stream(source: Source) -> io.BufferedReader:
    """Return the bytes of a text file, decompressed as its name says.

    Reading raises OSError when the compressed data are broken or end early.
    """
    import pyarrow as pa

    raw = opened(source.location)
    compression = COMPRESSIONS.get(PurePosixPath(source.name.lower()).suffix)
    if not compression:
        return io.BufferedReader(raw, STREAM_BUFFER)  # type: ignore[arg-type]
    return io.BufferedReader(pa.input_stream(raw, compression=compression), STREAM_BUFFER)


def listed(path: str) -> tuple[list[Source], bool]:
    """Return the files that `path` names, and True if it is a folder."""
    if "://" not in path:
        return _listed_local(os.path.abspath(os.path.expanduser(path)))
    return _listed_remote(path.rstrip("/"))


def _listed_local(path: str) -> tuple[list[Source], bool]:
    folder = os.path.isdir(path)
    if folder:
        root, found = path, glob.glob(f"{glob.escape(path)}/**/*", recursive=True)
    elif os.path.isfile(path):
        root, found = os.path.dirname(path), [path]
    else:
        root, found = _fixed_part(path), glob.glob(path, recursive=True)
    files = []
    for each in found:
        name = os.path.relpath(each, root)
        if os.path.isfile(each) and not (folder and _is_private(name)):
            stat = os.stat(each)
            files.append(Source(each, name, stat.st_size, str(stat.st_mtime_ns)))
    return files, folder


def _listed_remote(path: str) -> tuple[list[Source], bool]:
    store, key = place(path)
    if not _MAGIC.search(key):
        if key and store.exists(key):
            parent = key.rpartition("/")[0]
            return [file for file in _below(store, parent) if file.location == path], False
        files = [file for file in _below(store, key) if not _is_private(file.name)]
        return files, True
    root = _fixed_part(key)
    pattern = _expression(key)
    found = _below(store, root)
    start = len(store.location(""))
    return [file for file in found if pattern.fullmatch(file.location[start:])], False


def _below(store: Store, folder: str) -> Iterator[Source]:
    """Yield the objects under `folder`, without the empty ones that stand for folders."""
    for path, size, version in store.list(folder):
        name = path.removeprefix(f"{folder}/") if folder else path
        if size or PurePosixPath(name).suffix:
            yield Source(store.location(path), name, size, version)


def _fixed_part(pattern: str) -> str:
    """Return the folder that a glob starts from."""
    parts = pattern.split("/")
    place = next(i for i, part in enumerate([*parts, "*"]) if _MAGIC.search(part))
    return "/".join(parts[: min(place, len(parts) - 1)])


def _expression(pattern: str) -> re.Pattern[str]:
    """Return a glob as a regular expression; `*` stops at a slash, `**` does not."""
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = []
    for token in re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^]]+\])", pattern):
        if token.startswith("[") and token.endswith("]"):
            parts.append("[" + token[1:].replace("!", "^", token[1] == "!").replace("\\", "\\\\"))
        else:
            parts.append(meaning.get(token, re.escape(token)))
    return re.compile("".join(parts), re.DOTALL)


def _is_private(name: str) -> bool:
    """Return True for hidden files and those that begin with `_`, or lie in such a folder."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _of_one_format(files: list[Source]) -> Found:
    """Return the files if all are of one known format; beside tars, tables of them are no input."""
    tars = any(format_of(file.name) == "webdataset" for file in files)
    beside = (".parquet", ".json")
    sources = [file for file in files if not (tars and file.name.lower().endswith(beside))]
    examples: dict[str | None, str] = {}
    for file in sources:
        examples.setdefault(format_of(file.name), file.name)
    if None in examples:
        raise BadOption(
            f"input.path: the format of {examples[None]!r} is not known from its name; known: "
            f"{', '.join(FORMATS)}, text formats also with {' or '.join(COMPRESSIONS)}; say "
            "`input.format`, or a glob that matches the input files only"
        )
    if len(examples) > 1:
        mixed = ", ".join(f"{name!r} is {format}" for format, name in examples.items())
        raise BadOption(
            f"input.path: files of several formats: {mixed}; say `input.format`, or a glob that "
            "matches one format"
        )
    (format,) = (each for each in examples if each)
    return Found(format, tuple(sources), _companions(files) if tars else {})


def _companions(files: list[Source]) -> dict[str, Source]:
    """Return the Parquet files that lie beside a tar of the same name, by that tar's name."""
    tables = {
        file.name.removesuffix(".parquet"): file for file in files if file.name.endswith(".parquet")
    }
    return {
        file.name: tables[file.name.removesuffix(".tar")]
        for file in files
        if file.name.endswith(".tar") and file.name.removesuffix(".tar") in tables
    }
