import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsieve.pipeline.hamming import lookup
from pairsieve.pipeline.hamming.lookup import Near

HASHES = st.integers(0, 2**64 - 1)


def by_comparing_all(asked: list[int], listed: list[int], most: int) -> list[tuple[int, int, int]]:
    found = []
    for place, one in enumerate(asked):
        bits, entry = min(((one ^ other).bit_count(), at) for at, other in enumerate(listed))
        if bits <= most:
            found.append((place, entry, bits))
    return found


@pytest.mark.parametrize("distance", range(11))
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    listed=st.lists(HASHES, min_size=1, max_size=12),
    flips=st.lists(st.lists(st.integers(0, 63), max_size=12), max_size=12),
    others=st.lists(HASHES, max_size=3),
)
def test_finds_what_comparing_all_finds(
    distance: int, listed: list[int], flips: list[list[int]], others: list[int]
) -> None:
    asked = [
        listed[place % len(listed)] ^ sum(1 << bit for bit in set(bits))
        for place, bits in enumerate(flips)
    ] + others
    found = Near(np.array(listed, np.uint64), distance).find(np.array(asked, np.uint64))
    assert list(found) == by_comparing_all(asked, listed, distance)


def test_hashes_that_share_every_block_are_compared_in_bounded_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookup, "COMPARED_AT_ONCE", 10)
    listed = np.arange(7, dtype=np.uint64)  # equal in every block but the lowest
    asked = np.array([0, 6, 1 << 63, 0b1111 << 32, 6], np.uint64)
    assert list(Near(listed, 2).find(asked)) == [(0, 0, 0), (1, 6, 0), (2, 0, 1), (4, 6, 0)]
