import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pairsieve.filters.text_coverage import TextCoverage
from pairsieve.schemas.columns import TEXT_COVERAGE

Plane = NDArray[np.uint8]
E = ("######", "######", "##", "##", "######", "######", "##", "##", "######", "######")


def shares(*planes: Plane) -> list[float]:
    luma = np.empty(len(planes), object)
    luma[:] = planes
    return [float(share) for share in TextCoverage().measure(luma_256=luma)]


def kept(bound: float, values: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"text_coverage": pa.array(values, TEXT_COVERAGE.type)})
    rule = TextCoverage(max_text=bound).rule()
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def lines(tops: tuple[int, ...], ink: int = 20, paper: int = 220, letters: int = 20) -> Plane:
    """A card of 256 x 340 px with lines of letters E: each 6 x 10 px, 3 px apart."""
    plane = np.full((256, 340), paper, np.uint8)
    for top in tops:
        for letter in range(letters):
            for row, marks in enumerate(E):
                left = 50 + 9 * letter
                plane[top + row, left : left + len(marks)] = ink
    return plane


def page(ground: Plane) -> Plane:
    """Three lines of words, black on a white card upon the ground, as a JPEG leaves them."""
    plane = ground.copy()
    cv2.rectangle(plane, (30, 60), (310, 170), 255, -1)
    for index, line in enumerate(("Nobody knows why", "the river runs", "home again today")):
        cv2.putText(plane, line, (50, 92 + 30 * index), cv2.FONT_HERSHEY_DUPLEX, 0.6, 0, 1, 16)
    coded = cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)


def noise(shape: tuple[int, int]) -> Plane:
    return np.random.default_rng(2).integers(0, 256, shape, np.uint8)


def test_boxes_are_counted_by_hand() -> None:
    # 20 letters of 6 px and 19 gaps of 3 px are 177 px wide, and 10 px high.
    one = 177 * 10 / (256 * 340)
    assert shares(lines((40,)), lines((40, 90, 200))) == pytest.approx([one, 3 * one])


def test_light_ink_counts_as_dark_ink_does() -> None:
    assert shares(lines((40, 90), ink=220, paper=20)) == shares(lines((40, 90)))


def test_a_line_is_at_least_one_and_a_half_times_as_wide_as_high() -> None:
    # One letter is 6 px wide, two are 15.
    assert shares(lines((40,), letters=1)) == [0]
    assert shares(lines((40,), letters=2)) == [pytest.approx(15 * 10 / (256 * 340))]


def test_ink_of_45_levels_counts_and_of_44_does_not() -> None:
    assert shares(lines((40,), ink=175))[0] > 0
    assert shares(lines((40,), ink=176)) == [0]


def test_a_caption_is_told_from_what_is_around_it() -> None:
    texture = np.asarray(cv2.GaussianBlur(noise((256, 340)), (0, 0), 1), np.uint8)
    around, caption = shares(texture, page(texture))
    assert around < TextCoverage().max_text < caption


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("period", [4, 8, 20])
def test_stripes_are_no_text(period: int, upright: bool) -> None:
    stripes = np.tile(np.where(np.arange(256) % period < period // 2, 30, 220), (256, 1))
    plane = stripes.T if upright else stripes
    assert shares(plane.astype(np.uint8)) == [0]


def test_a_flat_picture_and_noise_have_no_text() -> None:
    assert shares(np.full((256, 300), 128, np.uint8), noise((256, 300))) == [0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 7), (8, 9)])
def test_any_shape_has_a_share(shape: tuple[int, int]) -> None:
    assert 0 <= shares(noise(shape))[0] <= 1
    assert shares(np.full(shape, 3, np.uint8)) == [0]


@pytest.mark.parametrize("bound", [0.03, 0.5])
def test_the_bound_is_kept_and_the_number_after_it_is_dropped(bound: float) -> None:
    at = np.float32(bound)
    at = at if at <= bound else np.nextafter(at, np.float32(0))
    assert kept(bound, [float(at), float(np.nextafter(at, np.float32(1)))]) == [True, False]


def test_a_null_share_is_not_kept() -> None:
    assert kept(0.03, [None]) == [None]


@pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan")])
def test_refuses_what_is_no_share(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"max_text must be in \[0, 1\], got {bound}"):
        TextCoverage(max_text=bound)


def test_no_planes_give_no_shares() -> None:
    empty = TextCoverage().measure(luma_256=np.empty(0, object))
    assert empty.shape == (0,)
    assert empty.dtype == np.float32


def test_order_and_batches_do_not_matter() -> None:
    planes = [lines((40,)), noise((80, 90)), np.zeros((30, 40), np.uint8), lines((9,))[:100, :150]]
    assert [shares(plane)[0] for plane in planes[::-1]] == shares(*planes)[::-1]
