import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.hamming import nearest as searched
from pairsieve.pipeline.hamming.nearest import nearest
from pairsieve.schemas.arrays import Hashes

HASHES = st.integers(0, 2**64 - 1)


def by_comparing_all(
    queries: Hashes, references: Hashes, max_distance: int
) -> tuple[list[int], list[int]]:
    indices, bits = [], []
    for one in queries:
        between = np.bitwise_count(references ^ one).astype(int)
        index = int(between.argmin()) if len(references) else 0
        within = len(references) > 0 and between[index] <= max_distance
        indices.append(index if within else -1)
        bits.append(int(between[index]) if within else -1)
    return indices, bits


def drawn_hashes(count: int, seed: int) -> tuple[Hashes, Hashes]:
    """Return queries, 0 to 11 bits from a reference, and references, a crowd among them."""
    generator = np.random.default_rng(seed)
    references = generator.integers(0, 2**64, count, np.uint64)
    references[: count // 4] = references[0] ^ (
        np.uint64(1) << generator.integers(0, 64, count // 4, np.uint64)
    )
    queries = references[generator.integers(0, count, count)].copy()
    for row in range(count):
        for bit in generator.choice(64, row % 12, replace=False).tolist():
            queries[row] ^= np.uint64(1 << bit)
    return queries, references


@pytest.mark.parametrize("distance", range(11))
def test_finds_what_comparing_all_finds(distance: int) -> None:
    queries, references = drawn_hashes(800, seed=distance)
    indices, bits = nearest(queries, references, distance)
    assert (indices.tolist(), bits.tolist()) == by_comparing_all(queries, references, distance)


@settings(max_examples=repeated(20, 50), deadline=None, derandomize=True)
@given(
    references=st.lists(HASHES, max_size=12),
    queries=st.lists(HASHES, max_size=6),
    flips=st.lists(st.integers(0, 63), max_size=6),
    distance=st.integers(0, 10),
)
def test_finds_what_comparing_all_finds_in_small_sets(
    references: list[int], queries: list[int], flips: list[int], distance: int
) -> None:
    changed = [one ^ sum(1 << bit for bit in set(flips)) for one in references]
    hashes, others = np.array(queries + changed, np.uint64), np.array(references, np.uint64)
    indices, bits = nearest(hashes, others, distance)
    assert (indices.tolist(), bits.tolist()) == by_comparing_all(hashes, others, distance)


@pytest.mark.parametrize("equal", range(3))
def test_how_the_bits_are_cut_changes_nothing(equal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, references = drawn_hashes(500, seed=1)
    expected = by_comparing_all(queries, references, 4)
    monkeypatch.setattr(searched, "_cost", lambda distance, this, *counts: abs(this - equal))
    indices, bits = nearest(queries, references, 4, threads=3)
    assert (indices.tolist(), bits.tolist()) == expected


def test_of_equally_near_references_the_first_counts() -> None:
    references = np.array([0b100, 0b1000, 0b10, 0b10], np.uint64)
    indices, bits = nearest(np.array([0, 0b10], np.uint64), references, 2)
    assert (indices.tolist(), bits.tolist()) == ([0, 2], [1, 0])


@pytest.mark.parametrize("distance", [-1, 11])
def test_distance_out_of_range_is_refused(distance: int) -> None:
    nothing = np.zeros(0, np.uint64)
    with pytest.raises(ValueError, match="max_distance must be 0 to 10"):
        nearest(nothing, nothing, distance)
