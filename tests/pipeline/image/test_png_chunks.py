import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from pairsieve.pipeline.image import decode
from pairsieve.pipeline.image.png_chunks import MAX_METADATA, without_metadata
from pairsieve.schemas import recipe

HEAD = 33  # bytes of signature and IHDR
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'


def chunk(name: bytes, data: bytes, spoil: int = 0) -> bytes:
    checksum = zlib.crc32(name + data) ^ spoil
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def png(*chunks: bytes) -> bytes:
    """Return a picture with these chunks behind its header."""
    sink = BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((60, 40)).save(sink, "PNG")
    return sink.getvalue()[:HEAD] + b"".join(chunks) + sink.getvalue()[HEAD:]


def decoded(body: bytes) -> decode.Decoded | decode.Rejected:
    return decode.decode(body, "png", recipe.Image(min_source_side=1))


PACKED = zlib.compress(bytes(3_000_000))
PASSED_OVER = {
    "zTXt of 3 MB": [chunk(b"zTXt", b"Comment\0\0" + PACKED)],
    "iTXt of 3 MB": [chunk(b"iTXt", b"XML\0\1\0\0\0" + PACKED)],
    "texts of 210 MB together": [chunk(b"zTXt", b"k%d\0\0" % n + PACKED) for n in range(70)],
    "profile of 3 MB that is none": [chunk(b"iCCP", b"p\0\0" + PACKED)],
    "profile that inflates without end": [
        chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(MAX_METADATA + 1)))
    ],
    "profile by another method": [chunk(b"iCCP", b"p\0\1" + zlib.compress(SRGB))],
    "no profile at all": [chunk(b"iCCP", b"")],
    "EXIF by another method": [chunk(b"zTXt", b"Raw profile type exif\0\1" + PACKED)],
    "no gamma": [chunk(b"gAMA", b"")],
    "no intent": [chunk(b"sRGB", b"")],
    "a byte of resolution": [chunk(b"pHYs", b"\0")],
    "five XMP of 15 MB": [
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(15 << 20)))
    ]
    * 5,
    "profile that is not compressed": [chunk(b"iCCP", b"p\0\0" + SRGB)],
    "XMP that inflates without end": [
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(MAX_METADATA + 1)))
    ],
    **{
        f"{name.decode()} with a wrong checksum": [chunk(name, data, 1)]
        for name, data in [
            (b"tEXt", b"k\0v"),
            (b"pHYs", b"\0\0\x0b\x13\0\0\x0b\x13\1"),
            (b"iCCP", b"p\0\0" + zlib.compress(SRGB)),
            (b"gAMA", b"\0\0\xb1\x8f"),
            (b"eXIf", b"II*\0"),
            (b"tIME", b"\x07\xea\1\1\1\1\1"),
            (b"prIv", b"somebody's own"),
        ]
    },
}


@pytest.mark.parametrize("name", PASSED_OVER)
def test_metadata_that_pillow_refuses_costs_no_picture(name: str) -> None:
    found, plain = decoded(png(*PASSED_OVER[name])), decoded(png())
    assert isinstance(found, decode.Decoded), found
    assert isinstance(plain, decode.Decoded)
    assert np.array_equal(found.pixels, plain.pixels)
    assert found.plain


def test_a_file_without_it_is_not_copied() -> None:
    body = png(chunk(b"iCCP", b"p\0\0" + zlib.compress(SRGB)), chunk(b"gAMA", b"\0\0\xb1\x8f"))
    assert without_metadata(body) is body
    assert without_metadata(body[:50]) == body[:50]


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    ],
)
def test_the_orientation_is_read_wherever_it_stands(text: bytes) -> None:
    found = decoded(png(text, chunk(b"tEXt", b"Comment\0scanned")))
    assert isinstance(found, decode.Decoded)
    assert found.orientation == 6


@pytest.mark.parametrize("name", [b"IHDR", b"tRNS"])
def test_a_wrong_checksum_where_pixels_come_from_is_a_bad_image(name: bytes) -> None:
    body = png(chunk(b"tRNS", bytes(6)))
    start = body.index(name) - 4
    end = start + 12 + int.from_bytes(body[start : start + 4], "big")
    spoiled = body[: end - 1] + bytes([body[end - 1] ^ 1]) + body[end:]
    found = decoded(spoiled)
    assert isinstance(found, decode.Rejected)
    assert found.outcome == "bad_image"
