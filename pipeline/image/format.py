"""What kind of file some bytes are, by the bytes themselves and never from a name or a header.

A file goes to the decoder of its kind and not to whichever claims it. Kinds that are no image to
pairsieve are named all the same: a ledger full of `html` says something else than one of `video`.

Source: the formats' signatures; ISO/IEC 14496-12 for the brands in `ftyp`; RFC 9649 for WebP.
"""

import re

MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the second header, bytes
AVIF_BRANDS = frozenset((b"avif", b"avis"))
HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
# What is no image here, by how it begins.
OTHERS = (
    (b"%PDF-", "pdf"),
    (b"\x1a\x45\xdf\xa3", "video"),  # Matroska and WebM
    (b"FLV\x01", "video"),
    (b"\x00\x00\x01\xba", "video"),  # MPEG program stream
    (b"\x00\x00\x01\xb3", "video"),  # MPEG video
    (b"OggS", "video or audio"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"8BPS", "psd"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"%!PS", "postscript"),
)
PROLOGUE = rb"\s*(?:<\?xml.*?>\s*|<!--.*?-->\s*)*"
MARKUP = re.compile(
    PROLOGUE + rb"<(?:!doctype\s+)?(svg|html|head|body)\b", re.DOTALL | re.IGNORECASE
)
LOOKED_AT = 1024  # bytes in which markup must say what it is


def kind_of(body: bytes) -> str | None:
    """Return the kind of image that `body` begins as; None when it is no known kind."""
    for magic, kind in MAGIC:
        if body.startswith(magic):
            return kind
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "webp"
    if body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in BMP_HEADERS:
        return "bmp"
    brands = _brands(body)
    return "avif" if brands & AVIF_BRANDS else "heif" if brands & HEIF_BRANDS else None


def other_kind_of(body: bytes) -> str | None:
    """Return what `body` is instead of an image, e.g. "html"; None when nobody knows."""
    for magic, kind in OTHERS:
        if body.startswith(magic):
            return kind
    if body[:4] == b"RIFF":
        return {b"AVI ": "video", b"WAVE": "audio"}.get(body[8:12])
    if _brands(body):
        return "video"
    head = body[:LOOKED_AT].removeprefix(b"\xef\xbb\xbf")
    markup = MARKUP.match(head)
    if not markup:
        return None
    return "svg" if markup[1].lower() == b"svg" else "html"


def _brands(body: bytes) -> set[bytes]:
    """Return the brands of an ISO base media file; none when it is not one."""
    if body[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(body[:4], "big"), 256)
    return {body[at : at + 4] for at in range(8, end, 4)}
