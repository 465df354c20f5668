"""The files of a crawl: which ones are named, and how they are opened.

A source is a file, a folder or a glob, local or in an object store; an http(s) URL of one file,
which is read in ranges; or a list, such as Common Crawl's `wat.paths.gz`, with a path on each line.
"""

import gzip
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pairsieve.pipeline.dataset.store import BUFFER_BYTES
from pairsieve.pipeline.dataset.streams import Seekable, storage_errors
from pairsieve.pipeline.input.files import list_files, open_compressed, open_file
from pairsieve.pipeline.pages.crawl import SUFFIXES, format_of
from pairsieve.schemas.errors import BadOption, Stopped

LISTS = (".paths", ".paths.gz")
WEB = ("http://", "https://")
MAX_LIST_BYTES = 1 << 30  # unpacked


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a crawl.

    Attributes:
        location: Path or URL.
        format: `warc` or `wat`.
        bytes: Size, 0 where it is on the web.
        version: Changes when the content does, "" where it is on the web.
    """

    location: str
    format: str
    bytes: int = 0
    version: str = ""


def listed(names: Iterable[str], format: str | None, prefix: str) -> list[Source]:
    """Return the files that sources name, each once, in order; those of a folder sorted by name.

    Args:
        names: The sources.
        format: Of all of them, None to tell it from their names.
        prefix: What paths in lists come behind.

    Raises:
        BadOption: there is no such file, or its format is not known.
    """
    found: dict[str, Source] = {}
    for name in names:
        for source in _of_list(name, format, prefix) if name.endswith(LISTS) else _of(name, format):
            found.setdefault(source.location, source)
    if not found:
        raise BadOption("SOURCE: no file of a crawl is named")
    return list(found.values())


def open_source(source: Source) -> BinaryIO:
    """Return a seekable file over a source.

    Raises:
        Stopped: it is not there, or its storage fails.
    """
    try:
        return (
            _open_web(source.location) if _is_web(source.location) else open_file(source.location)
        )
    except FileNotFoundError:
        raise Stopped(f"{source.location}: there is no such file") from None


def _of(name: str, format: str | None) -> Iterator[Source]:
    """Yield the files that a path, a glob or a URL names."""
    if _is_web(name):
        yield Source(name, _format(name, format))
        return
    files, folder = list_files(name)
    if not files:
        raise BadOption(f"SOURCE: no file matches {name}")
    for file in sorted(files, key=lambda file: file.name):
        if folder and format_of(file.name) is None:  # of a folder, what is no archive is left alone
            continue
        yield Source(file.location, _format(file.name, format), file.bytes, file.version)


def _of_list(name: str, format: str | None, prefix: str) -> Iterator[Source]:
    """Yield the files that a list names; a path in it comes behind `prefix`."""
    for line in _lines(name):
        if path := line.strip():
            absolute = "://" in path or os.path.isabs(path)
            yield from _of(path if absolute else prefix + path, format)


def _lines(name: str) -> list[str]:
    """Return the lines of a list."""
    try:
        if _is_web(name):
            with _open_web(name) as file:
                body = file.read(MAX_LIST_BYTES)
            body = gzip.decompress(body) if name.endswith(".gz") else body
        else:
            with open_compressed(name) as stream:
                body = stream.read(MAX_LIST_BYTES)
        return body.decode().splitlines()
    except FileNotFoundError:
        raise BadOption(f"SOURCE: there is no list {name}") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadOption(f"SOURCE: {name} is no list of paths: {error}") from error


def _format(name: str, format: str | None) -> str:
    """Return the format of a file."""
    found = format or format_of(name)
    if found is None:
        known = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise BadOption(
            f"SOURCE: the format of {name} is not known from its name; known: {known}; say --format"
        )
    return found


def _is_web(name: str) -> bool:
    return name.startswith(WEB)


def _open_web(location: str) -> BinaryIO:
    """Return a file on the web, read in ranges."""
    import obstore
    from obstore.store import HTTPStore

    folder, _, name = location.rpartition("/")
    with storage_errors(location):
        store = HTTPStore.from_url(folder, client_options={"allow_http": True})
        reader = obstore.open_reader(store, name, buffer_size=BUFFER_BYTES)
    return io.BufferedReader(Seekable(reader, location), BUFFER_BYTES)
