"""Small files that claim much, and files that claim little and hold much."""

import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import cache

import pytest
from PIL import Image

from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

Saved = Callable[..., bytes]
Refused = Callable[..., tuple[Outcome, str | None]]

LOSSLESS = recipe.Image(format="png")
MEGABYTE = 1_000_000


def chunk(name: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + crc


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


@cache
def much() -> bytes:
    """Return the compressed bytes of much of nothing."""
    return zlib.compress(bytes(200 * MEGABYTE))


def png_of_much_data(saved: Saved) -> bytes:
    return png(4, 4, chunk(b"IDAT", much()))


def png_of_much_text(saved: Saved) -> bytes:
    text = chunk(b"zTXt", b"a\0\0" + much())
    rows = chunk(b"IDAT", zlib.compress((b"\0" + bytes(12)) * 4))
    return png(4, 4, *[text] * 20, rows)


def png_of_a_large_profile(saved: Saved) -> bytes:
    profile = chunk(b"iCCP", b"a\0\0" + much())
    rows = chunk(b"IDAT", zlib.compress((b"\0" + bytes(12)) * 4))
    return png(4, 4, profile, rows)


def gif_of_a_frame_larger_than_its_screen(saved: Saved) -> bytes:
    body = bytearray(saved(Image.new("P", (64, 48)), "GIF"))
    frame = body.index(b"\x2c\0\0\0\0")
    body[frame + 5 : frame + 9] = struct.pack("<HH", 60_000, 60_000)
    return bytes(body)


def webp_of_a_frame_larger_than_its_canvas(saved: Saved) -> bytes:
    body = saved(Image.new("RGBA", (400, 300)), "WEBP", lossless=True, exif=b"Exif\0\0MM")
    assert body[12:16] == b"VP8X"
    return body[:24] + (3).to_bytes(3, "little") * 2 + body[30:]


def tiff_of_a_tile_larger_than_itself(saved: Saved) -> bytes:
    entries = [
        (256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
        (277, 3, 1, 1), (322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 200), (325, 4, 1, 9),
    ]  # fmt: skip
    body = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack("<HHII", tag, kind, count, value)
    return (body + bytes(4)).ljust(200, b"\0") + zlib.compress(b"x")


def tiff_of_a_strip_longer_than_the_file(saved: Saved) -> bytes:
    body = bytearray(saved(Image.new("RGB", (64, 48)), "TIFF", compression="tiff_deflate"))
    for tag in (278, 279):  # rows per strip, bytes per strip
        for kind in (3, 4):
            at = body.find(struct.pack("<HHI", tag, kind, 1))
            if at >= 0:
                body[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 0xFFFF_FFF0)
    return bytes(body)


def jpeg_of_two_frames(saved: Saved) -> bytes:
    body = saved(Image.new("RGB", (64, 48)), "JPEG", progressive=True)
    frame = body.index(b"\xff\xc2")
    length = int.from_bytes(body[frame + 2 : frame + 4], "big") + 2
    other = bytearray(body[frame : frame + length])
    other[5:9] = struct.pack(">HH", 65_000, 65_000)
    return body[: frame + length] + other + body[frame + length :]


def bmp_of_a_negative_height(saved: Saved) -> bytes:
    body = bytearray(saved(Image.new("RGB", (64, 48)), "BMP"))
    body[22:26] = struct.pack("<i", -(2**31))
    return bytes(body)


BOMBS = (
    png_of_much_data,
    png_of_much_text,
    png_of_a_large_profile,
    gif_of_a_frame_larger_than_its_screen,
    webp_of_a_frame_larger_than_its_canvas,
    tiff_of_a_tile_larger_than_itself,
    tiff_of_a_strip_longer_than_the_file,
    jpeg_of_two_frames,
    bmp_of_a_negative_height,
)
PROGRAM = """
import resource, sys
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
import pairsieve.pipeline.image.area_resize, cv2
body = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF)
got = picture(body, recipe.Image(format="png"))
after = resource.getrusage(resource.RUSAGE_SELF)
print("picture" if isinstance(got, Picture) else got.outcome)
print(after.ru_maxrss - before.ru_maxrss)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_holds_more_than_it_says_takes_no_more_memory(
    saved: Saved, bomb: Callable[[Saved], bytes]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=bomb(saved), capture_output=True, timeout=60
    )
    outcome, grown = done.stdout.decode().split()
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
    assert outcome in ("picture", Outcome.BAD_IMAGE, Outcome.TOO_MANY_PIXELS)
    assert int(grown) * unit < 100 * MEGABYTE


def test_a_png_that_holds_more_than_it_says_is_the_picture_it_says(saved: Saved) -> None:
    got = picture(png_of_much_data(saved), LOSSLESS)
    assert isinstance(got, Picture)
    assert (got.width, got.height) == (4, 4)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "tiff", "webp"])
def test_a_header_that_declares_too_much_is_not_decoded(
    refused: Refused, bombs: dict[str, bytes], kind: str
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(bombs[kind])[0] is Outcome.TOO_MANY_PIXELS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_jpeg_with_a_larger_frame_hidden_before_its_own_is_a_bad_image(
    four_corners: Image.Image, saved: Saved, refused: Refused
) -> None:
    body = saved(four_corners, "JPEG")
    frame = body.index(b"\xff\xc0")
    length = int.from_bytes(body[frame + 2 : frame + 4], "big") + 2
    other = bytearray(body[frame : frame + length])
    other[5:9] = struct.pack(">HH", 60_000, 60_000)
    assert refused(body[:frame] + other + body[frame:])[0] is Outcome.BAD_IMAGE


@pytest.fixture(scope="module")
def bombs(four_corners: Image.Image, saved: Saved) -> dict[str, bytes]:
    """Return small files whose headers declare about 900 million pixels."""
    side = struct.pack("<H", 30_000)
    jpeg = bytearray(saved(four_corners, "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 30_000, 30_000)
    png = bytearray(saved(four_corners, "PNG"))
    png[16:24] = struct.pack(">II", 30_000, 30_000)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    gif = bytearray(saved(four_corners, "GIF"))
    gif[6:10] = side * 2
    bmp = bytearray(saved(four_corners, "BMP"))
    bmp[18:26] = struct.pack("<ii", 30_000, 30_000)
    tiff = bytearray(saved(four_corners, "TIFF"))
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HHI", tag, 4, 1))
        tiff[at + 8 : at + 12] = struct.pack("<I", 30_000)
    canvas = (29_999).to_bytes(3, "little") * 2
    webp = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    return {
        "jpeg": bytes(jpeg),
        "png": bytes(png),
        "gif": bytes(gif),
        "bmp": bytes(bmp),
        "tiff": bytes(tiff),
        "webp": b"RIFF" + struct.pack("<I", len(webp)) + webp,
    }
