"""A compressed file that is read forwards only, in pieces of one size.

So a tar in it is walked, and its images are read, without the whole being unpacked anywhere; and
damage is met at the same byte whoever reads. What unpacks to many times its size is refused.
"""

import os

from pairsieve.pipeline.input.files import open_compressed, open_file

CHUNK = 1 << 20  # bytes unpacked at once
KEPT = 1024  # bytes behind that can be gone back to: a tar's reader goes back by a block
MAX_READ = 64 << 20  # bytes of one read: a header says how much is to be read
MAX_RATIO = 200  # unpacked bytes per byte of the file; images hardly shrink
FREE_BYTES = 64 << 20  # unpacked before the ratio counts


class ForwardStream:
    """The unpacked bytes of a file, as a tar's reader and those of ranges ask for them.

    Reading raises OSError where the file is damaged, or unpacks to too much.
    """

    def __init__(self, location: str) -> None:
        """Open the file at `location`, compressed as its name says."""
        with open_file(location) as raw:
            self._most = max(FREE_BYTES, MAX_RATIO * raw.seek(0, os.SEEK_END))
        self._stream = open_compressed(location)
        self._buffer = b""
        self._start = self._position = 0  # of the buffer, of what is read next

    def __enter__(self) -> "ForwardStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, position: int) -> int:
        """Go forwards to `position`, or back by a little; past the end, to the end."""
        if position < self._start:
            raise OSError(f"byte {position} is behind what can be gone back to")
        while position > self._end and self._fill():
            continue
        self._position = min(position, self._end)
        return self._position

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        if size > MAX_READ:
            raise OSError(f"{size:,} bytes are to be read at once, more than {MAX_READ:,}")
        return self.take(size)

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, however many, fewer at the end."""
        parts = []
        while size > 0 and (self._position < self._end or self._fill()):
            at = self._position - self._start
            part = self._buffer[at : at + size]
            parts.append(part)
            self._position += len(part)
            size -= len(part)
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end, where checksums are."""
        while self._fill():
            continue

    @property
    def _end(self) -> int:
        return self._start + len(self._buffer)

    def _fill(self) -> bool:
        """Unpack one more chunk behind the last bytes; return False at the end."""
        chunk = self._stream.read(CHUNK)
        kept = self._buffer[-KEPT:]
        self._start = self._end - len(kept)
        self._buffer = kept + chunk
        if self._end > self._most:
            raise OSError(f"unpacks to more than {self._most:,} bytes, {MAX_RATIO} times its size")
        return bool(chunk)
