from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pairsieve.filters.dhash import Dhash
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.filters.turned_hashes import TURNED, TurnedHashes
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import random_scene
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe

Plane = NDArray[np.uint8]
TURNS = list(TURNED)


def column(planes: list[Plane]) -> NDArray[np.object_]:
    array = np.empty(len(planes), object)
    array[:] = planes
    return array


def turned(planes: list[Plane], turns: list[str] = TURNS) -> NDArray[np.uint64]:
    orientations = np.array([turns] * len(planes)).reshape(len(planes), len(turns))
    return TurnedHashes().measure(luma_256=column(planes), orientations=orientations)


def scenes(count: int) -> list[Plane]:
    generator = np.random.default_rng(1)
    drawn = [draw(random_scene(generator), 300, 256) for _ in range(count)]
    return [np.asarray(Image.fromarray(pixels).convert("L")) for pixels in drawn]


def bits(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> list[int]:
    return [int(count) for count in np.bitwise_count(one ^ other)]


@pytest.mark.parametrize(
    ("turn", "pillows"),
    [
        ("mirrored", ImageOps.mirror),
        ("rotated_90", lambda image: image.transpose(Image.Transpose.ROTATE_90)),
        ("rotated_180", lambda image: image.transpose(Image.Transpose.ROTATE_180)),
        ("rotated_270", lambda image: image.transpose(Image.Transpose.ROTATE_270)),
    ],
)
def test_hashes_are_those_of_the_picture_that_pillow_turns(turn: str, pillows: object) -> None:
    planes = scenes(40)
    theirs = [np.asarray(pillows(Image.fromarray(plane))) for plane in planes]  # type: ignore[operator]
    found = turned(planes, [turn])
    apart = bits(found[:, 0], PerceptualHash().measure(column(theirs)))
    assert max(apart) <= 2  # of a coefficient that is all but the median
    assert apart.count(0) >= 36
    assert bits(found[:, 1], Dhash().measure(column(theirs))) == [0] * 40


def test_photographs_have_the_hashes_of_their_turned_planes(real: Path) -> None:
    bodies = [path.read_bytes() for path in sorted((real / "www/flickr").glob("*.jpg"))]
    made = [picture(body, recipe.Image()) for body in bodies]
    planes = [one.luma_256 for one in made if isinstance(one, Picture)]
    found = turned(planes)
    for place, turn in enumerate(TURNS):
        theirs = PerceptualHash().measure(column([TURNED[turn](plane) for plane in planes]))
        apart = bits(found[:, 2 * place], theirs)
        assert max(apart) <= 2
        assert apart.count(0) >= 90


def test_a_ramp_to_the_right_mirrored_goes_down_in_every_place() -> None:
    ramp = np.tile(np.arange(9, dtype=np.uint8) * 10, (8, 1))
    assert int(turned([ramp], ["mirrored"])[0, 1]) == 0
    assert int(turned([ramp], ["rotated_180"])[0, 1]) == 0
    assert int(turned([ramp[:, ::-1]], ["mirrored"])[0, 1]) == 2**64 - 1


def test_hashes_stand_in_the_order_asked() -> None:
    planes = scenes(3)
    every, two = turned(planes), turned(planes, ["rotated_180", "mirrored"])
    assert (two == every[:, [4, 5, 0, 1]]).all()


def test_no_planes_or_no_orientations_give_no_hashes() -> None:
    assert turned([]).shape == (0, 8)
    assert turned(scenes(2), []).shape == (2, 0)


def test_order_and_batches_do_not_matter() -> None:
    planes = scenes(4)
    alone = [turned([plane])[0].tolist() for plane in reversed(planes)]
    assert alone == turned(planes).tolist()[::-1]


def test_there_is_no_option_to_give() -> None:
    with pytest.raises(TypeError, match="turns"):
        TurnedHashes(turns=1)  # type: ignore[call-arg]
