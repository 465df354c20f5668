"""The files that a path names, and how they are opened.

A path is a file, a folder or a glob, on local disk or in an object store; it may have ranges in
braces. Of a folder, hidden files
and names that begin with `_` (`_SUCCESS`, `_temporary/`) are passed over; nothing else is.
"""

import glob
import io
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import partitions
from pairsieve.schemas.errors import BadOption

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
STREAM_BUFFER = 1 << 20  # bytes
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file.

    Attributes:
        location: Full path or URL.
        name: Path below the input's folder, which is the same wherever that folder lies.
        bytes: Size.
        version: Changes when the content does: time of change, or the object's entity tag.
        companion: What of the same name lies beside it and goes with it, if its format has that.
        members: The files of a folder that is read as one.
    """

    location: str
    name: str
    bytes: int
    version: str
    companion: "InputFile | None" = None
    members: "tuple[InputFile, ...]" = ()


def split_location(location: str) -> tuple[Store, str]:
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


def open_file(location: str) -> BinaryIO:
    """Return a seekable file over `location`; FileNotFoundError when there is none."""
    store, name = split_location(location)
    return store.reader(name)


def open_text(file: InputFile) -> io.BufferedReader:
    """Return the bytes of a text file, decompressed as its name says.

    Reading raises OSError when the compressed data are broken or end early.
    """
    return open_compressed(file.location)


def is_compressed(name: str) -> bool:
    """Return whether the name of a file says that it is compressed."""
    return PurePosixPath(name.lower()).suffix in COMPRESSIONS


def open_compressed(location: str) -> io.BufferedReader:
    """Return the bytes of a file, decompressed as its name says; OSError as in `open_text`."""
    import pyarrow as pa

    raw = open_file(location)
    compression = COMPRESSIONS.get(PurePosixPath(location.lower()).suffix)
    if not compression:
        return io.BufferedReader(raw, STREAM_BUFFER)  # type: ignore[arg-type]
    return io.BufferedReader(pa.input_stream(raw, compression=compression), STREAM_BUFFER)


def list_files(path: str) -> tuple[list[InputFile], bool]:
    """Return the files that `path` names, and True if it is a folder.

    Raises:
        BadOption: a range in braces names a file that is not there, or a link leads nowhere.
    """
    remote = "://" in path
    path = path.rstrip("/") if remote else os.path.abspath(os.path.expanduser(path))
    if partitions.has_range(path) and not (_is_object(path) if remote else os.path.lexists(path)):
        return _listed_ranges(path, _listed_among(path) if remote else _listed_local)
    return _listed_remote(path) if remote else _listed_local(path)


Listed = Callable[[str], tuple[list[InputFile], bool]]


def _listed_ranges(path: str, listed: Listed) -> tuple[list[InputFile], bool]:
    """Return the files of all paths that one with ranges stands for; each must have some."""
    root = partitions.above_folders(_fixed_part(partitions.with_stars(path)))
    files: dict[str, InputFile] = {}
    folders = False
    for each in partitions.each_of_ranges(path):
        found, folder = listed(each)
        if not found:
            raise BadOption(f"input.path: no file matches {each}, which {path} names")
        folders = folders or folder
        for file in found:
            name = file.location.removeprefix(f"{root}/")
            files[file.location] = replace(file, name=name)
    return list(files.values()), folders


def _listed_among(path: str) -> Listed:
    """Return what lists one object or prefix out of all that may be meant; a glob by itself."""
    store, key = split_location(path)
    root = _fixed_part(partitions.with_stars(key))
    below = sorted(_below(store, root), key=lambda file: file.location)
    locations = [file.location for file in below]

    def listed(each: str) -> tuple[list[InputFile], bool]:
        if _MAGIC.search(each):
            return _listed_remote(each)
        first = bisect_left(locations, each)
        if locations[first : first + 1] == [each]:
            return [below[first]], False
        start, end = (bisect_left(locations, f"{each}{mark}") for mark in "/0")  # 0 follows /
        return [file for file in below[start:end] if not _is_private(file.name)], True

    return listed


def _is_object(path: str) -> bool:
    store, key = split_location(path)
    return store.exists(key)


def _listed_local(path: str) -> tuple[list[InputFile], bool]:
    folder = os.path.isdir(path)
    if folder:
        root, paths = path, glob.glob(f"{glob.escape(path)}/**/*", recursive=True)
    elif os.path.isfile(path):
        root, paths = os.path.dirname(path), [path]
    else:
        root, paths = _fixed_part(path), glob.glob(path, recursive=True)
    base = partitions.above_folders(root)
    files = []
    for location in paths:
        if os.path.islink(location) and not os.path.exists(location):
            raise BadOption(f"input.path: {location} is a link to nothing; delete or mend it")
        private = folder and _is_private(os.path.relpath(location, root))
        if os.path.isfile(location) and not private:
            stat, name = os.stat(location), os.path.relpath(location, base)
            files.append(InputFile(location, name, stat.st_size, str(stat.st_mtime_ns)))
    return files, folder


def _listed_remote(path: str) -> tuple[list[InputFile], bool]:
    store, key = split_location(path)
    if not _MAGIC.search(key):
        if key and store.exists(key):
            parent = key.rpartition("/")[0]
            return [file for file in _below(store, parent) if file.location == path], False
        files = [file for file in _below(store, key) if not _is_private(file.name)]
        return files, True
    root = _fixed_part(key)
    pattern = _expression(key)
    start = len(store.location(""))
    below = _below(store, root)
    return [file for file in below if pattern.fullmatch(file.location[start:])], False


def _below(store: Store, folder: str) -> Iterator[InputFile]:
    """Yield the objects under `folder`, without the empty ones that stand for folders."""
    base = partitions.above_folders(folder)
    for path, size, version in store.list(folder):
        name = path.removeprefix(f"{base}/") if base else path
        if size or PurePosixPath(name).suffix:
            yield InputFile(store.location(path), name, size, version)


def _fixed_part(pattern: str) -> str:
    """Return the folder that a glob starts from."""
    parts = pattern.split("/")
    fixed = next(i for i, part in enumerate([*parts, "*"]) if _MAGIC.search(part))
    return "/".join(parts[: min(fixed, len(parts) - 1)])


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
