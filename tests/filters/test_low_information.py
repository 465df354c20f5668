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


def test_cut_squares_count_by_their_area() -> None:
    plane = np.full((9, 10), 50, np.uint8)  # 8 x 8, 8 x 2, 1 x 8 and 1 x 2 pixels
    plane[:8, :8] = noise((8, 8))
    assert shares(plane) == [pytest.approx(26 / 90)]


def test_a_flat_picture_is_all_flat_and_noise_is_not() -> None:
    assert shares(np.full((256, 300), 128, np.uint8), noise((256, 300))) == [1, 0]


def test_a_card_with_a_few_words_is_nearly_all_flat() -> None:
    assert LowInformation().max_flat < shares(card())[0] < 1


def test_a_thumbnail_in_a_wide_border_is_nearly_all_flat() -> None:
    plane = np.full((256, 340), 255, np.uint8)
    plane[88:168, 110:230] = noise((80, 120))  # 11 % of the area
    assert shares(plane)[0] == pytest.approx(0.89, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 7), (8, 8)])
def test_any_shape_has_a_share(shape: tuple[int, int]) -> None:
    assert 0 <= shares(noise(shape))[0] <= 1
    assert shares(np.full(shape, 3, np.uint8)) == [1]


@pytest.mark.parametrize("bound", [0.85, 0.5])
def test_the_bound_is_kept_and_the_number_after_it_is_dropped(bound: float) -> None:
    above = float(np.nextafter(np.float32(bound), np.float32(1)))
    assert kept(bound, [bound, above]) == [True, False]


def test_a_null_share_is_not_kept() -> None:
    assert kept(0.85, [None]) == [None]


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
