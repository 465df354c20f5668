import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.repetition import repeated

from pairsieve.pipeline.hamming import components as module
from pairsieve.pipeline.hamming.components import components, components_of_images
from pairsieve.pipeline.hamming.cost_model import TINIEST, Costs, expected_s, widths
from pairsieve.pipeline.hamming.distinct import distinct
from pairsieve.pipeline.hamming.scan import BUFFER, Arena, near_row_pairs

DISTANCES = range(11)
# Cutting costs next to nothing, so that even two hashes are cut; and what is left to the default.
COSTS = (
    Costs(compare=1, row=1, move=0.01, fetch=0.01, part=0),  # into wide blocks
    Costs(compare=1, row=1, move=0.05, fetch=0.05, part=0.001),  # into narrow ones first
    Costs(compare=10),
)


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
@settings(max_examples=repeated(10, 25), deadline=None, derandomize=True)
@given(hashes=crowds())
def test_labels_are_those_of_comparing_all_pairs(distance: int, hashes: list[int]) -> None:
    expected = by_comparing_all(hashes, distance)
    assert components(array(hashes), distance).tolist() == expected
    for costs in COSTS:
        assert components(array(hashes), distance, costs).tolist() == expected


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("costs", COSTS)
def test_copies_are_found_wherever_their_bits_differ(distance: int, costs: Costs) -> None:
    generator = np.random.default_rng(distance)
    flips = [generator.choice(64, distance, replace=False).tolist() for _ in range(40)]
    for bits in flips:
        base = int(generator.integers(2**63))
        copy = base ^ sum(1 << bit for bit in bits)
        assert components(array([base, copy]), distance, costs).tolist() == [0, 0]


@pytest.mark.parametrize("distance", range(10))
def test_one_bit_farther_apart_is_another_component(distance: int) -> None:
    near, far = (1 << distance) - 1, (1 << (distance + 1)) - 1
    far <<= 40
    assert components(array([0, near, far]), distance).tolist() == [0, 0, 2]


def test_a_chain_of_near_hashes_is_one_component() -> None:
    chain = [(1 << (4 * step)) - 1 for step in range(16)]  # neighbours 4 bits apart, ends 60
    assert components(array(chain[::-1]), 4).tolist() == [0] * 16
    assert components(array(chain), 3).tolist() == list(range(16))


def test_copies_are_found_among_many_other_hashes() -> None:
    generator = np.random.default_rng(1)
    hashes = generator.integers(0, 2**64, 60_000, np.uint64)  # by chance no two within 4 bits
    sources = generator.choice(50_000, 5_000, replace=False)
    hashes[50_000:55_000] = flipped(hashes[sources], 4, generator)
    expected = np.arange(60_000)
    expected[50_000:55_000] = sources
    assert (components(hashes, 4) == expected).all()


@pytest.mark.parametrize("costs", [None, *COSTS])
def test_a_crowd_around_one_hash_is_one_component(costs: Costs | None) -> None:
    generator = np.random.default_rng(2)
    hashes = generator.integers(0, 2**64, 3_000, np.uint64)
    middle = hashes[7]
    hashes[1_000:] = flipped(np.full(2_000, middle), 4, generator)
    expected = np.arange(3_000)
    expected[1_000:] = 7
    assert (components(hashes, 4, costs) == expected).all()


def test_a_crowd_without_its_middle_has_the_components_of_comparing_all() -> None:
    generator = np.random.default_rng(3)
    hashes = np.unique(flipped(np.full(2_000, np.uint64(2**40)), 7, generator))
    hashes = hashes[np.bitwise_count(hashes ^ np.uint64(2**40)) >= 3]
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= 3
    expected = np.arange(len(hashes))
    for _ in range(len(hashes)):
        smallest = np.where(near, expected, len(hashes)).min(axis=1)
        if (smallest == expected).all():
            break
        expected = smallest
    assert 1 < len(set(expected.tolist())) < len(hashes)
    for costs in (None, *COSTS):
        assert (components(hashes, 3, costs) == expected).all()


def test_many_equal_hashes_are_one_component() -> None:
    hashes = np.full(200_000, 12345, np.uint64)
    hashes[100] = 0  # 6 bits from 12345
    labels = components(hashes, 4)
    assert labels[100] == 100
    assert (np.delete(labels, 100) == 0).all()


def test_at_distance_0_only_equal_hashes_are_joined() -> None:
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
    assert components(array([9]), 10, COSTS[0]).tolist() == [0]


def test_hashes_given_are_not_changed() -> None:
    hashes = np.random.default_rng(5).integers(0, 2**64, 1_000, np.uint64)
    before = hashes.copy()
    components(hashes, 4, COSTS[0])
    assert (hashes == before).all()


@pytest.mark.parametrize("distance", [-1, 11])
def test_distance_out_of_range_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"max_distance must be 0 to 10, got {distance}"):
        components(array([1]), distance)


def test_images_with_a_hash_of_each_kind_are_joined_by_either() -> None:
    ones = [0, 1, 0, 3, 4, 3]  # {0, 2}, {3, 5}
    others = [10, 11, 12, 11, 14, 12]  # {1, 3}, {2, 5}
    images = np.tile(np.arange(6), 2)
    assert components_of_images(array(ones + others), images, 6, 0).tolist() == [0, 0, 0, 0, 4, 0]


def test_few_hashes_are_compared_and_many_are_cut() -> None:
    log_of_100, log_of_100_million = (7 - TINIEST, 27 - TINIEST)
    chosen = widths(4, Costs())[4, 64]
    assert chosen[log_of_100] == 0
    assert chosen[log_of_100_million] > 64 // (4 + 2 + 1)  # more than 7 blocks do not pay


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("costs", COSTS[:2])
def test_the_costs_of_these_tests_do_cut_two_hashes(distance: int, costs: Costs) -> None:
    assert widths(distance, costs)[distance, 64, 1 - TINIEST] > 0


def test_expected_cost_grows_with_the_hashes_and_the_distance() -> None:
    costs = [expected_s(count, 4, Costs()) for count in (10**4, 10**6, 10**8, 10**9)]
    assert costs == sorted(costs)
    assert expected_s(10**6, 8, Costs()) > expected_s(10**6, 4, Costs())


def near_pairs(
    hashes: NDArray[np.uint64], distance: int, costs: Costs | None = None
) -> Iterator[NDArray[np.uint32]]:
    """Yield the pairs of rows within the distance, (k, 2): those that `components` joins.

    Of rows with equal hashes, all pair with the first, and only this first with other hashes.
    """
    plan, firsts = widths(distance, costs or Costs()), np.empty(len(hashes), np.uint32)
    with ThreadPoolExecutor(1) as pool:
        unique_hashes = distinct(hashes, firsts, pool, 1)
    repeated = np.flatnonzero(firsts != np.arange(len(hashes))).astype(np.uint32)
    yield np.stack((firsts[repeated], repeated), axis=1)
    arena = Arena()
    for task in module._tasks(unique_hashes, plan, 1):
        for pairs in near_row_pairs(unique_hashes, task, plan, False, arena):
            yield pairs.copy()


def pairs_of_comparing_all(hashes: NDArray[np.uint64], distance: int) -> set[tuple[int, int]]:
    """Return the pairs to find: of equal hashes each with the first, of others the first ones."""
    _, firsts, back = np.unique(hashes, return_index=True, return_inverse=True)
    near = np.bitwise_count(hashes[firsts][:, None] ^ hashes[firsts][None, :]) <= distance
    pairs = [*zip(*firsts[np.array(np.nonzero(near))], strict=True)]
    pairs += [(firsts[number], row) for row, number in enumerate(back)]
    return {(int(one), int(other)) for one, other in map(sorted, pairs) if one != other}


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("costs", [None, *COSTS])
def test_every_pair_is_found_once(distance: int, costs: Costs | None) -> None:
    generator = np.random.default_rng(distance)
    hashes = generator.integers(0, 2**64, 100, np.uint64)
    hashes[35:] = flipped(hashes[generator.integers(0, 35, 65)], 7, generator)
    found = np.concatenate(list(near_pairs(hashes, distance, costs)))
    pairs = [(int(one), int(other)) for one, other in np.sort(found, axis=1)]
    assert sorted(pairs) == sorted(pairs_of_comparing_all(hashes, distance))


def test_more_pairs_than_a_chunk_holds_come_in_chunks() -> None:
    generator = np.random.default_rng(6)
    hashes = np.unique(flipped(np.full(2_000, np.uint64(2**40)), 4, generator))
    chunks = list(near_pairs(hashes, 8))  # all are within 8 of one another
    every = len(hashes) * (len(hashes) - 1) // 2
    assert every > 10 * BUFFER
    assert max(map(len, chunks)) <= BUFFER
    assert len(np.unique(np.sort(np.concatenate(chunks), axis=1), axis=0)) == every


def test_threads_do_not_change_the_labels() -> None:
    generator = np.random.default_rng(7)
    hashes = generator.integers(0, 2**64, 40_000, np.uint64)
    hashes[20_000:] = flipped(hashes[:20_000], 6, generator)
    alone = components(hashes, 4, threads=1)
    assert (components(hashes, 4, threads=5) == alone).all()
    assert 20_000 < len(np.unique(alone)) < 40_000


def test_hashes_that_share_most_bits_have_the_components_of_comparing_all() -> None:
    generator = np.random.default_rng(8)
    hashes = generator.integers(0, 2**14, 2_000, np.uint64) << np.uint64(40)
    hashes = hashes * np.uint64(9)  # no cut of the low 40 bits tells them apart
    expected = by_comparing_all(hashes.tolist(), 1)
    for costs in (None, *COSTS):
        assert components(hashes, 1, costs).tolist() == expected


def test_works_where_nothing_can_be_cached(tmp_path: Path) -> None:
    package = tmp_path / "pairsieve"
    pipeline = package / "pipeline"
    pipeline.mkdir(parents=True)
    import pairsieve

    source = Path(pairsieve.__path__[0])
    for folder in ("schemas", "filters"):
        (package / folder).symlink_to((source / folder).resolve())
    (package / "__init__.py").write_text("")
    for file in (source / "pipeline").resolve().rglob("*.py"):
        copy = pipeline / file.relative_to((source / "pipeline").resolve())
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(file.read_text())
    for room in (pipeline, *(path for path in pipeline.iterdir() if path.is_dir())):
        (room / "__pycache__").write_text("a file, so that no folder can be made")
    (tmp_path / "home").write_text("a file too")
    code = (
        "import numpy as np; from pairsieve.pipeline.hamming import components as hamming; "
        "parents = np.array([0, 1, 1], np.uint32); hamming.flatten(parents); "
        "print(parents, hamming.__file__)"
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
    assert done.stdout.strip().endswith(str(pipeline / "hamming/components.py"))
