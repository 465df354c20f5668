import numpy as np
import pytest
from numpy.typing import NDArray

from pairsieve.filters.colour import Colour

Cells = NDArray[np.uint8]


def column(pictures: list[Cells]) -> NDArray[np.object_]:
    array = np.empty(len(pictures), object)
    for index, cells in enumerate(pictures):
        array[index] = cells
    return array


def measured(*pictures: Cells) -> NDArray[np.uint8]:
    return Colour().measure(colours=column(list(pictures)))


def test_colours_come_row_by_row_red_green_and_blue() -> None:
    cells = np.zeros((5, 5, 3), np.uint8)
    cells[0, 1] = (10, 20, 30)
    cells[4, 4] = (0, 0, 255)
    levels = measured(cells)[0]
    assert levels[3:6].tolist() == [10, 20, 30]
    assert np.flatnonzero(levels).tolist() == [3, 4, 5, 74]


def test_every_picture_has_75_levels() -> None:
    levels = measured(*np.zeros((3, 5, 5, 3), np.uint8))
    assert levels.shape == (3, 75)
    assert levels.dtype == np.uint8


def test_the_bounds_of_a_level_stay() -> None:
    assert set(measured(np.full((5, 5, 3), 255, np.uint8))[0].tolist()) == {255}
    assert set(measured(np.zeros((5, 5, 3), np.uint8))[0].tolist()) == {0}


def test_no_pictures_give_no_colours() -> None:
    assert measured().shape == (0, 75)


def test_order_and_batches_do_not_matter() -> None:
    pictures = list(np.random.default_rng(1).integers(0, 256, (4, 5, 5, 3), np.uint8))
    alone = [measured(cells)[0].tolist() for cells in reversed(pictures)]
    assert alone == measured(*pictures).tolist()[::-1]


def test_there_is_no_option_to_give() -> None:
    with pytest.raises(TypeError, match="cells"):
        Colour(cells=4)  # type: ignore[call-arg]
