"""The dataset's storage: one interface over local disk, S3, GCS and Azure.

obstore does the work because its conditional put, on which the commit stands, holds on local disk
and on every object store alike.
"""

import io
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pairsieve.pipeline.dataset import listing, marker_index
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import index_path
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.streams import (
    Entry,
    HashedReader,
    HashingWriter,
    Seekable,
    UploadSink,
    file_entry,
    retried,
    storage_errors,
)
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe_scratch import Scratch

if TYPE_CHECKING:
    import builtins

    from obstore import ObjectMeta
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
ByteRange = tuple[str, int, int]  # path, offset and length of some bytes of it

FILES_AT_ONCE = 16  # files of which ranges are read at the same time
DEFAULT_SCRATCH = Scratch()
BUFFER_BYTES = 8 << 20  # of a stream to or from an object
FILE_BUFFER_BYTES = 1 << 20  # of one to a local file: as fast, and a process writes several


@dataclass(frozen=True)
class Store:
    """A folder or object-store prefix; paths in it are relative and use `/`.

    Holds only its URL, so that it travels to any worker, and what to do with what does not fit into
    memory.
    """

    url: str
    scratch: Scratch = field(default=DEFAULT_SCRATCH, compare=False)

    @classmethod
    def at(cls, location: str | Path, scratch: Scratch = DEFAULT_SCRATCH) -> Self:
        """Return the store at a local path or an `s3://`, `gs://` or `az://` URL.

        Raises:
            BadOption: the URL has another scheme.
        """
        text = str(location)
        scheme, separator, _ = text.partition("://")
        if not separator:
            return cls(str(Path(text).expanduser().absolute()), scratch)
        if scheme not in SCHEMES:
            allowed = ", ".join(f"{s}://" for s in SCHEMES)
            raise BadOption(f"{text}: unknown kind of storage; allowed: a local path, {allowed}")
        return cls(text.rstrip("/"), scratch)

    @cached_property
    def local(self) -> Path | None:
        """Return the folder when the store is on this machine's disk."""
        return None if "://" in self.url else Path(self.url)

    @cached_property
    def _objects(self) -> "ObjectStore":
        return _open(self.url)

    def prepare(self, path: str) -> None:
        """Make the folder of a local store, before `path` is written; reading leaves none behind.

        Raises:
            Stopped: a link lies on the way, and what is behind it is not the dataset's.
        """
        if self.local:
            if link := self.link(path):
                raise Stopped(f"{link}: is a link; a dataset writes nothing behind links")
            try:
                self.local.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadOption(f"{self.url}: cannot be made: {error.strerror}") from error

    def link(self, path: str) -> Path | None:
        """Return the first link on the way to `path` from the folder of a local store, if any."""
        if self.local is None:
            return None
        _, *ways = accumulate(path.split("/"), os.path.join, initial=self.url)
        return next((Path(way) for way in ways if os.path.islink(way)), None)

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "scratch": self.scratch}

    def location(self, path: str) -> str:
        """Return the full path or URL of `path`, as DuckDB and people read it."""
        return f"{self.url}/{path}"

    def read(self, path: str) -> bytes:
        """Return the bytes of `path`; FileNotFoundError when there are none."""
        import obstore

        with storage_errors(self.location(path)):
            return retried(lambda: bytes(obstore.get(self._objects, path).bytes()))

    def read_ranges(self, path: str, starts: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Return the bytes of several ranges of `path`, in the order given."""
        import obstore

        with storage_errors(self.location(path)):
            get = partial(obstore.get_ranges, self._objects, path, starts=starts, lengths=lengths)
            parts = retried(get)
        return [bytes(part) for part in parts]

    def read_range(self, path: str, start: int, length: int) -> memoryview:
        """Return some bytes of `path`."""
        import obstore

        with storage_errors(self.location(path)):
            get = partial(obstore.get_range, self._objects, path, start=start, length=length)
            return memoryview(retried(get))

    def read_byte_ranges(self, ranges: Sequence[ByteRange]) -> "builtins.list[bytes]":
        """Return the bytes of each range, in order; a file is asked once, several at a time.

        In a shuffled pool almost every image lies in another file, and object stores answer slowly.
        """
        of_file: dict[str, list[int]] = {}
        for number, (path, _, _) in enumerate(ranges):
            of_file.setdefault(path, []).append(number)
        if self.local:
            return self._local_ranges(of_file, ranges)

        def read(path: str) -> list[bytes]:
            _, starts, lengths = zip(*(ranges[number] for number in of_file[path]), strict=True)
            return self.read_ranges(path, starts, lengths)

        bodies = [b""] * len(ranges)
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            for numbers, found in zip(of_file.values(), pool.map(read, of_file), strict=True):
                for number, body in zip(numbers, found, strict=True):
                    bodies[number] = body
        return bodies

    def _local_ranges(
        self, of_file: dict[str, "builtins.list[int]"], ranges: Sequence[ByteRange]
    ) -> "builtins.list[bytes]":
        """Return the same from this machine's disk, where threads cost more than reading."""
        bodies = [b""] * len(ranges)
        for path, numbers in of_file.items():
            with storage_errors(self.location(path)), open(self.location(path), "rb", 0) as file:
                for number in numbers:
                    _, start, length = ranges[number]
                    bodies[number] = os.pread(file.fileno(), length, start)
                    if len(bodies[number]) != length:
                        raise OSError(f"it ends before byte {start + length:,}")
        return bodies

    def exists(self, path: str) -> bool:
        """Return True when there is an object at `path`."""
        return self.entry(path) is not None

    def entry(self, path: str) -> "ObjectMeta | None":
        """Return path, size, e_tag and last_modified of the object at `path`, None without one.

        Lists show it from now on, for some minutes: one that does not has not caught up yet.
        """
        try:
            entry = listing.head(self._objects, self.url, path)
        except FileNotFoundError:  # there is no such folder
            return None
        if entry:
            self._note(path)
        return entry

    def _note(self, path: str, there: bool = True) -> None:
        listing.CHANGES.note(self.location(path), there)

    def list(self, folder: str = "") -> Iterator[tuple[str, int, str]]:
        """Yield (path, bytes, version) of every object under `folder`, sorted by path.

        The version changes when the content does: the entity tag.
        """
        for entry in self.entries(folder):
            yield entry["path"], entry["size"], entry["e_tag"] or ""

    def paths(self) -> Iterator[str]:
        """Yield the paths of what lies here, in no order, links among them, as they are found."""
        if self.local:
            for folder, names, files in os.walk(self.local):
                links = [name for name in names if Path(folder, name).is_symlink()]
                for name in (*files, *links):
                    yield Path(folder, name).relative_to(self.local).as_posix()
            return
        yield from listing.paths(self._objects, self.url, None, None)

    def paths_from(self, folder: str, after: str) -> Iterator[str]:
        """Yield the paths below `folder` of an object store, in order, from behind a name in it."""
        offset = f"{folder}/{after}" if after else None
        yield from listing.paths(self._objects, self.url, folder, offset)

    def entries(self, folder: str = "") -> "builtins.list[ObjectMeta]":
        """Return path, size, e_tag and last_modified of every object under `folder`, by path."""
        if self.local and not self.local.is_dir():
            return []
        found = listing.entries(self._objects, self.url, folder)
        return [found[path] for path in sorted(found)]

    def write(self, path: str, data: bytes) -> None:
        """Put `data` at `path`, replacing what is there at once or not at all."""
        import obstore

        with storage_errors(self.location(path)):
            self.prepare(path)
            self._drop_index(path)
            obstore.put(self._objects, path, data)
        self._note(path)

    def create(self, path: str, data: bytes) -> bool:
        """Put `data` at `path` if nothing is there; return False, unchanged, if something is.

        What is the same was put by us: networks lose answers, and repeat requests.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        def put() -> bool:
            try:
                obstore.put(self._objects, path, data, mode="create")
            except AlreadyExistsError:
                with suppress(FileNotFoundError):  # deleted since
                    return self.read(path) == data
                return False
            return True

        with storage_errors(self.location(path)):
            self.prepare(path)
            created = retried(put)
        self._note(path)
        return created

    def copy(self, source: str, path: str) -> None:
        """Put at `path`, at once, what is at `source`."""
        import obstore

        with storage_errors(self.location(path)):
            self.prepare(path)
            retried(lambda: obstore.copy(self._objects, source, path))
        self._note(path)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete the objects at `paths`; one that is not there is no error.

        What lies behind a link is left alone.
        """
        import obstore

        dropped: str | None = None
        for path in paths:
            if self.link(path):
                continue
            if path.endswith(".json") and path.rpartition("/")[0] != dropped:
                self._drop_index(path)
                dropped = path.rpartition("/")[0]
            with storage_errors(self.location(path)), suppress(FileNotFoundError):
                retried(partial(obstore.delete, self._objects, path))
            self._note(path, there=False)

    def _drop_index(self, path: str) -> None:
        """Delete the index that the marker at `path` may be in, before that changes."""
        index = index_path(path.rpartition("/")[0])
        if index and role(path) is Role.MARKER:
            self.delete([index])

    def reader(self, path: str) -> BinaryIO:
        """Return a seekable file over `path`, read in ranges as needed."""
        import obstore

        if self.local:
            return open(self.local / path, "rb")
        with storage_errors(self.location(path)):
            source = obstore.open_reader(self._objects, path, buffer_size=BUFFER_BYTES)
        return io.BufferedReader(Seekable(source, self.location(path)), BUFFER_BYTES)

    def writer(self, path: str) -> HashingWriter:
        """Return a file that streams to `path`, which appears whole when closed."""
        import obstore

        with storage_errors(self.location(path)):
            self.prepare(path)
            size = FILE_BUFFER_BYTES if self.local else BUFFER_BYTES
            opened = partial(obstore.open_writer, self._objects, path, buffer_size=size)
            sink = opened() if self.local else UploadSink(opened, size)
        appeared, whole = partial(self._note, path), partial(self._is_whole, path)
        return HashingWriter(sink, self.location(path), appeared, whole)

    def _is_whole(self, path: str, entry: Entry) -> bool:
        """Return whether an object has this size and checksum; it is read."""
        if self.local or not self.exists(path):
            return False
        with self.reader(path) as source:
            return HashedReader(source).wrong(entry) is None

    def adopt(self, file: Path, path: str) -> Entry:
        """Move a file of this machine to `path`; return its size and checksum as markers name them.

        In a local store on the same disk it is renamed, so that its bytes are not written again.
        """
        if self.local:
            with storage_errors(self.location(path)):
                self.prepare(path)
            with suppress(OSError):
                (self.local / path).parent.mkdir(parents=True, exist_ok=True)
                entry = file_entry(file)
                os.replace(file, self.local / path)
                self._note(path)
                return entry
        with file.open("rb") as source, self.writer(path) as sink:
            shutil.copyfileobj(source, sink, BUFFER_BYTES)
        file.unlink()
        return sink.entry()

    @property
    def remedy(self) -> str:
        """Return what to do where a committed file is not as it was, as a part of a sentence."""
        dataset = shlex.quote(self.url)
        return (
            f"run `pairsieve verify {dataset} --repair`, then `pairsieve run RECIPE --dataset "
            f"{dataset}`, which makes it again"
        )

    def marker(self, path: str) -> Marker | None:
        """Return the marker at `path`, or None where nothing is committed.

        Raises:
            Stopped: it is damaged.
        """
        body = self.marker_body(path)
        return None if body is None else Marker.loads(body)

    def marker_body(self, path: str) -> bytes | None:
        """Return the bytes of the marker at `path`, or None where nothing is committed.

        Raises:
            Stopped: it is damaged.
        """
        try:
            body = self.read(path)
        except FileNotFoundError:
            return None
        try:
            Marker.loads(body)
        except (ValueError, TypeError) as error:
            why = f"a damaged marker: {error}; {self.remedy}"
            raise Stopped(f"{self.location(path)}: {why}") from error
        return body

    def marker_names(self, folder: str) -> "builtins.list[str]":
        """Return the names, without `.json`, of the markers directly under `folder`, in order."""
        return marker_index.names(self, folder)

    def markers(self, folder: str) -> marker_index.Markers:
        """Return the markers directly under `folder` by name without `.json`, in name order.

        Raises:
            Stopped: one is damaged.
        """
        return marker_index.markers(self, folder)


@lru_cache(maxsize=64)
def _open(url: str) -> "ObjectStore":
    """Return the object store at `url`; credentials and endpoints come from the environment."""
    from obstore.store import LocalStore, from_url

    if "://" in url:
        return from_url(url)
    if not Path(url).is_dir():
        raise FileNotFoundError(url)
    return LocalStore(url)
