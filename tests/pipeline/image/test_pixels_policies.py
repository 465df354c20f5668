"""The rows of the table in docs/pixels.md that test_pixels.py does not show."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pairsieve.pipeline.image.decode import MOST_SCANNED
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

Saved = Callable[..., bytes]
Decoded = Callable[..., tuple[Picture, NDArray[np.uint8]]]
Refused = Callable[..., tuple[Outcome, str | None]]

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 40), (20, 40, 210)
LOSSLESS = recipe.Image(format="png")


def png(
    width: int,
    height: int,
    bits: int,
    colour: int,
    interlaced: int,
    rows: bytes,
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """Return a PNG of filtered rows after `more` chunks; colour 0 is grey, 2 is RGB."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    body = b"\x89PNG\r\n\x1a\n"
    chunks = ((b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    for name, data in chunks:
        crc = struct.pack(">I", zlib.crc32(name + data))
        body += struct.pack(">I", len(data)) + name + data + crc
    return body


@pytest.mark.parametrize(
    ("bits", "row", "levels"),
    [
        (1, b"\x40", [0, 255, 0, 0]),
        (2, b"\x1b", [0, 85, 170, 255]),
        (4, b"\x0f\x5a", [0, 255, 85, 170]),
        (8, b"\x00\x01\x80\xff", [0, 1, 128, 255]),
        (16, b"\x00\xff\x01\x00\x80\x00\xff\xff", [0, 1, 128, 255]),
    ],
)
def test_grey_of_any_depth_is_scaled_to_eight_bits(
    decoded: Decoded, bits: int, row: bytes, levels: list[int]
) -> None:
    _, pixels = decoded(png(4, 1, bits, 0, 0, b"\0" + row))
    assert pixels[0].tolist() == [[level] * 3 for level in levels]


def test_an_interlaced_png_is_put_in_order(decoded: Decoded) -> None:
    # Adam7 of 2 x 2 px: pass 1 has (0, 0), pass 6 (1, 0), pass 7 the second row.
    rows = b"\0" + bytes(RED) + b"\0" + bytes(GREEN) + b"\0" + bytes(BLUE) + bytes(RED)
    _, pixels = decoded(png(2, 2, 8, 2, 1, rows))
    assert pixels.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(RED)]]


@pytest.mark.parametrize(
    "chunk",
    [
        (b"gAMA", struct.pack(">I", 100_000)),  # linear light
        (b"cHRM", struct.pack(">8I", *(30_000, 30_000) * 4)),
        (b"cICP", bytes((9, 16, 0, 1))),  # BT.2020 primaries, PQ
    ],
    ids=["gAMA", "cHRM", "cICP"],
)
def test_what_a_png_says_of_its_colours_without_a_profile_is_ignored(
    decoded: Decoded, chunk: tuple[bytes, bytes]
) -> None:
    _, pixels = decoded(png(2, 1, 8, 2, 0, bytes((0, *RED, *BLUE)), (chunk,)))
    assert pixels.tolist() == [[list(RED), list(BLUE)]]


def test_sixteen_bit_grey_tiff_is_scaled(saved: Saved, decoded: Decoded) -> None:
    levels = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    _, pixels = decoded(saved(Image.fromarray(levels), "TIFF"))
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    "compression", ["tiff_deflate", "packbits", "tiff_lzw", "group4", "zstd", "lzma"]
)
def test_a_tiff_of_any_compression_is_read(
    saved: Saved, decoded: Decoded, compression: str
) -> None:
    black = Image.new("1" if compression == "group4" else "RGB", (32, 16))
    _, pixels = decoded(saved(black, "TIFF", compression=compression))
    assert not pixels.any()


def without_adobe(body: bytes) -> bytes:
    at = body.index(b"\xff\xee")
    return body[:at] + body[at + 2 + int.from_bytes(body[at + 2 : at + 4], "big") :]


@pytest.mark.parametrize("ink", [(255, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 0)])
def test_cmyk_jpeg_without_adobes_marker_is_read_as_inverted_too(
    saved: Saved, decoded: Decoded, ink: tuple[int, int, int, int]
) -> None:
    body = saved(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
    assert simplejpeg.decode_jpeg_header(without_adobe(body))[2] == "CMYK"
    _, pixels = decoded(without_adobe(body))
    expected = [255 - level for level in ink[:3]]
    assert np.abs(pixels[8, 8].astype(int) - expected).max() <= 3


def ink_profile() -> bytes:
    """Return a CMYK profile in which only black prints: lightness falls evenly with K."""
    identity = struct.pack(">9i", *(65_536 if index % 4 == 0 else 0 for index in range(9)))
    grid = b"".join(bytes((0 if index & 1 else 255, 128, 128)) for index in range(16))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity
    table += bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63_190, 65_536, 54_061)  # D50
    head = struct.pack(
        ">I4sI4s4s4s12x4s", 0, b"none", 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp"
    )
    head += bytes(28) + struct.pack(">iii", 63_190, 65_536, 54_061)
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(table), b"wtpt", 156 + len(table), 20)
    body = head.ljust(128, b"\0") + tags + table + white
    return struct.pack(">I", len(body)) + body[4:]


def test_cmyk_goes_through_its_profile(saved: Saved, decoded: Decoded) -> None:
    for ink, level in (((255, 0, 0, 0), 255), ((0, 0, 0, 255), 0), ((0, 0, 0, 128), 118)):
        body = saved(Image.new("CMYK", (16, 16), ink), "JPEG", icc_profile=ink_profile())
        _, pixels = decoded(body)  # L* 49.8 is 118 in sRGB
        assert np.abs(pixels[8, 8].astype(int) - level).max() <= 2


def test_cmyk_with_a_broken_profile_counts_as_without(saved: Saved, decoded: Decoded) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"broken"):
        _, pixels = decoded(saved(image, "JPEG", icc_profile=profile))
        assert pixels.tolist() == decoded(saved(image, "JPEG"))[1].tolist()


def test_of_several_pictures_in_a_jpeg_the_first_counts(saved: Saved, decoded: Decoded) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, GREEN)]
    body = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    got, pixels = decoded(body)
    assert got.kind == "jpeg"
    assert np.abs(pixels[5, 5].astype(int) - RED).max() <= 3


def test_of_several_pages_and_frames_the_first_counts(saved: Saved, decoded: Decoded) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, GREEN)]
    for kind in ("TIFF", "AVIF"):
        body = saved(frames[0], kind, save_all=True, append_images=frames[1:], quality=95)
        assert np.abs(decoded(body)[1][5, 5].astype(int) - RED).max() <= 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_the_colour_the_recipe_says(
    saved: Saved, decoded: Decoded, mode: str
) -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0)).convert(mode)
    body = saved(image, "PNG", **({"transparency": 0} if mode == "P" else {}))
    _, pixels = decoded(body, recipe.Image(format="png", background="#0a141e"))
    assert np.unique(pixels.reshape(-1, 3), axis=0).tolist() == [[10, 20, 30]]


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("BMP", {})]
)
def test_what_there_is_of_a_truncated_file_is_kept_if_the_recipe_says(
    saved: Saved, refused: Refused, decoded: Decoded, kind: str, options: dict[str, Any]
) -> None:
    noise = Image.effect_noise((80, 60), 90).convert("RGB")
    body = saved(noise, kind, **options)
    cut = body[: len(body) * 7 // 10]
    kept = recipe.Image(format="png", truncated="keep_if_decodes")
    assert refused(cut)[0] is Outcome.BAD_IMAGE
    whole, half = decoded(body, kept)[1], decoded(cut, kept)[1]
    assert half.shape == whole.shape
    if not options:
        rows = slice(0, 20) if kind != "BMP" else slice(40, 60)  # a BMP begins at the bottom
        assert half[rows].tolist() == whole[rows].tolist()
    assert decoded(body)[0].stored == decoded(body, kept)[0].stored


def test_a_file_without_a_picture_is_bad_even_if_truncated_ones_are_kept(
    four_corners: Image.Image, saved: Saved, refused: Refused
) -> None:
    kept = recipe.Image(format="png", truncated="keep_if_decodes")
    for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        assert refused(saved(four_corners, kind)[:30], kept)[0] is Outcome.BAD_IMAGE


@pytest.mark.parametrize(
    ("option", "limit", "outcome"),
    [
        ("min_source_side", 48, Outcome.SIDE_TOO_SHORT),
        ("max_source_side", 64, Outcome.SIDE_TOO_LONG),
    ],
)
def test_a_side_at_the_limit_is_decoded_and_one_beyond_it_is_not(
    four_corners: Image.Image,
    saved: Saved,
    refused: Refused,
    option: str,
    limit: int,
    outcome: Outcome,
) -> None:
    body = saved(four_corners, "PNG")
    assert isinstance(picture(body, recipe.Image.model_validate({option: limit})), Picture)
    beyond = limit + (1 if option.startswith("min") else -1)
    refusal = refused(body, recipe.Image.model_validate({option: beyond}))
    assert refusal == (outcome, "png: 64 x 48 px")


def test_a_jpeg_of_too_many_scans_is_not_decoded(saved: Saved, refused: Refused) -> None:
    body = saved(Image.new("RGB", (2000, 2000), RED), "JPEG", progressive=True)
    last = body.rindex(b"\xff\xda")
    scans = MOST_SCANNED // (2000 * 2000) + 1
    many = body[:last] + body[last:-2] * scans + body[-2:]
    assert isinstance(picture(body, recipe.Image(max_side=16)), Picture)
    outcome, detail = refused(many)
    assert outcome is Outcome.BAD_IMAGE
    assert "scans of 2000 x 2000 px" in (detail or "")


def test_bytes_of_one_picture_do_not_depend_on_the_one_before(saved: Saved) -> None:
    bodies = [
        saved(Image.effect_noise((300, 200), 50 + index).convert("RGB"), "JPEG", progressive=index)
        for index in range(2)
    ]
    bodies.append(bodies[0][: len(bodies[0]) // 2])
    forward = [picture(body, LOSSLESS) for body in bodies]
    backward = [picture(body, LOSSLESS) for body in reversed(bodies)][::-1]
    for one, other in zip(forward[:2], backward[:2], strict=True):
        assert isinstance(one, Picture)
        assert isinstance(other, Picture)
        assert one.stored == other.stored
        assert io.BytesIO(one.stored).getbuffer().nbytes > 100
