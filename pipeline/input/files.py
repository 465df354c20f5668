"""The files that a path names, and how they are opened.

A path is a file, a folder or a glob, on local disk or in an object store. Of a folder, hidden files
and names that begin with `_` (`_SUCCESS`, `_temporary/`) are passed over; nothing else is.
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
    """Return the files that `path` names, and True if it is a folder."""
    if "://" not in path:
        return _listed_local(os.path.abspath(os.path.expanduser(path)))
    return _listed_remote(path.rstrip("/"))


def _listed_local(path: str) -> tuple[list[InputFile], bool]:
    folder = os.path.isdir(path)
    if folder:
        root, paths = path, glob.glob(f"{glob.escape(path)}/**/*", recursive=True)
    elif os.path.isfile(path):
        root, paths = os.path.dirname(path), [path]
    else:
        root, paths = _fixed_part(path), glob.glob(path, recursive=True)
    files = []
    for location in paths:
        if os.path.islink(location) and not os.path.exists(location):
            raise BadOption(f"input.path: {location} is a link to nothing; delete or mend it")
        name = os.path.relpath(location, root)
        if os.path.isfile(location) and not (folder and _is_private(name)):
            stat = os.stat(location)
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
    for path, size, version in store.list(folder):
        name = path.removeprefix(f"{folder}/") if folder else path
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
