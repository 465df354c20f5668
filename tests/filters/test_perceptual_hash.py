from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tests.repetition import repeated

from pairsieve.filters.perceptual_hash import PerceptualHash, reduce_to_square
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe

Plane = NDArray[np.uint8]
SIZES = [(1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (5, 7), (31, 33), (32, 32), (32, 90), (90, 32)]
SIZES += [(64, 64), (100, 256), (256, 256), (256, 384), (300, 200), (700, 256), (40, 256)]


def column(planes: list[Plane]) -> NDArray[np.object_]:
    luma = np.empty(len(planes), object)
    luma[:] = planes
    return luma


def hashes(planes: list[Plane]) -> list[int]:
    return [int(value) for value in PerceptualHash().measure(luma_256=column(planes))]


def expected(planes: list[Plane]) -> list[int]:
    return [int(str(imagehash.phash(Image.fromarray(plane))), 16) for plane in planes]


def resized(plane: Plane) -> Plane:
    return np.asarray(Image.fromarray(plane).resize((32, 32), Image.Resampling.LANCZOS))


def some_planes() -> list[Plane]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, size, np.uint8) for size in SIZES]


def noise(size: tuple[int, int], seed: int) -> list[Plane]:
    """Sixty planes of grey noise, black and white noise, and noise that mirrors itself."""
    rng = np.random.default_rng(seed)
    grey = [rng.integers(0, 256, size, np.uint8) for _ in range(30)]
    hard = [(rng.integers(0, 2, size) * 255).astype(np.uint8) for _ in range(15)]
    mirrored = [np.maximum(p, p[:, ::-1]) for p in grey[:8]] + [
        np.maximum(p, p[::-1]) for p in hard
    ]
    return grey + hard + mirrored


def degenerate(size: tuple[int, int]) -> list[Plane]:
    """Flat planes, stripes, chequers, ramps and cards with a border: most coefficients are 0."""
    y, x = np.mgrid[: size[0], : size[1]]
    flat = [np.full(size, level) for level in (0, 1, 2, 77, 127, 128, 200, 254, 255)]
    steps = [1, 2, 3, 4, 8, 16, 32, 50]
    striped = [pattern // n % 2 * 255 for n in steps for pattern in (x, y)]
    chequered = [(x // n + y // n) % 2 * level + 30 for n in steps for level in (100, 225)]
    ramps = [ramp % 256 for ramp in (x, y, x + y, x * y, abs(x - size[1] // 2))]
    cards = [np.where((x < n) | (y < n), 255, 90) for n in (1, 5, 20)]
    return [p.astype(np.uint8) for p in (*flat, *striped, *chequered, *ramps, *cards)]


def test_a_cosine_across_has_the_bits_worked_out_by_hand() -> None:
    # Only the coefficient of the mean and one other are large and positive; the median of the 64
    # is about 0. The cosine with 2 half periods across is row 0, column 2: the third bit.
    across = np.cos(np.pi * 2 * (np.arange(32) + 0.5) / 32)
    plane = np.tile(np.round(128 + 100 * across), (32, 1)).astype(np.uint8)
    assert hashes([plane])[0] >> 61 == 0b101


@pytest.mark.parametrize("size", SIZES)
def test_equals_imagehash_bit_for_bit(size: tuple[int, int]) -> None:
    planes = noise(size, seed=11) + degenerate(size)
    assert hashes(planes) == expected(planes)


@settings(max_examples=repeated(250, 1000), deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32), st.sampled_from([2, 256]))
def test_the_square_is_pillows(height: int, width: int, seed: int, levels: int) -> None:
    levels_drawn = np.random.default_rng(seed).integers(0, levels, (height, width))
    plane = (levels_drawn * (255 // (levels - 1))).astype(np.uint8)
    assert np.array_equal(reduce_to_square(plane), resized(plane))


def test_a_plane_that_is_a_view_has_the_same_hash() -> None:
    plane = np.random.default_rng(5).integers(0, 256, (256, 300), np.uint8)
    views = [plane[::-1], plane[:, ::2], plane.T]
    assert hashes(views) == expected([np.ascontiguousarray(view) for view in views])


def test_real_photographs_have_imagehashs_hash_and_stay_near_their_originals(real: Path) -> None:
    bodies = [path.read_bytes() for path in sorted((real / "www/flickr").glob("*.jpg"))]
    pictures = [picture(body, recipe.Image()) for body in bodies]
    planes = [one.luma_256 for one in pictures if isinstance(one, Picture)]
    assert hashes(planes) == expected(planes)
    files = sorted((real / "www/flickr").glob("*.jpg"))
    originals = [int(str(imagehash.phash(Image.open(file))), 16) for file in files]
    distances = [(a ^ b).bit_count() for a, b in zip(hashes(planes), originals, strict=True)]
    assert distances.count(0) >= 85
    assert sorted(distances)[-2] <= 2


def test_hashes_are_unsigned_64_bit() -> None:
    assert PerceptualHash().measure(luma_256=column(some_planes())).dtype == np.uint64


def test_no_planes_give_no_hashes() -> None:
    empty = PerceptualHash().measure(luma_256=column([]))
    assert empty.shape == (0,)
    assert empty.dtype == np.uint64


def test_order_and_batches_do_not_matter() -> None:
    planes = some_planes() + degenerate((60, 50))
    one_by_one = [hashes([plane])[0] for plane in reversed(planes)]
    assert one_by_one == hashes(planes)[::-1]


def test_there_is_no_option_to_give() -> None:
    with pytest.raises(TypeError, match="max_distance"):
        PerceptualHash(max_distance=4)  # type: ignore[call-arg]
