import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pairsieve.filters.sharpness import Sharpness
from pairsieve.schemas.columns import SHARPNESS

Plane = NDArray[np.uint8]


def scores(*planes: Plane) -> list[float]:
    luma = np.empty(len(planes), object)
    luma[:] = planes
    return [float(score) for score in Sharpness().measure(luma_256=luma)]


def kept(rule: str, values: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"sharpness": pa.array(values, SHARPNESS.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def squares(side: int = 300) -> Plane:
    """Grey squares of 20 px on a grid, a picture with edges everywhere."""
    row = (np.arange(side) // 20 % 2).astype(np.uint8)
    return np.asarray((row ^ row[:, None]) * 120 + 60, np.uint8)


def blurred(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.uint8)


def stripes() -> Plane:
    """256 x 256 px, upright stripes of four pixels at 0 and at 64."""
    return np.tile(np.array([0, 0, 0, 0, 64, 64, 64, 64], np.uint8), (256, 32))


def shaken(plane: Plane, length: int, down: bool) -> Plane:
    kernel = np.full((length, 1) if down else (1, length), 1 / length, np.float32)
    return np.asarray(cv2.filter2D(plane, -1, kernel), np.uint8)


def test_stripes_of_four_pixels_are_worked_out_by_hand() -> None:
    # Both diagonal differences are 64 at one pixel of four: their mean squares and mean product
    # are 1024. Smoothed by 1 4 6 4 1 over 16 and halved, 20, 4, 44, 60 repeat: differences -16, 40,
    # 16, -40, mean square 928, on a quarter of the pixels 232 for each of the first. Up and down
    # there is nothing, so that only a hundredth of the energy, added each way, keeps the tensor
    # from being singular: 1 - 232 / 1024 / 1.01 = 0.776.
    assert scores(stripes()) == [pytest.approx(0.776, abs=0.005)]


def test_the_worst_direction_decides_whichever_it_is() -> None:
    across, down = scores(shaken(squares(), 9, down=False), shaken(squares(), 9, down=True))
    assert max(across, down) < 0.3
    assert across == pytest.approx(down, abs=0.01)


def test_a_turned_picture_has_the_same_score() -> None:
    plane = shaken(squares(), 5, down=False)
    assert scores(np.rot90(plane).copy(), plane.T) == pytest.approx(scores(plane) * 2, abs=0.01)


def test_a_logo_in_focus_is_sharp_and_out_of_focus_is_not() -> None:
    card = np.full((256, 300), 250, np.uint8)
    logo = cv2.circle(card.copy(), (150, 128), 40, 20, -1, cv2.LINE_AA)
    sharp, soft = scores(np.asarray(logo, np.uint8), blurred(np.asarray(logo, np.uint8), 3))
    assert soft < Sharpness().min_sharpness < sharp


def test_a_ramp_has_all_its_energy_left() -> None:
    # Half as many pixels each way, a slope twice as steep: the same energy, but for the border.
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    assert scores(ramp) == [pytest.approx(0, abs=0.1)]


def test_more_blur_means_a_lower_score() -> None:
    falling = scores(squares(), *(blurred(squares(), sigma) for sigma in (1, 2, 3, 5)))
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) == 5


def test_contrast_does_not_matter() -> None:
    plane = blurred(squares(), 2)
    half = (plane // 2).astype(np.uint8)
    assert scores(half) == pytest.approx(scores(plane), abs=0.02)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_is_not_blurred(level: int) -> None:
    assert scores(np.full((80, 120), level, np.uint8)) == [1.0]


def test_a_clear_sky_is_not_blurred() -> None:
    sky = np.repeat(np.linspace(120, 230, 300).astype(np.uint8)[:, None], 400, axis=1)
    assert scores(sky) == [1.0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3), (257, 256)])
def test_any_shape_has_a_score(shape: tuple[int, int]) -> None:
    (score,) = scores(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    assert 0 <= score <= 1


@pytest.mark.parametrize("bound", [0.6, 0.7, 0.1])
def test_the_bound_is_kept_and_the_number_before_it_is_dropped(bound: float) -> None:
    below = float(np.nextafter(np.float32(bound), np.float32(0)))
    assert kept(Sharpness(min_sharpness=bound).rule(), [bound, below]) == [True, False]


def test_a_null_score_is_not_kept() -> None:
    assert kept(Sharpness().rule(), [None]) == [None]


@pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_share(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"must be in \[0, 1\], got {bound}"):
        Sharpness(min_sharpness=bound)


def test_no_planes_give_no_scores() -> None:
    empty = Sharpness().measure(luma_256=np.empty(0, object))
    assert empty.shape == (0,)
    assert empty.dtype == np.float32


def test_order_and_batches_do_not_matter() -> None:
    planes = [blurred(squares(), sigma) for sigma in (0.5, 1, 2, 4)]
    assert [scores(plane)[0] for plane in planes[::-1]] == scores(*planes)[::-1]
