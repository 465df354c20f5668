"""Content-Encoding undone, within a limit: gzip, deflate, br and zstd.

A token that names no coding, such as `utf-8` or `aws-chunked`, says nothing of the body: browsers
read it as it is, and so does this. What follows a whole gzip stream is passed over, as they do.

Source: RFC 9110, 8.4.1; RFC 7932 (br); RFC 8878 (zstd).
"""

import zlib
from collections.abc import Callable, Sequence

MAX_CODINGS = 5  # one upon the other; libcurl's limit
MAX_MEMBERS = 1000  # of a gzip file; those of block compression hold 64 KB each
SLICE_BYTES = 65_536
CODED = frozenset(("gzip", "x-gzip", "deflate", "br", "zstd"))
_GZIP = b"\x1f\x8b"


class Undecodable(Exception):
    """A body that is not what its Content-Encoding says."""


class TooLong(Exception):
    """A body that is longer than the limit when decoded; `beginning` is what is within it."""

    def __init__(self, limit: int, beginning: bytes) -> None:
        super().__init__(f"more than {limit} bytes")
        self.beginning = beginning


def codings(values: Sequence[str]) -> tuple[str, ...]:
    """Return what is to be undone, in the order it was applied; nothing if a token is unknown.

    Args:
        values: Of each line of the header.
    """
    tokens = [token.strip().lower() for token in ",".join(values).split(",")]
    named = tuple(token for token in tokens if token not in ("", "identity"))
    return named if set(named) <= CODED else ()


def decoded(body: bytes, applied: Sequence[str], limit: int) -> bytes:
    """Return the body with its codings undone.

    Args:
        body: As received.
        applied: From `codings`.
        limit: The most bytes that it, or a step towards it, may have.

    Raises:
        Undecodable: it is not so encoded, or ends early, or there are too many codings.
        TooLong: it has more bytes.
    """
    if len(applied) > MAX_CODINGS:
        raise Undecodable(f"{len(applied)} content codings")
    for coding in reversed(applied) if body else ():
        try:
            body = _DECODERS[coding](body, limit)
        except (zlib.error, OSError) as error:
            raise Undecodable(f"not {coding}: {error}") from error
        if len(body) > limit:
            raise TooLong(limit, body[:limit])
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    """Return the members one after the other, (limit + 1) bytes at most.

    It is read in slices, because what follows a member is copied; so many empty members cost no
    more than their bytes.
    """
    parts: list[bytes] = []
    total = start = members = 0
    while not members or body.startswith(_GZIP, start):
        members += 1
        if members > MAX_MEMBERS:
            raise zlib.error(f"more than {MAX_MEMBERS} members")
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while not stream.eof and start < len(body) and total <= limit:
            piece = body[start : start + SLICE_BYTES]
            parts.append(stream.decompress(piece, limit + 1 - total))
            total += len(parts[-1])
            start += len(piece) - len(stream.unused_data)
        if total > limit:
            break
        if not stream.eof:
            raise zlib.error("it ends early")
    return b"".join(parts)


def _deflate(body: bytes, limit: int) -> bytes:
    """Return a zlib stream, or the bare one that some servers send, as browsers read both."""
    try:
        return _inflated(body, limit, zlib.MAX_WBITS)
    except zlib.error:
        return _inflated(body, limit, -zlib.MAX_WBITS)


def _inflated(body: bytes, limit: int, window: int) -> bytes:
    """Return at most limit + 1 bytes of the stream."""
    stream = zlib.decompressobj(window)
    part = stream.decompress(body, limit + 1)
    if not stream.eof and len(part) <= limit:
        raise zlib.error("it ends early")
    return part


def _arrow(name: str) -> Callable[[bytes, int], bytes]:
    def read(body: bytes, limit: int) -> bytes:
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(body), name) as stream:
            return bytes(stream.read(limit + 1))

    return read


_DECODERS = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _arrow("brotli"),
    "zstd": _arrow("zstd"),
}
