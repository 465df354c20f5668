from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pairsieve.filters.size import Size
from pairsieve.schemas.columns import FETCH_BYTES, HEIGHT, WIDTH

Image = tuple[int | None, int | None, int | None]  # width, height, bytes


def kept(images: list[Image], **options: Any) -> list[bool | None]:
    columns = zip((WIDTH, HEIGHT, FETCH_BYTES), zip(*images, strict=True), strict=True)
    ledger = pa.table({c.name: pa.array(values, c.type) for c, values in columns})
    return [row[0] for row in duckdb.from_arrow(ledger).project(Size(**options).rule()).fetchall()]


def test_the_shorter_side_decides_and_its_bound_is_kept() -> None:
    images: list[Image] = [(200, 900, 1), (900, 200, 1), (199, 900, 1), (900, 199, 1)]
    assert kept(images) == [True, True, False, False]


def test_the_longer_side_decides_and_its_bound_is_kept() -> None:
    images: list[Image] = [(300, 900, 1), (900, 300, 1), (300, 901, 1), (901, 300, 1)]
    assert kept(images, max_side_px=900) == [True, True, False, False]


def test_pixels_are_width_times_height_and_both_bounds_are_kept() -> None:
    images: list[Image] = [(256, 256, 1), (255, 257, 1), (400, 300, 1), (401, 300, 1)]
    expected = [True, False, True, False]
    assert kept(images, min_side_px=1, min_pixels=65_536, max_pixels=120_000) == expected


def test_bytes_are_those_of_the_file_and_both_bounds_are_kept() -> None:
    images: list[Image] = [(300, 300, size) for size in (4_999, 5_000, 9_000, 9_001)]
    assert kept(images, min_bytes=5_000, max_bytes=9_000) == [False, True, True, False]


def test_an_image_of_the_most_pixels_does_not_overflow() -> None:
    assert kept([(40_000, 50_000, 1)], min_pixels=2_000_000_000) == [True]


def test_without_bounds_every_image_is_kept_and_no_image_is_not() -> None:
    assert kept([(1, 1, 1), (None, None, None)], min_side_px=1) == [True, None]


@pytest.mark.parametrize("what", ["side_px", "pixels", "bytes"])
def test_refuses_bounds_that_leave_nothing(what: str) -> None:
    with pytest.raises(ValueError, match=rf"max_{what} must be at least min_{what} \(300\), got 9"):
        Size(**{f"min_{what}": 300, f"max_{what}": 9})
    with pytest.raises(ValueError, match=f"min_{what} must be at least 1, got 0"):
        Size(**{f"min_{what}": 0})
