import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe

Saved = Callable[..., bytes]
Decoded = Callable[..., tuple[Picture, NDArray[np.uint8]]]


def test_a_large_turned_image_is_resized_on_its_upright_sides(
    saved: Saved, decoded: Decoded
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    got, _ = decoded(saved(Image.new("RGB", (900, 600)), "JPEG", exif=exif))
    assert (got.width, got.height, got.stored_width, got.stored_height) == (600, 900, 512, 768)


@pytest.mark.parametrize(
    ("published", "stored"),
    [
        ((1600, 800), (1024, 512)),
        ((800, 1600), (512, 1024)),
        ((513, 600), (512, 599)),
        ((512, 600), (512, 600)),
        ((100, 90), (100, 90)),
        ((1, 1), (1, 1)),
        ((3000, 2), (3000, 2)),
    ],
)
def test_shorter_side_is_at_most_min_side_and_never_enlarged(
    saved: Saved, decoded: Decoded, published: tuple[int, int], stored: tuple[int, int]
) -> None:
    got, pixels = decoded(saved(Image.new("RGB", published), "PNG"))
    assert (got.width, got.height) == published
    assert (got.stored_width, got.stored_height) == stored == pixels.shape[1::-1]


@pytest.mark.parametrize(("form", "limit"), [("jpg", 65_500), ("webp", 16_383)])
def test_a_side_longer_than_the_format_allows_is_shortened(
    saved: Saved, decoded: Decoded, form: str, limit: int
) -> None:
    body = saved(Image.new("RGB", (70_000, 2)), "PNG")
    got, pixels = decoded(body, recipe.Image.model_validate({"format": form}))
    assert (got.stored_width, got.stored_height) == pixels.shape[1::-1]
    assert got.stored_width == limit
    assert 1 <= got.stored_height <= 2


def test_resizing_averages_areas(saved: Saved, decoded: Decoded) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    body = saved(Image.fromarray(stripes), "PNG")
    _, pixels = decoded(body, recipe.Image(min_side=16, format="png"))
    assert np.unique(pixels).tolist() == [100]


@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
def test_stored_image_has_the_format_asked_for_no_metadata_and_always_the_same_bytes(
    four_corners: Image.Image, saved: Saved, linear_profile: bytes, form: str
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    body = saved(four_corners, "JPEG", exif=exif, icc_profile=linear_profile, comment=b"hello")
    options = recipe.Image.model_validate({"format": form})
    got, again = picture(body, options), picture(body, options)
    assert isinstance(got, Picture)
    assert isinstance(again, Picture)
    assert got.stored == again.stored
    with Image.open(io.BytesIO(got.stored)) as image:
        assert image.format == {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[form]
        assert not {"exif", "icc_profile", "comment"} & image.info.keys()
    assert b"secret" not in got.stored


def test_quality_changes_the_size_of_a_jpeg(saved: Saved, decoded: Decoded) -> None:
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    sizes = [len(decoded(saved(noise, "PNG"), recipe.Image(quality=q))[0].stored) for q in (30, 90)]
    assert sizes[0] < sizes[1]


def test_luma_is_that_of_the_stored_pixels(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    got, pixels = decoded(saved(four_corners, "PNG"))
    reference = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    assert np.abs(got.luma - reference).max() <= 1


@pytest.mark.parametrize(
    ("published", "reduced"), [((1600, 800), (512, 256)), ((300, 512), (256, 437))]
)
def test_the_small_luma_has_a_shorter_side_of_256_px(
    saved: Saved, decoded: Decoded, published: tuple[int, int], reduced: tuple[int, int]
) -> None:
    got, pixels = decoded(saved(Image.effect_noise(published, 90), "PNG"))
    assert got.luma_256.shape == reduced[::-1]
    assert abs(got.luma_256.mean() - pixels.mean()) < 0.5


def test_the_small_luma_of_a_small_image_is_its_luma(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    got, _ = decoded(saved(four_corners, "PNG"))
    assert got.luma_256 is got.luma
