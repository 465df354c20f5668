import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pairsieve.filters.low_information import LowInformation
from pairsieve.schemas.columns import LOW_INFORMATION

Plane = NDArray[np.uint8]


def shares(*planes: Plane) -> list[float]:
    luma = np.empty(len(planes), object)
    luma[:] = planes
    return [float(share) for share in LowInformation().measure(luma_256=luma)]


def kept(bound: float, values: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"low_information": pa.array(values, LOW_INFORMATION.type)})
    rule = LowInformation(max_flat=bound).rule()
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def noise(shape: tuple[int, int]) -> Plane:
    return np.random.default_rng(2).integers(0, 256, shape, np.uint8)


def card() -> Plane:
    """A grey card with the usual words, as a JPEG leaves it."""
    plane = np.full((256, 340), 235, np.uint8)
    cv2.putText(plane, "Image not", (80, 120), cv2.FONT_HERSHEY_SIMPLEX, 1, 120, 2, cv2.LINE_AA)
    cv2.putText(plane, "available", (80, 160), cv2.FONT_HERSHEY_SIMPLEX, 1, 120, 2, cv2.LINE_AA)
    coded = cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def test_squares_are_counted_by_hand() -> None:
    # 2 x 3 squares of 64 pixels; one pixel of the first and one of the last differ by 10 and by 9.
    plane = np.full((16, 24), 50, np.uint8)
    plane[3, 5] = 60
    plane[15, 23] = 59
    assert shares(plane) == [pytest.approx(5 / 6)]


@pytest.mark.parametrize(("squares", "empty"), [([(0, 0), (1, 1)], 8), ([(0, 0), (0, 3)], 8)])
def test_what_encloses_flat_squares_counts_with_its_box(
    squares: list[tuple[int, int]], empty: int
) -> None:
    plane = np.full((24, 32), 50, np.uint8)  # 3 x 4 squares
    for row, column in squares:
        plane[8 * row, 8 * column] = 200
    assert shares(plane) == [pytest.approx(empty / 12)]


def test_what_fills_its_box_counts_for_itself() -> None:
    plane = np.full((24, 32), 50, np.uint8)
    plane[0, :17:8] = 200  # three squares of the first row, and one below them: 4 of a box of 6
    plane[8, 0] = 200
    assert shares(plane) == [pytest.approx(6 / 12)]
    plane[8, 8] = 200  # 5 of 6 are dense enough
    assert shares(plane) == [pytest.approx(7 / 12)]


def test_a_frame_along_the_edge_is_no_content() -> None:
    plane = np.full((256, 256), 240, np.uint8)  # the outer two squares are not looked at
    cv2.rectangle(plane, (5, 5), (250, 250), (60,), 2)
    assert shares(plane) == [1]


def test_a_flat_picture_is_empty_and_noise_is_not() -> None:
    assert shares(np.full((256, 300), 128, np.uint8), noise((256, 300))) == [1, 0]


def test_a_card_with_a_few_words_is_nearly_empty_and_a_silhouette_is_not() -> None:
    assert 0.8 < shares(card())[0] < 1
    plane = np.full((256, 340), 255, np.uint8)
    cv2.circle(plane, (170, 128), 90, (20,), -1)
    assert shares(plane)[0] < 0.7


def test_a_thumbnail_in_a_wide_border_is_nearly_empty() -> None:
    plane = np.full((256, 340), 255, np.uint8)
    plane[88:168, 110:230] = noise((80, 120))  # 11 % of the area, 14 % of what is looked at
    assert shares(plane)[0] == pytest.approx(0.86, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 7), (8, 8)])
def test_any_shape_has_a_share(shape: tuple[int, int]) -> None:
    assert 0 <= shares(noise(shape))[0] <= 1
    assert shares(np.full(shape, 3, np.uint8)) == [1]


@pytest.mark.parametrize("bound", [0.92, 0.5])
def test_the_bound_is_kept_and_the_number_after_it_is_dropped(bound: float) -> None:
    above = float(np.nextafter(np.float32(bound), np.float32(1)))
    assert kept(bound, [bound, above]) == [True, False]


def test_a_null_share_is_not_kept() -> None:
    assert kept(0.92, [None]) == [None]


@pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_share(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"max_flat must be in \[0, 1\], got {bound}"):
        LowInformation(max_flat=bound)


def test_no_planes_give_no_shares() -> None:
    empty = LowInformation().measure(luma_256=np.empty(0, object))
    assert empty.shape == (0,)
    assert empty.dtype == np.float32


def test_order_and_batches_do_not_matter() -> None:
    planes = [card(), noise((80, 90)), np.zeros((30, 40), np.uint8), card()[:100, :150]]
    assert [shares(plane)[0] for plane in planes[::-1]] == shares(*planes)[::-1]
