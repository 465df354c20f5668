"""The bytes of the stored image: encoded anew, or the coded picture that came, without the rest.

With `reencode: needed` a file that already fits keeps its coded picture: no loss, no time. Only
what is needed to decode it is kept, so that EXIF, XMP, comments, thumbnails, profiles and whatever
follows the picture are gone, as they are when it is encoded anew. A file that has none of these is
copied byte for byte. A file whose parts are not all understood is encoded anew.

Source: ITU-T T.81 annex B (JPEG), RFC 2083 and PNG third edition (PNG), RFC 9649 (WebP).
"""

import io
import re
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pairsieve.schemas import recipe

KINDS = {"jpg": "jpeg", "webp": "webp", "png": "png"}  # by the recipe's name of the format
# A marker in coded JPEG data that is neither a stuffed zero nor a restart.
MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
JPEG_KEPT = frozenset((0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD))  # frames, tables, restart interval
ADOBE = 0xEE  # APP14: whether colours are YCbCr or RGB
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


def encoded(pixels: NDArray[np.uint8], options: recipe.Image) -> bytes:
    """Return the pixels in the recipe's format: JPEG 4:2:0, WebP lossy, or PNG."""
    if options.format == "jpg":
        import simplejpeg

        return bytes(simplejpeg.encode_jpeg(pixels, options.quality, "RGB", "420"))
    file = io.BytesIO()
    if options.format == "webp":
        Image.fromarray(pixels).save(file, "WEBP", quality=options.quality, method=4)
    else:
        Image.fromarray(pixels).save(file, "PNG", compress_level=6)
    return file.getvalue()


def bare(body: bytes, kind: str) -> bytes | None:
    """Return a file with its coded picture and nothing else; None where that is not certain.

    `body` is a file of `kind` that has been decoded to three channels.
    """
    parts = {"jpeg": _jpeg, "png": _png, "webp": _webp}[kind]
    try:
        return b"".join(parts(body))
    except (ValueError, LookupError, struct.error):
        return None


def _jpeg(body: bytes) -> Iterator[bytes]:
    """Yield the segments that a decoder needs, to the end of the image."""
    yield body[:2]
    at = 2
    while True:
        if body[at] != 0xFF:
            raise ValueError("no marker where one must be")
        code = body[at + 1]
        if code == END_OF_IMAGE:
            yield body[at : at + 2]
            return
        end = at + 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        segment = body[at:end]
        if code == START_OF_SCAN:
            end = _after_scan(body, end)
            yield body[at:end]
        elif code in JPEG_KEPT or _is_needed_by_decoders(code, segment):
            yield segment
        elif not (0xE0 <= code <= 0xEF or code == 0xFE):
            raise ValueError("a marker that is neither picture nor metadata")
        at = end


def _is_needed_by_decoders(code: int, segment: bytes) -> bool:
    """Return True for Adobe's marker and for a JFIF one without a thumbnail."""
    jfif = code == 0xE0 and segment[4:9] == b"JFIF\0" and segment[16:18] == b"\0\0"
    return (jfif and len(segment) == 18) or (code == ADOBE and segment[4:9] == b"Adobe")


def _after_scan(body: bytes, at: int) -> int:
    """Return where the coded data that begins at `at` ends."""
    marker = MARKER.search(body, at)
    if not marker:
        raise ValueError("no end of the image")
    return marker.end() - 2


def _png(body: bytes) -> Iterator[bytes]:
    """Yield the header and the chunks of an 8-bit colour PNG, to its end."""
    yield body[:8]
    at, name = 8, b""
    if body[24:26] != b"\x08\x02":  # bits, colour type
        raise ValueError("not three channels of 8 bits")
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", body, at)
        end = at + 12 + length
        if end > len(body) or (name[:1].isupper() and name not in (b"IHDR", b"IDAT", b"IEND")):
            raise ValueError("a chunk that is cut short or not understood")
        if name in (b"IHDR", b"IDAT", b"IEND"):
            yield body[at:end]
        at = end


def _webp(body: bytes) -> Iterator[bytes]:
    """Yield the one chunk of a still WebP without alpha, in a RIFF of its own."""
    end = min(len(body), 8 + int.from_bytes(body[4:8], "little"))
    at = 12
    while at < end:
        name, length = struct.unpack_from("<4sI", body, at)
        chunk = body[at : at + 8 + length]
        if len(chunk) != 8 + length or name in (b"ALPH", b"ANIM", b"ANMF"):
            raise ValueError("cut short, transparent or animated")
        if name in (b"VP8 ", b"VP8L"):
            chunk += b"\0" * (length % 2)
            yield b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
            return
        at += 8 + length + length % 2
    raise ValueError("no picture")
