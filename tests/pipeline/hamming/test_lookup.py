import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.hamming import lookup
from pairsieve.pipeline.hamming.lookup import HashIndex

HASHES = st.integers(0, 2**64 - 1)


def by_comparing_all(
    queries: list[int], references: list[int], max_distance: int
) -> list[tuple[int, int, int]]:
    found = []
    for position, one in enumerate(queries):
        bits, entry = min(
            ((one ^ other).bit_count(), index) for index, other in enumerate(references)
        )
        if bits <= max_distance:
            found.append((position, entry, bits))
    return found


@pytest.mark.parametrize("distance", range(11))
@settings(max_examples=repeated(10, 25), deadline=None, derandomize=True)
@given(
    references=st.lists(HASHES, min_size=1, max_size=12),
    flips=st.lists(st.lists(st.integers(0, 63), max_size=12), max_size=12),
    others=st.lists(HASHES, max_size=3),
)
def test_finds_what_comparing_all_finds(
    distance: int, references: list[int], flips: list[list[int]], others: list[int]
) -> None:
    queries = [
        references[index % len(references)] ^ sum(1 << bit for bit in set(bits))
        for index, bits in enumerate(flips)
    ] + others
    found = HashIndex(np.array(references, np.uint64), distance).find(np.array(queries, np.uint64))
    assert list(found) == by_comparing_all(queries, references, distance)


def test_hashes_that_share_every_block_are_compared_in_bounded_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookup, "COMPARED_AT_ONCE", 10)
    references = np.arange(7, dtype=np.uint64)  # equal in every block but the lowest
    queries = np.array([0, 6, 1 << 63, 0b1111 << 32, 6], np.uint64)
    assert list(HashIndex(references, 2).find(queries)) == [
        (0, 0, 0),
        (1, 6, 0),
        (2, 0, 1),
        (4, 6, 0),
    ]
