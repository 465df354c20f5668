import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsieve.pipeline.hamming import nearest as searched
from pairsieve.pipeline.hamming.nearest import nearest
from pairsieve.schemas.arrays import Hashes

HASHES = st.integers(0, 2**64 - 1)


def by_comparing_all(asked: Hashes, listed: Hashes, most: int) -> tuple[list[int], list[int]]:
    places, bits = [], []
    for one in asked:
        between = np.bitwise_count(listed ^ one).astype(int)
        at = int(between.argmin()) if len(listed) else 0
        near = len(listed) > 0 and between[at] <= most
        places.append(at if near else -1)
        bits.append(int(between[at]) if near else -1)
    return places, bits


def labels_of(count: int, seed: int) -> tuple[Hashes, Hashes]:
    """Return listed hashes, a crowd among them, and asked ones 0 to 11 bits from a listed one."""
    chance = np.random.default_rng(seed)
    listed = chance.integers(0, 2**64, count, np.uint64)
    listed[: count // 4] = listed[0] ^ (
        np.uint64(1) << chance.integers(0, 64, count // 4, np.uint64)
    )
    asked = listed[chance.integers(0, count, count)].copy()
    for row in range(count):
        for bit in chance.choice(64, row % 12, replace=False).tolist():
            asked[row] ^= np.uint64(1 << bit)
    return asked, listed


@pytest.mark.parametrize("distance", range(11))
def test_finds_what_comparing_all_finds(distance: int) -> None:
    asked, listed = labels_of(800, seed=distance)
    places, bits = nearest(asked, listed, distance)
    assert (places.tolist(), bits.tolist()) == by_comparing_all(asked, listed, distance)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    listed=st.lists(HASHES, max_size=12),
    asked=st.lists(HASHES, max_size=6),
    flips=st.lists(st.integers(0, 63), max_size=6),
    distance=st.integers(0, 10),
)
def test_finds_what_comparing_all_finds_in_small_sets(
    listed: list[int], asked: list[int], flips: list[int], distance: int
) -> None:
    changed = [one ^ sum(1 << bit for bit in set(flips)) for one in listed]
    ours, theirs = np.array(asked + changed, np.uint64), np.array(listed, np.uint64)
    places, bits = nearest(ours, theirs, distance)
    assert (places.tolist(), bits.tolist()) == by_comparing_all(ours, theirs, distance)


@pytest.mark.parametrize("equal", range(3))
def test_how_the_bits_are_cut_changes_nothing(equal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, listed = labels_of(500, seed=1)
    wanted = by_comparing_all(asked, listed, 4)
    monkeypatch.setattr(searched, "_cost", lambda distance, this, *counts: abs(this - equal))
    places, bits = nearest(asked, listed, 4, threads=3)
    assert (places.tolist(), bits.tolist()) == wanted


def test_of_equally_near_ones_the_first_listed_counts() -> None:
    listed = np.array([0b100, 0b1000, 0b10, 0b10], np.uint64)
    places, bits = nearest(np.array([0, 0b10], np.uint64), listed, 2)
    assert (places.tolist(), bits.tolist()) == ([0, 2], [1, 0])


@pytest.mark.parametrize("distance", [-1, 11])
def test_distance_out_of_range_is_refused(distance: int) -> None:
    nothing = np.zeros(0, np.uint64)
    with pytest.raises(ValueError, match="max_distance must be 0 to 10"):
        nearest(nothing, nothing, distance)
