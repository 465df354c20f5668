import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.centre_hash import CentreHash, centre
from pairsieve.filters.perceptual_hash import PerceptualHash

Plane = NDArray[np.uint8]


def column(planes: list[Plane]) -> NDArray[np.object_]:
    array = np.empty(len(planes), object)
    array[:] = planes
    return array


def waves(seed: int, height: int = 200, width: int = 300) -> Plane:
    """Return a smooth plane: a sum of cosines, of which a few are slow."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / height
    total = sum(
        generator.normal() * np.cos(a * y + b * x + c)
        for a, b, c in generator.uniform(0, 9, (9, 3))
    )
    plane: Plane = np.clip(128 + 40 * np.asarray(total), 0, 255).astype(np.uint8)
    return plane


def test_the_middle_lacks_three_percent_at_each_edge() -> None:
    plane = waves(0)
    assert centre(plane).shape == (188, 282)
    assert (centre(plane) == plane[6:-6, 9:-9]).all()


def test_it_is_the_phash_of_a_copy_that_was_cropped() -> None:
    planes = [waves(seed) for seed in range(10)]
    cropped = column([plane[6:-6, 9:-9] for plane in planes])
    assert (CentreHash().measure(column(planes)) == PerceptualHash().measure(cropped)).all()


def test_a_plane_of_few_pixels_is_its_own_middle() -> None:
    plane = waves(1)[:16, :16]
    assert CentreHash().measure(column([plane])) == PerceptualHash().measure(column([plane]))


def test_no_planes_give_no_hashes() -> None:
    assert CentreHash().measure(column([])).shape == (0,)


def test_order_and_batches_do_not_matter() -> None:
    planes = [waves(seed) for seed in range(5)]
    each = [int(CentreHash().measure(column([plane]))[0]) for plane in planes]
    assert CentreHash().measure(column(planes[::-1])).tolist() == each[::-1]
