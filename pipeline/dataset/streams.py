"""Objects of the store as Python files, and the one place where storage errors are translated."""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from pairsieve.schemas.errors import Stopped

Result = TypeVar("Result")
Entry = dict[str, Any]  # of a file: size and checksum, as a marker names them

READ_BYTES = 1 << 20  # at once, of a file that is read to its end
HELD_BYTES = 1 << 16  # of small writes, before they go on together
RETRY_FOR_S = 60  # what obstore itself does not try again
BACKOFF_S = 0.1, 10  # before the first retry, and at most: it doubles
REFUSED = "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"
METADATA_SERVICE = "169.254.169.254"  # asked for credentials where the environment has none


class HashingWriter(io.RawIOBase):
    """A file that streams to one object and knows the SHA-256 of what was written.

    Leaving its `with` block by an exception abandons the object.
    """

    def __init__(
        self,
        sink: Any,
        location: str,
        appeared: Callable[[], None] = lambda: None,
        is_whole: Callable[[Entry], bool] = lambda entry: False,
    ) -> None:
        """Wrap what streams to `location`.

        `appeared` is called when the object is there; `is_whole` says whether it is there all the
        same, of this size and checksum, where the last answer of the storage was a failure.
        """
        self.size = 0
        self._location = location
        self._appeared, self._is_whole = appeared, is_whole
        self._sha256 = hashlib.sha256()
        self._held = bytearray()
        self._sink = sink

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Append `data`; return its length in bytes."""
        view = memoryview(data).cast("B")
        if len(self._held) + len(view) > HELD_BYTES:
            with storage_errors(self._location):
                self._put_held(self._sink)
                self._sink.write(view)
        else:
            self._held += view
        self._sha256.update(view)
        self.size += len(view)
        return len(view)

    def _put_held(self, sink: Any) -> None:
        if self._held:
            held, self._held = self._held, bytearray()
            sink.write(held)

    def tell(self) -> int:
        """Return the bytes written so far."""
        return self.size

    def close(self) -> None:
        """Make the object appear."""
        if self._sink is not None:
            sink, self._sink = self._sink, None
            with storage_errors(self._location):
                self._put_held(sink)
                self._finish(sink)
            self._appeared()
        super().close()

    def _finish(self, sink: Any) -> None:
        """Close the sink. That what it has ended is not there any more may mean: it is done."""
        from obstore.exceptions import BaseError

        try:
            sink.close()
        except (BaseError, FileNotFoundError) as error:
            if not self._is_whole(self.entry()):
                why = f"the upload was not finished: {_reason(error)}"
                raise Stopped(f"storage failed at {self._location}: {why}") from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._sink = None
        self.close()

    def entry(self) -> Entry:
        """Return size and checksum, as a marker names them."""
        return {"bytes": self.size, "sha256": self._sha256.hexdigest()}


class UploadSink:
    """A writer to an object store that keeps the beginning until an upload in parts has begun.

    obstore asks again for each part, and not where the answer to the beginning breaks off: so then
    it is begun anew. What was begun before, the storage's own rules delete.
    """

    def __init__(self, opened: Callable[[], Any], part_bytes: int) -> None:
        """Write by what `opened` returns, which puts up to `part_bytes` in one request."""
        self._opened = opened
        self._part_bytes = part_bytes
        self._beginning = bytearray()
        self._sink: Any = None

    def write(self, data: Any) -> None:
        """Append `data`."""
        if self._sink is not None:
            self._sink.write(data)
            return
        self._beginning += data
        if len(self._beginning) >= self._part_bytes:
            self._sink = retried(self._begun)
            self._beginning = bytearray()

    def close(self) -> None:
        """Make the object appear."""
        if self._sink is None:
            retried(lambda: self._begun().close())
        else:
            self._sink.close()

    def _begun(self) -> Any:
        sink = self._opened()
        sink.write(self._beginning)
        return sink


class HashedReader:
    """A file that is read from its beginning, with the SHA-256 and size of what was read."""

    def __init__(self, source: BinaryIO) -> None:
        """Read from `source`."""
        self._source = source
        self._sha256 = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int = READ_BYTES) -> bytes:
        """Return the next bytes, b"" at the end."""
        data = self._source.read(size)
        self._sha256.update(data)
        self.bytes += len(data)
        return data

    def entry(self) -> dict[str, Any]:
        """Read to the end; return size and checksum as a marker names them."""
        while self.read():
            continue
        return {"bytes": self.bytes, "sha256": self._sha256.hexdigest()}

    def wrong(self, entry: Mapping[str, Any]) -> str | None:
        """Read to the end; return what differs from a marker's entry, None if nothing does."""
        found = self.entry()
        if found["bytes"] != entry["bytes"]:
            return f"it has {found['bytes']:,} bytes, {entry['bytes']:,} were committed"
        if found["sha256"] != entry["sha256"]:
            return "its bytes are not those that were committed (SHA-256)"
        return None


class Seekable(io.RawIOBase):
    """obstore's reader as a Python raw file, for `io.BufferedReader`."""

    def __init__(self, source: Any, location: str) -> None:
        """Wrap obstore's reader `source` of `location`."""
        self._source = source
        self._location = location

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`; return the new position in bytes."""
        return int(self._source.seek(offset, whence))

    def tell(self) -> int:
        """Return the position in bytes."""
        return int(self._source.tell())

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; return how many bytes came."""
        with storage_errors(self._location):
            data = bytes(self._source.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)


def file_entry(file: Path) -> dict[str, Any]:
    """Return size and checksum of a file of this machine, as a marker names them."""
    with file.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256")
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


@contextmanager
def storage_errors(location: str) -> Iterator[None]:
    """Turn a failure of the storage, after obstore's own retries, into a clear stop."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise Stopped(f"storage failed at {location}: {_reason(error)}") from error


@contextmanager
def duckdb_errors(url: str) -> Iterator[None]:
    """Turn a failure of the storage while DuckDB reads an object store into a clear stop.

    Raises:
        Stopped: DuckDB's error holds one of obstore's, as a traceback.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        _, found, reason = str(error).partition("Error: Generic ")
        if not found:
            raise
        raise Stopped(f"storage failed at {url}: {_reason(reason)}") from error


def retried(action: Callable[[], Result]) -> Result:
    """Return what `action` does; it is tried again when a connection broke.

    obstore does so for what it knows to be harmless, and not for a conditional put, a delete or a
    list whose answer was cut off.
    """
    from obstore.exceptions import GenericError

    until, (wait_s, most_s) = time.monotonic() + RETRY_FOR_S, BACKOFF_S
    while True:
        try:
            return action()
        except GenericError as error:
            if "HTTP error" not in str(error) or time.monotonic() + wait_s > until:
                raise
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, most_s)


def _reason(error: Exception | str) -> str:
    """Return what went wrong in one line, or what to do where the credentials are at fault.

    Where there are none, the storage asks the cloud's own machine for some.
    """
    text = str(error)
    if METADATA_SERVICE in text:
        return (
            "no credentials were found; set those of the storage in the environment, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (docs/input.md)"
        )
    if code := next((code for code in REFUSED if code in text), None):
        return (
            f"it refuses the credentials ({code}); nothing committed is lost: set fresh ones, and "
            "the same command goes on from there"
        )
    return text.partition("\n")[0]
