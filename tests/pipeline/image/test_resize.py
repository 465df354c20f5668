import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.pipeline.image.pixels import Picture
from pairsieve.pipeline.image.resize import upright
from pairsieve.schemas import recipe

Saved = Callable[..., bytes]
Decoded = Callable[..., tuple[Picture, NDArray[np.uint8]]]


def image(**options: Any) -> recipe.Image:
    return recipe.Image(format="png", **options)


@pytest.mark.parametrize(
    ("options", "published", "stored"),
    [
        ({"max_side": 100}, (400, 200), (100, 50)),
        ({"max_side": 100}, (200, 400), (50, 100)),
        ({"max_side": 100}, (80, 100), (80, 100)),
        ({"max_side": 16}, (1000, 3), (16, 1)),
        ({"center_crop": 100}, (400, 200), (100, 100)),
        ({"center_crop": 100}, (101, 200), (100, 100)),
        ({"center_crop": 100}, (400, 60), (100, 60)),
        ({"center_crop": 100}, (40, 60), (40, 60)),
        ({"pad": 100}, (400, 200), (100, 100)),
        ({"pad": 100}, (40, 60), (100, 100)),
        ({"resize": False}, (600, 900), (600, 900)),
        ({"min_side": 100, "upscale": True}, (50, 75), (100, 150)),
        ({"max_side": 100, "upscale": True}, (50, 75), (67, 100)),
        ({"center_crop": 100, "upscale": True}, (50, 75), (100, 100)),
        ({"center_crop": 100, "upscale": True}, (30_000, 2), (100, 100)),
        ({"pad": 100, "upscale": True}, (50, 75), (100, 100)),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_stored_size_is_what_the_recipe_says(
    saved: Saved,
    decoded: Decoded,
    options: dict[str, Any],
    published: tuple[int, int],
    stored: tuple[int, int],
    orientation: int,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = published if orientation == 1 else published[::-1]
    got, pixels = decoded(saved(Image.new("RGB", lying), "PNG", exif=exif), image(**options))
    assert (got.width, got.height) == published
    assert (got.stored_width, got.stored_height) == stored == pixels.shape[1::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_middle_is_what_is_left_of_a_crop(
    saved: Saved, decoded: Decoded, orientation: int
) -> None:
    picture = np.zeros((40, 101, 3), np.uint8)
    picture[:, 30:70] = 9  # (101 - 40) // 2 = 30 px are left out on the left, 31 on the right
    picture[:20, 30:50] = 200
    lying = np.ascontiguousarray(upright(picture, {6: 8, 8: 6}.get(orientation, orientation)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = saved(Image.fromarray(lying), "PNG", exif=exif)
    _, pixels = decoded(body, image(center_crop=40))
    assert pixels.tolist() == picture[:, 30:70].tolist()


def test_padding_has_the_colour_asked_for_and_the_picture_in_its_middle(
    saved: Saved, decoded: Decoded
) -> None:
    body = saved(Image.new("RGB", (40, 20), (200, 0, 0)), "PNG")
    got, pixels = decoded(body, image(pad=20, background="#102030"))
    assert pixels[:, 10].tolist() == [[16, 32, 48]] * 5 + [[200, 0, 0]] * 10 + [[16, 32, 48]] * 5
    assert got.luma[0, 0] == round(0.299 * 16 + 0.587 * 32 + 0.114 * 48)


def test_enlarging_is_pillows_bicubic(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    _, pixels = decoded(saved(four_corners, "PNG"), image(min_side=96, upscale=True))
    expected = four_corners.resize((128, 96), Image.Resampling.BICUBIC)
    assert pixels.tolist() == np.asarray(expected).tolist()


def test_a_jpeg_stored_smaller_is_near_the_exact_mean_of_its_areas(
    saved: Saved, decoded: Decoded
) -> None:
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (20, 30, 3), np.uint8)
    scene = Image.fromarray(coarse).resize((600, 400), Image.Resampling.BICUBIC)
    body = saved(scene, "JPEG", quality=95, subsampling=2)
    with Image.open(io.BytesIO(body)) as file:
        full = np.asarray(file.convert("RGB")).astype(float)
    for side in (100, 320):  # colours as they lie, and interpolated
        _, pixels = decoded(body, image(min_side=side))
        areas = Image.fromarray(full.astype(np.uint8)).resize(
            (side * 3 // 2, side), Image.Resampling.BOX
        )
        error = pixels.astype(float) - np.asarray(areas)
        assert 10 * np.log10(255**2 / (error**2).mean()) > 40


@pytest.mark.parametrize("form", ["jpg", "webp"])
def test_colours_that_a_lossy_format_halves_again_are_not_interpolated_before(
    saved: Saved, decoded: Decoded, form: str
) -> None:
    squares = np.random.default_rng(4).integers(0, 2, (32, 32, 3), np.uint8) * 60 + 100
    scene = Image.fromarray(squares.repeat(4, 0).repeat(4, 1))
    body = saved(scene, "JPEG", quality=95, subsampling=2)
    with Image.open(io.BytesIO(body)) as file:
        interpolated = np.asarray(file.convert("RGB"))
    _, pixels = decoded(body, recipe.Image.model_validate({"format": form, "quality": 95}))
    _, before = decoded(body, image())
    assert before.tolist() == interpolated.tolist()
    kept = saved(Image.fromarray(interpolated), form.replace("jpg", "jpeg"), quality=95)
    with Image.open(io.BytesIO(kept)) as file:
        twice = np.asarray(file.convert("RGB"))
    error, worse = (np.abs(each - interpolated.astype(float)) for each in (pixels, twice))
    assert (error**2).mean() < 0.8 * (worse**2).mean()
