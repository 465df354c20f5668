import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pairsieve.pipeline.image.encode import bare
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe

Saved = Callable[..., bytes]

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def needed(form: str, **options: Any) -> recipe.Image:
    return recipe.Image.model_validate({"format": form, "reencode": "needed"} | options)


def stored(body: bytes, options: recipe.Image) -> bytes:
    got = picture(body, options)
    assert isinstance(got, Picture), got
    return got.stored


def pixels(body: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("RGB"))


def without_jfif(body: bytes) -> bytes:
    assert body[2:4] == b"\xff\xe0"
    return body[:2] + body[20:]


@pytest.fixture(scope="module")
def exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    return exif


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("jpg", {}),
        ("jpg", {"progressive": True}),
        ("jpg", {"subsampling": 0, "restart_marker_blocks": 2}),
        ("jpg", {"keep_rgb": True}),
        ("png", {}),
        ("webp", {}),
        ("webp", {"lossless": True}),
    ],
)
def test_a_file_that_fits_is_copied_byte_for_byte(
    four_corners: Image.Image, saved: Saved, form: str, options: dict[str, Any]
) -> None:
    body = saved(four_corners, FORMATS[form], **options)
    assert stored(body, needed(form)) == body
    always = recipe.Image.model_validate({"format": form, "quality": 40})
    assert stored(body, always) != body or form == "png"


@pytest.mark.parametrize("form", FORMATS)
def test_metadata_and_what_follows_are_cut_out_and_the_coded_picture_is_kept(
    four_corners: Image.Image, saved: Saved, exif: Image.Exif, form: str
) -> None:
    plain = saved(four_corners, FORMATS[form])
    full = saved(four_corners, FORMATS[form], exif=exif, icc_profile=SRGB, xmp=b"<x/>", comment="c")
    assert b"secret" in full
    assert stored(full + b"<html>secret</html>", needed(form)) == plain


def test_a_jfif_thumbnail_goes(four_corners: Image.Image, saved: Saved) -> None:
    body = saved(four_corners, "JPEG")
    thumbnail = struct.pack(">H", 16 + 3) + body[6:18] + b"\1\1secret"[:5]
    assert stored(body[:4] + thumbnail + body[20:], needed("jpg")) == without_jfif(body)


def other_size(saved: Saved, form: str) -> bytes:
    return saved(Image.new("RGB", (600, 700)), FORMATS[form])


def lying(saved: Saved, form: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return saved(Image.new("RGB", (64, 48)), FORMATS[form], exif=exif)


def grey(saved: Saved, form: str) -> bytes:
    return saved(Image.new("L" if form != "webp" else "RGBA", (64, 48)), FORMATS[form])


def other_format(saved: Saved, form: str) -> bytes:
    return saved(Image.new("RGB", (64, 48)), FORMATS[{"jpg": "png"}.get(form, "jpg")])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("make", [other_size, lying, grey, other_format])
def test_a_file_that_does_not_fit_is_encoded(
    saved: Saved, form: str, make: Callable[[Saved, str], bytes]
) -> None:
    body = make(saved, form)
    always = recipe.Image.model_validate({"format": form})
    assert stored(body, needed(form)) == stored(body, always)


@pytest.mark.parametrize("form", FORMATS)
def test_another_profile_is_converted_and_encoded(
    saved: Saved, linear_profile: bytes, form: str
) -> None:
    grey = Image.new("RGB", (16, 16), (128, 128, 128))
    body = saved(grey, FORMATS[form], icc_profile=linear_profile, lossless=True)
    assert np.abs(pixels(stored(body, needed(form))).astype(int) - 188).max() <= 1


@pytest.mark.parametrize("options", [{"transparency": (1, 2, 3)}, {"save_all": True}])
def test_a_transparent_or_animated_png_is_encoded(
    four_corners: Image.Image, saved: Saved, options: dict[str, Any]
) -> None:
    frames = {"append_images": [four_corners.rotate(180)]} if "save_all" in options else {}
    body = saved(four_corners, "PNG", **options, **frames)
    plain = saved(four_corners, "PNG", compress_level=6)
    assert pixels(stored(body, needed("png"))).tolist() == pixels(plain).tolist()
    assert b"tRNS" not in stored(body, needed("png"))
    assert b"acTL" not in stored(body, needed("png"))


def test_a_png_of_sixteen_bits_is_encoded_in_eight() -> None:
    rows = struct.pack(">B6H", 0, 257, 32_896, 65_535, 0, 65_535, 257)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    body = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        body += struct.pack(">I", len(data)) + name + data
        body += struct.pack(">I", zlib.crc32(name + data))
    assert stored(body, needed("png"))[24] == 8


def test_a_jpeg_that_ends_too_early_is_encoded(saved: Saved) -> None:
    noise = Image.effect_noise((80, 60), 90).convert("RGB")
    body = saved(noise, "JPEG")
    cut = body[: len(body) // 2]
    got = stored(cut, needed("jpg", truncated="keep_if_decodes"))
    assert got.endswith(b"\xff\xd9")
    assert not got.startswith(cut[:200])


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_file_that_is_not_understood_is_not_copied(
    four_corners: Image.Image, saved: Saved, kind: str
) -> None:
    body = saved(four_corners, kind.upper())
    assert bare(body, kind) == body
    for end in range(len(body) - 1):
        assert bare(body[:end], kind) in (None, body)
