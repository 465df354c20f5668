import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pairsieve.filters.exposure import Exposure
from pairsieve.schemas.columns import EXPOSURE_BRIGHT, EXPOSURE_DARK

Plane = NDArray[np.uint8]


def levels(*planes: Plane) -> list[tuple[int, int]]:
    luma = np.empty(len(planes), object)
    luma[:] = planes
    dark, bright = Exposure().measure(luma_256=luma)
    return list(zip(dark.tolist(), bright.tolist(), strict=True))


def kept(filter: Exposure, values: list[tuple[int | None, int | None]]) -> list[bool | None]:
    columns = zip((EXPOSURE_DARK, EXPOSURE_BRIGHT), zip(*values, strict=True), strict=True)
    ledger = pa.table({column.name: pa.array(each, column.type) for column, each in columns})
    return [row[0] for row in duckdb.from_arrow(ledger).project(filter.rule()).fetchall()]


def noise(shape: tuple[int, int]) -> Plane:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def test_a_hundred_levels_are_worked_out_by_hand() -> None:
    # One pixel of each level from 100 to 199. Two of a hundred, 2 %, do not exceed 101; 98 do not
    # exceed 197.
    assert levels(np.arange(100, 200, dtype=np.uint8).reshape(4, 25)) == [(101, 197)]


@pytest.mark.parametrize(("ground", "drawn"), [(5, 240), (250, 30)])
def test_a_drawing_on_a_ground_is_seen_from_two_thousandths_on(ground: int, drawn: int) -> None:
    plane = np.full((100, 100), ground, np.uint8)
    plane.ravel()[:19] = drawn
    assert levels(plane) == [(ground, ground)]
    plane.ravel()[19] = drawn
    assert levels(plane) == [(min(ground, drawn), max(ground, drawn))]


def test_beside_a_ground_two_percent_are_worked_out_by_hand() -> None:
    # 60 pixels of 200, and one of each level from 100 to 149; of these one, 2 %, does not exceed
    # 100, and the ground is brighter than all of them.
    plane = np.array([200] * 60 + list(range(100, 150)), np.uint8).reshape(10, 11)
    assert levels(plane) == [(100, 200)]
    # 50 of 200 are no more than half: of 100 two do not exceed 101, and 98 not 200.
    assert levels(plane.ravel()[10:].reshape(10, 10)) == [(101, 200)]


@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (16, 16)])
def test_a_flat_picture_has_one_level(level: int, shape: tuple[int, int]) -> None:
    assert levels(np.full(shape, level, np.uint8)) == [(level, level)]


def test_the_most_pixels_are_counted_exactly() -> None:
    plane = np.zeros((256, 65_500), np.uint8)
    plane[:, :32_750] = 20
    plane[:, -1310:] = 40  # 2 % of 65,500 columns: one pixel fewer than 98 % must be above
    assert levels(plane) == [(0, 20)]
    plane[0, 0] = 40
    assert levels(plane) == [(0, 40)]


def test_numpys_percentiles_of_that_kind_agree() -> None:
    plane = noise((123, 77)) // 3 + 40
    dark, bright = (int(np.percentile(plane, q, method="inverted_cdf")) for q in (2, 98))
    assert levels(plane.astype(np.uint8)) == [(dark, bright)]


def test_bounds_are_kept_and_their_neighbours_are_dropped() -> None:
    values: list[tuple[int | None, int | None]] = [(32, 80), (31, 79), (33, 81), (34, 81), (0, 80)]
    assert kept(Exposure(), values) == [True, False, True, False, True]


def test_a_null_is_not_kept() -> None:
    assert kept(Exposure(), [(None, None)]) == [None]


@pytest.mark.parametrize("name", ["min_bright", "min_range"])
@pytest.mark.parametrize("value", [-1, 256])
def test_refuses_what_is_no_level(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 255\], got {value}"):
        Exposure(**{name: value})


def test_no_planes_give_no_levels() -> None:
    dark, bright = Exposure().measure(luma_256=np.empty(0, object))
    assert dark.shape == bright.shape == (0,)
    assert dark.dtype == bright.dtype == np.int32


def test_order_and_batches_do_not_matter() -> None:
    planes = [(noise((60, 80)) // part).astype(np.uint8) for part in (1, 2, 3, 5)]
    assert [levels(plane)[0] for plane in planes[::-1]] == levels(*planes)[::-1]
