"""Which of many indexed 64-bit hashes lie within a Hamming distance of a few queries.

The bits are cut into one block more than the distance: whatever lies within it is equal in at least
one block, so only what shares a block is compared, and every neighbour is found.

Source: Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling" (WWW 2007), section 3.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pairsieve.schemas.arrays import Hashes

BITS = 64
COMPARED_AT_ONCE = 1_000_000  # comparisons made together; bounds the memory of a look-up


class HashIndex:
    """Hashes, sorted by each of their blocks."""

    def __init__(self, hashes: Hashes, max_distance: int) -> None:
        """Take the `hashes`, (n,); `max_distance` is the bits in which a neighbour may differ."""
        self._hashes = hashes
        self._max_distance = max_distance
        edges = [BITS * block // (max_distance + 1) for block in range(max_distance + 2)]
        self._blocks = []
        for low, high in zip(edges, edges[1:], strict=False):
            shift, mask = np.uint64(low), np.uint64((1 << (high - low)) - 1)
            values = (hashes >> shift) & mask
            order = np.argsort(values, kind="stable").astype(np.uint32)
            narrow = np.uint32 if high - low <= 32 else np.uint64
            self._blocks.append((shift, mask, values[order].astype(narrow), order))

    def find(self, queries: Hashes) -> Iterator[tuple[int, int, int]]:
        """Yield (position in `queries`, position of the nearest hash, bits between them).

        Among equally near ones it is the first of the index.
        """
        best = np.full(len(queries), np.iinfo(np.int64).max)  # bits, then position
        for shift, mask, values, order in self._blocks:
            parts = ((queries >> shift) & mask).astype(values.dtype)
            firsts = np.searchsorted(values, parts, "left")
            counts = np.searchsorted(values, parts, "right") - firsts
            for start, stop in _steps(counts):
                query_positions = np.repeat(np.arange(start, stop), counts[start:stop])
                entries = order[_ranges(firsts[start:stop], counts[start:stop])].astype(np.int64)
                bits = np.bitwise_count(queries[query_positions] ^ self._hashes[entries]).astype(
                    np.int64
                )
                within = bits <= self._max_distance
                np.minimum.at(best, query_positions[within], bits[within] << 32 | entries[within])
        for position in np.flatnonzero(best < np.iinfo(np.int64).max).tolist():
            yield position, int(best[position]) & 0xFFFF_FFFF, int(best[position]) >> 32


def _steps(counts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of runs whose counts add up to about COMPARED_AT_ONCE or less."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start] - counts[start]
        stop = int(np.searchsorted(ends, before + COMPARED_AT_ONCE, "right"))
        stop = max(stop, start + 1)
        yield start, stop
        start = stop


def _ranges(firsts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `firsts[i], firsts[i] + 1, ...`, `counts[i]` of them, one range after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(firsts - ends + counts, counts)
