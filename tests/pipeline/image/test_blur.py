import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.pipeline.image.blur import blurred, parse_boxes
from pairsieve.pipeline.image.decode import Rejected
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.pipeline.image.resize import upright
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

Saved = Callable[..., bytes]

LOSSLESS = recipe.Image(format="png")


@pytest.fixture(scope="module")
def stripes() -> NDArray[np.uint8]:
    """Return 200 x 120 px of stripes, dark and bright, 2 px wide."""
    pixels = np.zeros((120, 200, 3), np.uint8)
    pixels[:, np.arange(200) % 4 < 2] = 240
    return pixels


def contrast(pixels: NDArray[np.uint8], x0: int, y0: int, x1: int, y1: int) -> float:
    return float(pixels[y0:y1, x0:x1].std())


def test_a_box_is_blurred_and_the_rest_is_untouched(stripes: NDArray[np.uint8]) -> None:
    got = blurred(stripes, [(50, 30, 90, 70)])
    assert contrast(got, 55, 35, 85, 65) < 3
    assert contrast(got, 50, 30, 90, 70) < 12
    # 0.1 * 40 px of growth and 3 * 4 px of soft edge: 16 px around the box.
    changed = np.argwhere((got != stripes).any(axis=2))
    assert changed.min(axis=0).tolist() >= [30 - 16, 50 - 16]
    assert changed.max(axis=0).tolist() <= [70 + 16, 90 + 16]


def test_a_small_box_beside_a_large_one_is_blurred_as_if_alone(
    stripes: NDArray[np.uint8],
) -> None:
    alone = blurred(stripes, [(180, 100, 192, 112)])
    both = blurred(stripes, [(0, 0, 110, 110), (180, 100, 192, 112)])
    assert both[95:, 175:].tolist() == alone[95:, 175:].tolist()
    assert contrast(both, 182, 102, 190, 110) < 40 < contrast(stripes, 182, 102, 190, 110)


def test_the_blur_is_a_gaussian_of_a_tenth_of_the_longer_side() -> None:
    # A step seen through a Gaussian of 10 px: at one sigma it is at 0.841 of its height.
    step = np.zeros((300, 300, 3), np.uint8)
    step[:, 150:] = 200
    got = blurred(step, [(100, 100, 200, 200)])
    assert abs(int(got[150, 159, 0]) + int(got[150, 160, 0]) - 2 * 0.841 * 200) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_fractions_are_of_the_upright_picture(
    saved: Saved, stripes: NDArray[np.uint8], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = np.ascontiguousarray(upright(stripes, {6: 8, 8: 6}.get(orientation, orientation)))
    body = saved(Image.fromarray(lying), "PNG", exif=exif)
    got = picture(body, LOSSLESS, ((0.25, 0.25, 0.45, 0.6),))
    assert isinstance(got, Picture)
    with Image.open(io.BytesIO(got.stored)) as image:
        pixels = np.asarray(image)
    assert contrast(pixels, 55, 35, 85, 65) < 3
    assert contrast(pixels, 130, 0, 200, 120) > 100


@pytest.mark.parametrize(
    ("options", "box"),
    [
        ({"min_side": 60}, (28, 18, 42, 32)),
        ({"center_crop": 60}, (8, 18, 22, 32)),  # (100 - 60) / 2 = 20 px are cut off at the left
        ({"pad": 100}, (28, 38, 42, 52)),  # (100 - 60) / 2 = 20 px are put on top
    ],
)
def test_the_box_follows_the_resizing(
    saved: Saved, options: dict[str, Any], box: tuple[int, int, int, int]
) -> None:
    noise = np.random.default_rng(2).integers(0, 2, (60, 100), np.uint8) * 255
    scene = Image.fromarray(noise).resize((200, 120), Image.Resampling.NEAREST).convert("RGB")
    sized = recipe.Image(format="png", blur_unit="px", **options)
    got = picture(saved(scene, "PNG"), sized, ((50, 30, 90, 70),))
    plain = picture(saved(scene, "PNG"), sized)
    assert isinstance(got, Picture)
    assert isinstance(plain, Picture)
    x0, y0, x1, y1 = box
    assert got.luma[y0:y1, x0:x1].std() < 30 < 100 < plain.luma[y0:y1, x0:x1].std()


def test_a_picture_with_a_box_is_never_copied(saved: Saved, stripes: NDArray[np.uint8]) -> None:
    body = saved(Image.fromarray(stripes), "PNG")
    options = recipe.Image(format="png", reencode="needed")
    plain, hidden = picture(body, options), picture(body, options, ((0.2, 0.2, 0.4, 0.4),))
    assert isinstance(plain, Picture)
    assert isinstance(hidden, Picture)
    assert plain.stored == body
    assert hidden.stored != body


def test_a_box_outside_of_the_picture_is_refused(saved: Saved) -> None:
    body = saved(Image.new("RGB", (64, 48)), "PNG")
    options = recipe.Image(blur_unit="px")
    assert picture(body, options, ((64, 0, 70, 10),)) == Rejected(
        Outcome.BAD_BOXES, "box 0: [64, 0, 70, 10] lies outside of 64 x 48 px"
    )
    assert isinstance(picture(body, options, ((60, 40, 70, 50), (-9, -9, 1, 1))), Picture)


@pytest.mark.parametrize(
    "value", [[], [[0.1, 0.2, 0.3, 0.4]], [[0, 0, 1, 1], [-0.01, 0.5, 0.2, 1.02]]]
)
def test_boxes_are_read_as_lists_and_as_json(value: list[Any]) -> None:
    expected = tuple(tuple(map(float, box)) for box in value)
    assert parse_boxes(value, "fraction") == parse_boxes(json.dumps(value), "fraction") == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "[[0.1, 0.2, 0.3",
        "[" * 100_000,
        "null",
        0.5,
        {"x": 1},
        [0.1, 0.2, 0.3, 0.4],
        [[0.1, 0.2, 0.3]],
        [[0.1, 0.2, 0.3, 0.4, 0.5]],
        [["0.1", 0.2, 0.3, 0.4]],
        [[0.1, 0.2, 0.3, None]],
        [[0.1, 0.2, 0.3, True]],
        [[0.1, 0.2, 0.3, float("nan")]],
        [[0.1, 0.2, 0.3, float("inf")]],
        [[0.3, 0.2, 0.1, 0.4]],
        [[0.1, 0.2, 0.1, 0.4]],
        [[10, 20, 30, 40]],
        [None],
        [[0.1, 0.2, 0.3, 10**400]],
        [[0.1, 0.2, 0.3, 0.4]] * 1001,
    ],
)
def test_what_is_no_list_of_boxes_is_told(value: Any) -> None:
    assert isinstance(parse_boxes(value, "fraction"), str)


def test_pixels_may_be_larger_than_any_fraction() -> None:
    assert parse_boxes([[10, 20, 30, 40]], "px") == ((10.0, 20.0, 30.0, 40.0),)
