import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pairsieve.filters.dhash import Dhash

Plane = NDArray[np.uint8]


def column(planes: list[Plane]) -> NDArray[np.object_]:
    array = np.empty(len(planes), object)
    array[:] = planes
    return array


def hashes(*planes: Plane) -> list[int]:
    return [int(value) for value in Dhash().measure(luma_256=column(list(planes)))]


def grid(rows: list[list[int]], scale: int = 1) -> Plane:
    return np.kron(np.array(rows), np.ones((scale, scale))).astype(np.uint8)


def test_brighter_to_the_right_sets_every_bit_and_darker_none() -> None:
    ramp = np.tile(np.arange(9, dtype=np.uint8) * 10, (8, 1))
    assert hashes(ramp, ramp[:, ::-1]) == [2**64 - 1, 0]


def test_the_first_row_is_in_the_highest_bits_from_left_to_right() -> None:
    rows = [[0] * 9 for _ in range(8)]
    rows[0] = [0, 9, 0, 0, 0, 0, 0, 0, 9]  # rises into the second and into the ninth cell
    rows[7] = [0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert hashes(grid(rows)) == [(0b1000_0001 << 56) | 1]


def test_equal_neighbours_set_no_bit_and_one_level_does() -> None:
    flat = np.full((8, 9), 77, np.uint8)
    above = flat.copy()
    above[0, 1] = 78
    assert hashes(flat, above) == [0, 1 << 63]


def test_a_cell_is_the_mean_of_its_pixels() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (8, 9)).tolist()
    noisy = grid(rows, 4).astype(int)
    noisy[::2] += 1 * (noisy[::2] < 255)  # a mean of half a level more is not more than a level
    assert hashes(grid(rows, 4)) == hashes(grid(rows))
    assert hashes(noisy.astype(np.uint8)) == hashes(grid(rows))


def test_is_near_imagehashs_dhash_of_smooth_pictures() -> None:
    generator = np.random.default_rng(2)
    planes = []
    for _ in range(40):
        coarse = generator.integers(0, 256, (7, 9), np.uint8)
        planes.append(
            np.asarray(Image.fromarray(coarse).resize((384, 256), Image.Resampling.BICUBIC))
        )
    theirs = [int(str(imagehash.dhash(Image.fromarray(plane))), 16) for plane in planes]
    bits = [(a ^ b).bit_count() for a, b in zip(hashes(*planes), theirs, strict=True)]
    assert np.mean(bits) < 3
    assert max(bits) <= 8


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (5, 7), (8, 9), (256, 341)])
def test_planes_of_any_size_have_a_hash(size: tuple[int, int]) -> None:
    plane = np.random.default_rng(3).integers(0, 256, size, np.uint8)
    assert hashes(plane) == hashes(plane.copy())


def test_a_view_has_the_hash_of_its_copy() -> None:
    plane = np.random.default_rng(4).integers(0, 256, (100, 120), np.uint8)
    assert hashes(plane[:, ::-1], plane.T) == hashes(plane[:, ::-1].copy(), plane.T.copy())


def test_no_planes_give_no_hashes() -> None:
    empty = Dhash().measure(luma_256=column([]))
    assert empty.shape == (0,)
    assert empty.dtype == np.uint64


def test_order_and_batches_do_not_matter() -> None:
    generator = np.random.default_rng(5)
    planes = [generator.integers(0, 256, (40, 30 + n), np.uint8) for n in range(5)]
    assert [hashes(plane)[0] for plane in reversed(planes)] == hashes(*planes)[::-1]


def test_there_is_no_option_to_give() -> None:
    with pytest.raises(TypeError, match="max_distance"):
        Dhash(max_distance=4)  # type: ignore[call-arg]
