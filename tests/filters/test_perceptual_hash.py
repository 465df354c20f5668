import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.filters.perceptual_hash import PerceptualHash

Plane = NDArray[np.uint8]


def column(planes: list[Plane]) -> NDArray[np.object_]:
    luma = np.empty(len(planes), object)
    luma[:] = planes
    return luma


def some_planes() -> list[Plane]:
    rng = np.random.default_rng(3)
    shapes = [(1, 1), (1, 40), (40, 1), (32, 32), (48, 64), (300, 200)]
    noise = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    ramp = np.tile(np.arange(256, dtype=np.uint8), (100, 1))
    return [*noise, ramp, ramp.T, np.zeros((50, 50), np.uint8), np.full((50, 60), 255, np.uint8)]


def test_a_cosine_across_has_the_bits_worked_out_by_hand() -> None:
    # Only the coefficient of the mean and one other are large and positive; the median of the 64
    # is about 0. The cosine with 2 half periods across is row 0, column 2: the third bit.
    across = np.cos(np.pi * 2 * (np.arange(32) + 0.5) / 32)
    plane = np.tile(np.round(128 + 100 * across), (32, 1)).astype(np.uint8)
    (value,) = PerceptualHash().measure(luma=column([plane]))
    assert int(value) >> 61 == 0b101


def test_equals_imagehash_bit_for_bit() -> None:
    planes = some_planes()
    expected = [int(str(imagehash.phash(Image.fromarray(plane))), 16) for plane in planes]
    assert PerceptualHash().measure(luma=column(planes)).tolist() == expected


def test_hashes_are_unsigned_64_bit() -> None:
    assert PerceptualHash().measure(luma=column(some_planes())).dtype == np.uint64


def test_no_planes_give_no_hashes() -> None:
    hashes = PerceptualHash().measure(luma=column([]))
    assert hashes.shape == (0,)
    assert hashes.dtype == np.uint64


def test_order_and_batches_do_not_matter() -> None:
    planes = some_planes()
    whole = PerceptualHash().measure(luma=column(planes)).tolist()
    one_by_one = [int(PerceptualHash().measure(luma=column([p]))[0]) for p in reversed(planes)]
    assert one_by_one == whole[::-1]


def test_there_is_no_option_to_give() -> None:
    with pytest.raises(TypeError, match="max_distance"):
        PerceptualHash(max_distance=4)  # type: ignore[call-arg]
