"""Objects of a store as files that DuckDB can read with several threads.

DuckDB moves a Python file to a place and then reads it, in two calls, while other threads of its
own (`threads`, and since 2.0 `async_threads`) do the same with the same file. A position for each
thread keeps them apart: with one for all, a read now and then gave nothing.
"""

import os
import threading
from typing import Any

from fsspec.spec import AbstractBufferedFile
from obstore import get_range
from obstore.fsspec import FsspecStore


class ObjectFile(AbstractBufferedFile):  # type: ignore[misc]
    """An object to read; every thread has its own position in it."""

    def __init__(self, files: "ObjectFiles", path: str, mode: str) -> None:
        super().__init__(files, path, mode, cache_type="none")
        bucket, self._key = files._split_path(path)
        self._store = files._construct_store(bucket)
        self._position = threading.local()

    def tell(self) -> int:
        """Return this thread's position."""
        return int(getattr(self._position, "value", 0))

    def seek(self, loc: int, whence: int = os.SEEK_SET) -> int:
        """Move this thread's position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size}[whence]
        self._position.value = base + loc
        return self.tell()

    def read(self, length: int = -1) -> bytes:
        """Return so many bytes from this thread's position on, or all; fewer at the end."""
        start = self.tell()
        end = self.size if length < 0 else min(start + length, self.size)
        if start >= end:
            return b""
        self._position.value = end
        return bytes(get_range(self._store, self._key, start=start, end=end))


class ObjectFiles(FsspecStore):
    """The objects of one kind of store, for `register_filesystem` of DuckDB."""

    cachable = False  # by fsspec, for the whole process, with the credentials of the first

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> ObjectFile:  # type: ignore[override]  # noqa: ANN401
        if mode != "rb":
            raise ValueError(f"objects are read here, not opened as {mode}")
        return ObjectFile(self, path, mode)
