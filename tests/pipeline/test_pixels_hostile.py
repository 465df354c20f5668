import struct
from collections.abc import Callable

import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pairsieve.pipeline.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

LOSSLESS = recipe.Image(format="png")

Saved = Callable[..., bytes]
Decoded = Callable[..., tuple[Picture, NDArray[np.uint8]]]
Refused = Callable[..., tuple[Outcome, str | None]]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("AVIF", {}),
    ],
)
@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
def test_truncated_is_a_bad_image(
    saved: Saved, refused: Refused, kind: str, options: dict[str, object], share: float
) -> None:
    noise = Image.effect_noise((80, 60), 90).convert("RGB").filter(ImageFilter.BoxBlur(1))
    body = saved(noise, kind, **options)
    assert isinstance(picture(body, LOSSLESS), Picture)
    found, detail = refused(body[: int(len(body) * share)])
    assert found is Outcome.BAD_IMAGE
    assert (detail or "").startswith(kind.lower())


def test_grey_and_cmyk_jpegs_cut_short_are_bad_images(saved: Saved, refused: Refused) -> None:
    for mode in ("L", "CMYK"):
        body = saved(Image.effect_noise((80, 60), 90).convert(mode), "JPEG")
        assert refused(body[: len(body) * 2 // 3])[0] is Outcome.BAD_IMAGE


def test_a_jpeg_without_its_end_marker_is_a_bad_image(
    four_corners: Image.Image, saved: Saved, refused: Refused
) -> None:
    assert refused(saved(four_corners, "JPEG")[:-2])[0] is Outcome.BAD_IMAGE


def test_a_jpeg_with_a_harmless_flaw_is_decoded(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    body = saved(four_corners, "JPEG", quality=95)
    frame = body.index(b"\xff\xc0")
    flawed = body[:frame] + b"\x12\x34\x56" + body[frame:]
    with pytest.raises(ValueError, match="extraneous bytes"):
        simplejpeg.decode_jpeg(flawed)
    assert decoded(flawed)[0].stored == decoded(body)[0].stored


def test_a_jpeg_cut_short_but_given_an_end_marker_is_a_bad_image(
    saved: Saved, refused: Refused
) -> None:
    body = saved(Image.effect_noise((80, 60), 90), "JPEG")
    found = refused(body[: len(body) // 2] + b"\xff\xd9")
    assert found == (Outcome.BAD_IMAGE, "jpeg: Corrupt JPEG data: premature end of data segment")


def test_bytes_after_the_image_do_no_harm(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        body = saved(four_corners, kind, quality=95)
        assert decoded(body + b"<html>" * 50)[0].stored == decoded(body)[0].stored


def test_the_pixel_limit_itself_is_decoded_and_one_pixel_more_is_not(
    four_corners: Image.Image, saved: Saved, refused: Refused
) -> None:
    body = saved(four_corners, "PNG")
    assert isinstance(picture(body, recipe.Image(max_pixels=64 * 48)), Picture)
    found = refused(body, recipe.Image(max_pixels=64 * 48 - 1))
    assert found == (Outcome.TOO_MANY_PIXELS, "png: 64 x 48 px")


@pytest.mark.filterwarnings("error")
def test_pillow_neither_warns_nor_changes(saved: Saved, refused: Refused) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    large = bytearray(saved(Image.new("L", (64, 48)), "TIFF"))  # 90 million px, above that limit
    for tag, side in ((256, 10_000), (257, 9_000)):
        at = large.index(struct.pack("<HHI", tag, 4, 1))
        large[at + 8 : at + 12] = struct.pack("<I", side)
    assert refused(bytes(large))[0] is Outcome.BAD_IMAGE
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.fixture(scope="module")
def seeds(four_corners: Image.Image, saved: Saved, linear_profile: bytes) -> list[bytes]:
    """Return small files of every kind to damage."""
    image = four_corners.resize((40, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        saved(image, "JPEG", exif=exif, icc_profile=linear_profile),
        saved(image, "JPEG", progressive=True),
        saved(image.convert("CMYK"), "JPEG"),
        saved(image, "PNG", exif=exif),
        saved(image.quantize(8), "PNG", transparency=2),
        saved(image, "WEBP", exif=exif),
        saved(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        saved(image, "BMP"),
        saved(image, "TIFF", exif=exif),
        saved(image, "TIFF", compression="tiff_lzw"),
        saved(image, "AVIF"),
    ]


cut = st.tuples(st.just("cut"), st.integers(0, 4000), st.binary(max_size=1))
flip = st.tuples(st.just("flip"), st.integers(0, 4000), st.binary(min_size=1, max_size=4))
splice = st.tuples(st.just("splice"), st.integers(0, 4000), st.binary(min_size=1, max_size=8))
drop = st.tuples(st.just("drop"), st.integers(0, 4000), st.binary(min_size=1, max_size=8))


def mutated(body: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for name, place, data in changes:
        at = place % (len(body) + 1)
        end = {"cut": len(body), "flip": at + len(data), "splice": at, "drop": at + len(data)}[name]
        body = body[:at] + (b"" if name in ("cut", "drop") else data) + body[end:]
    return body


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.data(), st.lists(st.one_of(cut, flip, splice, drop), min_size=1, max_size=6))
def test_damaged_files_give_a_picture_or_an_outcome(
    seeds: list[bytes], data: st.DataObject, changes: list[tuple[str, int, bytes]]
) -> None:
    body = data.draw(st.sampled_from(seeds))
    got = picture(mutated(body, changes), recipe.Image(min_side=16, max_pixels=1_000_000))
    if isinstance(got, Picture):
        assert got.luma.shape == (got.stored_height, got.stored_width)
    else:
        assert got.outcome in (
            Outcome.EMPTY,
            Outcome.NOT_AN_IMAGE,
            Outcome.TOO_MANY_PIXELS,
            Outcome.BAD_IMAGE,
        )
