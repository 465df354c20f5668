import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pairsieve.filters.upscaled import Upscaled
from pairsieve.schemas.columns import UPSCALED

Plane = NDArray[np.uint8]


def factors(*planes: Plane) -> list[float]:
    luma = np.empty(len(planes), object)
    luma[:] = planes
    return [float(factor) for factor in Upscaled().measure(luma=luma)]


def kept(bound: float, values: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"upscaled": pa.array(values, UPSCALED.type)})
    rule = Upscaled(max_factor=bound).rule()
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def natural(side: int) -> Plane:
    """A square whose spectrum falls as natural pictures' does: amplitude as 1 / frequency."""
    rng = np.random.default_rng(4)
    across, down = np.fft.fftfreq(side), np.fft.fftfreq(side)[:, None]
    frequency = np.hypot(across, down)
    frequency[0, 0] = 1
    waves = np.fft.fft2(rng.normal(size=(side, side))) / frequency
    picture = np.fft.ifft2(waves).real
    return np.asarray(np.clip(128 + 45 * picture / picture.std(), 0, 255), np.uint8)


def enlarged(factor: float, side: int = 512) -> Plane:
    small = natural(round(side / factor))
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_a_single_wave_is_worked_out_by_hand() -> None:
    # A wave of 8 px has a quarter of the finest frequency, that of 2 px. The window spreads it over
    # one bin of 64 to either side, with a sixth of the energy each, so that 90 % end at bin 17.
    wave = 128 + 100 * np.cos(2 * np.pi * np.arange(512) / 8)
    assert factors(np.tile(wave.astype(np.uint8), (300, 1))) == [pytest.approx(64 / 17)]


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_the_factor_is_told_to_a_fifth(factor: float) -> None:
    assert factors(enlarged(factor)) == [pytest.approx(factor, rel=0.2)]


def test_detail_to_the_last_pixel_is_no_enlargement() -> None:
    assert factors(natural(512))[0] < 1.3


def test_a_wide_picture_enlarged_one_way_counts_what_it_has_left() -> None:
    both = factors(enlarged(4))[0]
    small = cv2.resize(natural(512), (128, 512), interpolation=cv2.INTER_AREA)
    across = cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC)
    assert 1 < factors(np.asarray(across, np.uint8))[0] < both


def test_contrast_and_turning_do_not_matter() -> None:
    plane = enlarged(3)
    half = (plane // 2 + 60).astype(np.uint8)
    assert factors(half, plane[::-1].T.copy()) == pytest.approx(factors(plane) * 2, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 128), (128, 1), (128, 128)])
def test_what_is_too_small_to_tell_is_1(shape: tuple[int, int]) -> None:
    assert factors(np.random.default_rng(0).integers(0, 256, shape, np.uint8)) == [1]


@pytest.mark.parametrize("shape", [(1, 129), (129, 1), (1, 2000), (300, 200)])
def test_longer_lines_are_looked_at(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert 1 <= factors(noise)[0] < 1.5
    assert factors(np.full(shape, 9, np.uint8)) == [1]


def test_a_clear_sky_is_not_enlarged() -> None:
    assert factors(np.repeat(np.linspace(120, 230, 400).astype(np.uint8)[:, None], 500, 1)) == [1]


@pytest.mark.parametrize("bound", [2.5, 1.0])
def test_the_bound_is_kept_and_the_number_after_it_is_dropped(bound: float) -> None:
    above = float(np.nextafter(np.float32(bound), np.float32(9)))
    assert kept(bound, [bound, above]) == [True, False]


def test_a_null_factor_is_not_kept() -> None:
    assert kept(2.5, [None]) == [None]


@pytest.mark.parametrize("bound", [0.9, 65, float("nan")])
def test_refuses_what_cannot_be_measured(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"max_factor must be in \[1, 64\], got {bound}"):
        Upscaled(max_factor=bound)


def test_no_planes_give_no_factors() -> None:
    empty = Upscaled().measure(luma=np.empty(0, object))
    assert empty.shape == (0,)
    assert empty.dtype == np.float32


def test_order_and_batches_do_not_matter() -> None:
    planes = [enlarged(factor, 300) for factor in (1, 2, 3, 5)]
    assert [factors(plane)[0] for plane in planes[::-1]] == factors(*planes)[::-1]
