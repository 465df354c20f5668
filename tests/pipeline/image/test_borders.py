"""Where a picture lies inside its borders: frames, bars and captions, and what is none of them."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import random_scene
from pairsieve.pipeline.image.borders import inside

Plane = NDArray[np.uint8]


def noise(height: int = 100, width: int = 140) -> Plane:
    return np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)


def framed(plane: Plane, sides: tuple[int, int, int, int], level: int = 255) -> Plane:
    found = cv2.copyMakeBorder(plane, *sides, cv2.BORDER_CONSTANT, value=(level,))
    return np.asarray(found, np.uint8)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (12, 12, 0, 0), (0, 0, 9, 3), (30, 0, 0, 0)])
def test_the_picture_is_found_inside_its_border(
    sides: tuple[int, int, int, int], level: int
) -> None:
    top, _, left, _ = sides
    assert inside(framed(noise(), sides, level)) == (top, top + 100, left, left + 140)


@pytest.mark.parametrize("plane", [noise(), np.zeros((50, 50), np.uint8), noise(1, 1)])
def test_a_picture_without_a_border_has_no_inside(plane: Plane) -> None:
    assert inside(plane) is None


def test_a_border_of_more_than_a_third_is_a_ground() -> None:
    assert inside(framed(noise(100), (50, 0, 0, 0))) == (50, 150, 0, 140)  # 33 %
    assert inside(framed(noise(100), (60, 0, 0, 0))) is None  # 37 %


@pytest.mark.parametrize("size", [(1, 2), (2, 2), (3, 4)])
def test_of_a_few_pixels_some_are_left(size: tuple[int, int]) -> None:
    for levels in np.ndindex(*(2,) * (size[0] * size[1])):
        found = inside(np.array(levels, np.uint8).reshape(size) * np.uint8(255))
        assert found is None or (found.top < found.bottom and found.left < found.right)


@pytest.mark.parametrize("level", [0, 255])
def test_a_caption_belongs_to_its_bar(level: int) -> None:
    barred = framed(noise(200, 300), (0, 40, 0, 0), level)
    ink = 255 - level
    cv2.putText(barred, "When the weekend is over", (10, 228), 0, 0.7, (ink,), 2, cv2.LINE_AA)
    assert inside(barred) == (0, 200, 0, 300)


def test_a_subject_on_a_plain_ground_has_no_border() -> None:
    plane = np.full((200, 200), 255, np.uint8)
    cv2.circle(plane, (100, 100), 80, (60,), -1)
    assert inside(plane) is None


def test_what_jpeg_leaves_of_a_border_is_one() -> None:
    barred = framed(noise(), (16, 16, 16, 16))
    rim = np.ones(barred.shape, bool)
    rim[16:-16, 16:-16] = False
    shaken = np.random.default_rng(1).integers(-10, 1, barred.shape)
    shaken_rim: NDArray[np.uint8] = np.where(rim, barred + shaken, barred).astype(np.uint8)
    assert inside(shaken_rim) == (16, 116, 16, 156)


def test_drawn_scenes_have_none() -> None:
    generator = np.random.default_rng(1)
    scenes = [draw(random_scene(generator), 150, 128) for _ in range(20)]
    planes = [np.asarray(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY), np.uint8) for scene in scenes]
    assert all(inside(plane) is None for plane in planes)
