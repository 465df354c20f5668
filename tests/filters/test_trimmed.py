import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pairsieve.filters.colour import Colour
from pairsieve.filters.dhash import Dhash
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.filters.trimmed import Trimmed
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import random_scene
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe


def column(values: list[NDArray[np.uint8]]) -> NDArray[np.object_]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def decoded(pixels: NDArray[np.uint8]) -> Picture:
    body = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    found = picture(body, recipe.Image())
    assert isinstance(found, Picture)
    return found


def scenes(count: int) -> list[NDArray[np.uint8]]:
    generator = np.random.default_rng(1)
    return [draw(random_scene(generator), 300, 256) for _ in range(count)]


def framed(pixels: NDArray[np.uint8], wide: int = 20) -> NDArray[np.uint8]:
    sides = (wide, wide, wide, wide)
    found = cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    return np.asarray(found, np.uint8)


def test_inside_its_border_a_copy_has_hashes_and_colours_of_the_original() -> None:
    originals = [decoded(pixels) for pixels in scenes(8)]
    copies = [decoded(framed(pixels)) for pixels in scenes(8)]
    planes = [copy.trimmed_luma for copy in copies if copy.trimmed_luma is not None]
    colours = [copy.trimmed_colours for copy in copies if copy.trimmed_colours is not None]
    hashes, levels = Trimmed().measure(column(planes), column(colours))
    plain = column([one.luma_256 for one in originals])
    assert np.bitwise_count(hashes[:, 0] ^ PerceptualHash().measure(plain)).max() <= 2
    assert np.bitwise_count(hashes[:, 1] ^ Dhash().measure(plain)).max() <= 6
    own = Colour().measure(column([one.colours for one in originals]))
    assert np.abs(levels.astype(int) - own).max() <= 8


def test_a_picture_without_a_border_has_nothing_to_measure() -> None:
    found = decoded(scenes(1)[0])
    assert found.trimmed_luma is None
    assert found.trimmed_colours is None


@pytest.mark.parametrize("count", [0, 3])
def test_there_are_two_hashes_and_25_colours_each(count: int) -> None:
    plane, cells = np.zeros((40, 60), np.uint8), np.zeros((5, 5, 3), np.uint8)
    hashes, levels = Trimmed().measure(column([plane] * count), column([cells] * count))
    assert (hashes.shape, levels.shape) == ((count, 2), (count, 75))
