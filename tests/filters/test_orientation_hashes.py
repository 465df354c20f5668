from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pairsieve.filters.dhash import Dhash
from pairsieve.filters.orientation_hashes import ORIENTED, OrientationHashes
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import random_scene
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe

Plane = NDArray[np.uint8]
NAMES = list(ORIENTED)


def column(planes: list[Plane]) -> NDArray[np.object_]:
    array = np.empty(len(planes), object)
    array[:] = planes
    return array


def hashes_of(planes: list[Plane], names: list[str] = NAMES) -> NDArray[np.uint64]:
    orientations = np.array([names] * len(planes)).reshape(len(planes), len(names))
    return OrientationHashes().measure(luma_256=column(planes), orientations=orientations)


def scenes(count: int) -> list[Plane]:
    generator = np.random.default_rng(1)
    drawn = [draw(random_scene(generator), 300, 256) for _ in range(count)]
    return [np.asarray(Image.fromarray(pixels).convert("L")) for pixels in drawn]


def bits(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> list[int]:
    return [int(count) for count in np.bitwise_count(one ^ other)]


@pytest.mark.parametrize(
    ("name", "pillows"),
    [
        ("mirrored", ImageOps.mirror),
        ("rotated_90", lambda image: image.transpose(Image.Transpose.ROTATE_90)),
        ("rotated_180", lambda image: image.transpose(Image.Transpose.ROTATE_180)),
        ("rotated_270", lambda image: image.transpose(Image.Transpose.ROTATE_270)),
    ],
)
def test_hashes_are_those_of_the_picture_that_pillow_makes(name: str, pillows: object) -> None:
    planes = scenes(40)
    theirs = [np.asarray(pillows(Image.fromarray(plane))) for plane in planes]  # type: ignore[operator]
    values = hashes_of(planes, [name])
    apart = bits(values[:, 0], PerceptualHash().measure(column(theirs)))
    assert max(apart) <= 2  # of a coefficient that is all but the median
    assert apart.count(0) >= 36
    assert bits(values[:, 1], Dhash().measure(column(theirs))) == [0] * 40


def test_photographs_have_the_hashes_of_their_rotated_planes(real: Path) -> None:
    bodies = [path.read_bytes() for path in sorted((real / "www/flickr").glob("*.jpg"))]
    pictures = [picture(body, recipe.Image()) for body in bodies]
    planes = [one.luma_256 for one in pictures if isinstance(one, Picture)]
    values = hashes_of(planes)
    for index, name in enumerate(NAMES):
        theirs = PerceptualHash().measure(column([ORIENTED[name](plane) for plane in planes]))
        apart = bits(values[:, 2 * index], theirs)
        assert max(apart) <= 2
        assert apart.count(0) >= 90


def test_a_ramp_to_the_right_mirrored_goes_down_in_every_place() -> None:
    ramp = np.tile(np.arange(9, dtype=np.uint8) * 10, (8, 1))
    assert int(hashes_of([ramp], ["mirrored"])[0, 1]) == 0
    assert int(hashes_of([ramp], ["rotated_180"])[0, 1]) == 0
    assert int(hashes_of([ramp[:, ::-1]], ["mirrored"])[0, 1]) == 2**64 - 1


def test_hashes_stand_in_the_order_asked() -> None:
    planes = scenes(3)
    every, two = hashes_of(planes), hashes_of(planes, ["rotated_180", "mirrored"])
    assert (two == every[:, [4, 5, 0, 1]]).all()


def test_no_planes_or_no_orientations_give_no_hashes() -> None:
    assert hashes_of([]).shape == (0, 8)
    assert hashes_of(scenes(2), []).shape == (2, 0)


def test_order_and_batches_do_not_matter() -> None:
    planes = scenes(4)
    alone = [hashes_of([plane])[0].tolist() for plane in reversed(planes)]
    assert alone == hashes_of(planes).tolist()[::-1]


def test_there_is_no_option_to_give() -> None:
    with pytest.raises(TypeError, match="orientations"):
        OrientationHashes(orientations=1)  # type: ignore[call-arg]
