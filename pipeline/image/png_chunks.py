"""PNG files without what Pillow would refuse them for and no pixel depends on.

Pillow refuses a file whose texts or profile are large, and one with a wrong checksum in any chunk.
libpng, and so every browser, passes over them. What remains is what tells pixels, colours and the
orientation, which may also stand in texts of the names below.

Source: PNG (Third Edition), W3C Recommendation 2025, 5.3 (chunk layout), 11.3.1 to 11.3.3.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_METADATA = 16 << 20  # bytes of one profile or text, decompressed
MAX_TEXTS = 3  # kept; Pillow takes 64 MiB of them together
LENGTHS = {b"gAMA": 4, b"sRGB": 1, b"pHYs": 9, b"cHRM": 32}  # bytes, of what Pillow reads as well
TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
ORIENTING = frozenset((b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1"))
# Ancillary by name, yet without them there are other pixels: transparency, animation.
NEEDED = frozenset((b"tRNS", b"acTL", b"fcTL", b"fdAT"))


class Chunk(NamedTuple):
    """A chunk of the file: its type, where it begins and ends, and its data."""

    type: bytes
    start: int
    end: int
    data: memoryview


def without_metadata(body: bytes) -> bytes:
    """Return the file without those chunks; the same object where there is none of them."""
    kept, position, texts = [], 0, 0
    for chunk in _chunks(body):
        needed = _needed(chunk, body)
        texts += needed and chunk.type in TEXTS
        if not needed or (chunk.type in TEXTS and texts > MAX_TEXTS):
            kept.append(body[position : chunk.start])
            position = chunk.end
    return b"".join((*kept, body[position:])) if kept else body


def _chunks(body: bytes) -> Iterator[Chunk]:
    """Yield the chunks that are whole, up to the end that the file declares."""
    view, start = memoryview(body), len(SIGNATURE)
    while start + 12 <= len(body):
        length = int.from_bytes(view[start : start + 4], "big")
        end = start + 12 + length
        type = bytes(view[start + 4 : start + 8])
        if end > len(body) or type == b"IEND":
            return
        yield Chunk(type, start, end, view[start + 8 : end - 4])
        start = end


def _needed(chunk: Chunk, body: bytes) -> bool:
    """Return whether the chunk must stay: pixels depend on it, or it is whole and may be of use."""
    if chunk.type[0] & 0x20 == 0 or chunk.type in NEEDED:  # critical, by the first letter's case
        return True
    if chunk.type in TEXTS and bytes(chunk.data[:80]).partition(b"\0")[0] not in ORIENTING:
        return False
    checksum = zlib.crc32(memoryview(body)[chunk.start + 4 : chunk.end - 4])
    whole = checksum == int.from_bytes(body[chunk.end - 4 : chunk.end], "big")
    return whole and _fits(chunk)


def _fits(chunk: Chunk) -> bool:
    """Return whether the chunk is as it should be, within `MAX_METADATA` when decompressed."""
    if chunk.type in LENGTHS:
        return len(chunk.data) == LENGTHS[chunk.type]
    rest = bytes(chunk.data).partition(b"\0")[2]
    if chunk.type in (b"iCCP", b"zTXt") and rest[:1] != b"\0":  # there is one method, 0
        return False
    if chunk.type == b"iTXt":
        packed = rest[2:].partition(b"\0")[2].partition(b"\0")[2] if rest[:1] == b"\1" else b""
    else:
        packed = rest[1:] if chunk.type in (b"iCCP", b"zTXt") else b""
    try:
        reader = zlib.decompressobj()
        reader.decompress(packed, MAX_METADATA)
    except zlib.error:
        return False
    return not reader.unconsumed_tail
