import struct
from collections.abc import Callable

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pairsieve.pipeline.image.pixels import Picture, picture
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
    refusal, detail = refused(body[: int(len(body) * share)])
    assert refusal is Outcome.BAD_IMAGE
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
    refusal = refused(body[: len(body) // 2] + b"\xff\xd9")
    assert refusal == (Outcome.BAD_IMAGE, "jpeg: Corrupt JPEG data: premature end of data segment")


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
    refusal = refused(body, recipe.Image(max_pixels=64 * 48 - 1))
    assert refusal == (Outcome.TOO_MANY_PIXELS, "png: 64 x 48 px")


@pytest.mark.filterwarnings("error")
def test_pillow_neither_warns_nor_changes(saved: Saved, refused: Refused) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    large = bytearray(saved(Image.new("L", (64, 48)), "TIFF"))  # 90 million px, above that limit
    for tag, side in ((256, 10_000), (257, 9_000)):
        at = large.index(struct.pack("<HHI", tag, 4, 1))
        large[at + 8 : at + 12] = struct.pack("<I", side)
    assert refused(bytes(large))[0] is Outcome.BAD_IMAGE
    assert limit == Image.MAX_IMAGE_PIXELS
