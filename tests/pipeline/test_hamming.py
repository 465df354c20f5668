import os
import subprocess
import sys
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pairsieve.pipeline.hamming import Blocks, components, fastest, joined

DISTANCES = range(11)
WAYS = (Blocks(1, 0), Blocks(2, 0), Blocks(3, 0.2))  # patience 0 never falls back on all pairs


def by_comparing_all(hashes: list[int], distance: int) -> list[int]:
    labels = list(range(len(hashes)))
    for one, other in combinations(range(len(hashes)), 2):
        if (hashes[one] ^ hashes[other]).bit_count() <= distance:
            kept, gone = sorted((labels[one], labels[other]))
            labels = [kept if label == gone else label for label in labels]
    return labels


def array(hashes: list[int]) -> NDArray[np.uint64]:
    return np.array(hashes, np.uint64)


def flipped(
    hashes: NDArray[np.uint64], most: int, generator: np.random.Generator
) -> NDArray[np.uint64]:
    """Return each hash with 0 to `most` random bits changed."""
    hashes = hashes.copy()
    count = generator.integers(0, most + 1, len(hashes))
    for step in range(most):
        bit = generator.integers(0, 64, len(hashes)).astype(np.uint64)
        hashes ^= np.where(count > step, np.uint64(1) << bit, np.uint64(0))
    return hashes


@st.composite
def crowds(draw: st.DrawFn) -> list[int]:
    """Draw hashes most of which are a few bits from one of the others."""
    seeds = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6))
    hashes = list(seeds)
    for bits in draw(st.lists(st.lists(st.integers(0, 63), max_size=12), max_size=24)):
        base = draw(st.sampled_from(hashes))
        hashes.append(base ^ sum(1 << bit for bit in set(bits)))
    return draw(st.permutations(hashes))


@pytest.mark.parametrize("distance", DISTANCES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(hashes=crowds())
def test_labels_are_those_of_comparing_all_pairs(distance: int, hashes: list[int]) -> None:
    wanted = by_comparing_all(hashes, distance)
    assert components(array(hashes), distance).tolist() == wanted
    for blocks in WAYS:
        assert components(array(hashes), distance, blocks).tolist() == wanted


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("blocks", WAYS)
def test_every_place_of_the_changed_bits_is_found(distance: int, blocks: Blocks) -> None:
    generator = np.random.default_rng(distance)
    places = [generator.choice(64, distance, replace=False).tolist() for _ in range(300)]
    for bits in places:
        base = int(generator.integers(2**63))
        near = base ^ sum(1 << bit for bit in bits)
        assert components(array([base, near]), distance, blocks).tolist() == [0, 0]


@pytest.mark.parametrize("distance", range(10))
def test_one_bit_farther_apart_is_another_component(distance: int) -> None:
    near, far = (1 << distance) - 1, (1 << (distance + 1)) - 1
    far <<= 40
    assert components(array([0, near, far]), distance).tolist() == [0, 0, 2]


def test_a_chain_of_near_hashes_is_one_component() -> None:
    chain = [(1 << (4 * step)) - 1 for step in range(16)]  # neighbours 4 bits apart, ends 60
    assert components(array(chain[::-1]), 4).tolist() == [0] * 16
    assert components(array(chain), 3).tolist() == list(range(16))


def test_planted_clusters_are_found_among_many_strangers() -> None:
    generator = np.random.default_rng(1)
    hashes = generator.integers(0, 2**64, 60_000, np.uint64)  # by chance no two within 4 bits
    sources = generator.choice(50_000, 5_000, replace=False)
    hashes[50_000:55_000] = flipped(hashes[sources], 4, generator)
    wanted = np.arange(60_000)
    wanted[50_000:55_000] = sources
    assert (components(hashes, 4) == wanted).all()


@pytest.mark.parametrize("blocks", [None, Blocks(1, 0), Blocks(2, 0)])
def test_a_crowd_around_one_hash_is_one_component(blocks: Blocks | None) -> None:
    generator = np.random.default_rng(2)
    hashes = generator.integers(0, 2**64, 30_000, np.uint64)
    middle = hashes[7]
    hashes[10_000:] = flipped(np.full(20_000, middle), 4, generator)
    wanted = np.arange(30_000)
    wanted[10_000:] = 7
    assert (components(hashes, 4, blocks) == wanted).all()


def test_a_crowd_without_its_middle_has_the_components_of_comparing_all() -> None:
    generator = np.random.default_rng(3)
    hashes = np.unique(flipped(np.full(2_000, np.uint64(2**40)), 7, generator))
    hashes = hashes[np.bitwise_count(hashes ^ np.uint64(2**40)) >= 3]
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= 3
    wanted = np.arange(len(hashes))
    for _ in range(len(hashes)):
        smallest = np.where(near, wanted, len(hashes)).min(axis=1)
        if (smallest == wanted).all():
            break
        wanted = smallest
    assert 1 < len(set(wanted.tolist())) < len(hashes)
    for blocks in (Blocks(1, 0), Blocks(2, 0)):
        assert (components(hashes, 3, blocks) == wanted).all()


def test_in_a_crowd_that_meets_once_nobody_is_lost() -> None:
    # With Blocks(1) at distance 5 the blocks begin at bits 0, 11, 21, 32, 43 and 53. A word sets
    # one bit of each block but the first, chosen by a quadratic over the integers modulo 7: two
    # words share at most two bits, so they are at least 6 apart, and 5 from 0, which they meet in
    # the first block only. An outlier is a word with one bit more in each of those blocks.
    starts = (11, 21, 32, 43, 53)
    words = [
        sum(1 << (start + (a + b * x + c * x * x) % 7) for x, start in enumerate(starts))
        for a, b, c in product(range(7), repeat=3)
    ]
    outliers = [word ^ sum(1 << (start + 7) for start in starts) for word in words[:1]]
    assert components(array([0, *words, *outliers]), 5, Blocks(1, 0)).tolist() == [0] * 345
    assert components(array([*words, *outliers]), 5, Blocks(1, 0)).tolist() == [*range(343), 0]


def test_many_equal_hashes_are_one_component() -> None:
    hashes = np.full(200_000, 12345, np.uint64)
    hashes[100] = 0  # 6 bits from 12345
    labels = components(hashes, 4)
    assert labels[100] == 100
    assert (np.delete(labels, 100) == 0).all()


def test_at_distance_0_only_equal_hashes_meet() -> None:
    assert components(array([5, 4, 5, 2**64 - 1, 4]), 0).tolist() == [0, 1, 0, 3, 1]


def test_order_of_the_rows_does_not_matter() -> None:
    generator = np.random.default_rng(4)
    hashes = generator.integers(0, 2**64, 5_000, np.uint64)
    hashes[2_500:] = flipped(hashes[:2_500], 6, generator)
    order = generator.permutation(5_000)
    labels, shuffled = components(hashes, 4), components(hashes[order], 4)
    groups = {tuple(np.flatnonzero(labels == label)) for label in set(labels.tolist())}
    moved = {tuple(sorted(order[shuffled == label].tolist())) for label in set(shuffled.tolist())}
    assert moved == groups


def test_no_hash_and_a_single_one() -> None:
    assert components(array([]), 4).tolist() == []
    assert components(array([9]), 10, Blocks(2, 0)).tolist() == [0]


def test_hashes_given_are_not_changed() -> None:
    hashes = np.random.default_rng(5).integers(0, 2**64, 1_000, np.uint64)
    before = hashes.copy()
    components(hashes, 4, Blocks(2, 0))
    assert (hashes == before).all()


@pytest.mark.parametrize("distance", [-1, 11])
def test_distance_out_of_range_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"max_distance must be 0 to 10, got {distance}"):
        components(array([1]), distance)


def test_two_groupings_are_joined() -> None:
    files = np.array([0, 1, 0, 3, 4, 3])  # {0, 2}, {3, 5}
    looks = np.array([0, 1, 2, 1, 4, 2])  # {1, 3}, {2, 5}
    assert joined(files, looks).tolist() == [0, 0, 0, 0, 4, 0]


def test_more_hashes_want_more_blocks_to_agree() -> None:
    assert fastest(10**9, 7).agree > fastest(10**4, 7).agree


def test_works_where_nothing_can_be_cached(tmp_path: Path) -> None:
    package = tmp_path / "pairsieve"
    pipeline = package / "pipeline"
    pipeline.mkdir(parents=True)
    import pairsieve

    source = Path(pairsieve.__path__[0])
    for folder in ("schemas", "filters"):
        (package / folder).symlink_to((source / folder).resolve())
    (package / "__init__.py").write_text("")
    (pipeline / "__init__.py").write_text("")
    for file in ("compiled.py", "hamming.py"):
        (pipeline / file).write_text((source / "pipeline" / file).read_text())
    (pipeline / "__pycache__").write_text("a file, so that no folder can be made")
    (tmp_path / "home").write_text("a file too")
    code = (
        "import numpy as np; from pairsieve.pipeline import hamming; "
        "print(hamming.joined(np.arange(3), np.array([0, 1, 1])), hamming.__file__)"
    )
    home = str(tmp_path / "home")
    environment = {"HOME": home, "XDG_CACHE_HOME": home, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("] ")[0] == "[0 1 1"
    assert done.stdout.strip().endswith(str(pipeline / "hamming.py"))
