"""Which of many indexed 64-bit hashes lie within a Hamming distance of a few queries.

The bits are cut into one block more than the distance: whatever lies within it is equal in at least
one block, so only what shares a block is compared, and every neighbour is found.

Source: Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling" (WWW 2007), section 3.
"""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pairsieve.schemas.arrays import Hashes

BITS = 64
TABLE_BITS = 16  # of a block at most, for a table of all its values: 0.5 MB
COMPARED_AT_ONCE = 1_000_000  # comparisons made together; bounds the memory of a look-up


class HashIndex:
    """Hashes, sorted by each of their blocks."""

    def __init__(self, hashes: Hashes, max_distance: int) -> None:
        """Take the `hashes`, (n,); `max_distance` is the bits in which a neighbour may differ."""
        self._hashes = hashes
        self._max_distance = max_distance
        edges = [BITS * block // (max_distance + 1) for block in range(max_distance + 2)]
        self._blocks: list[_Block] = []
        for low, high in zip(edges, edges[1:], strict=False):
            shift, mask = np.uint64(low), np.uint64((1 << (high - low)) - 1)
            values = (hashes >> shift) & mask
            order = np.argsort(values, kind="stable").astype(np.uint32)
            self._blocks.append(_Block(shift, mask, _Ranges.of(values[order], high - low), order))

    def find(self, queries: Hashes) -> Iterator[tuple[int, int, int]]:
        """Yield (position in `queries`, position of the nearest hash, bits between them).

        Among equally near ones it is the first of the index.
        """
        best = np.full(len(queries), np.iinfo(np.int64).max)  # bits, then position
        for shift, mask, ranges, order in self._blocks:
            firsts, counts = ranges.find((queries >> shift) & mask)
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


class _Ranges(NamedTuple):
    """Where each value of a block stands in its sorted values.

    `starts` is a table by value, where the block is narrow enough for one.
    """

    values: NDArray[np.uint64]
    starts: NDArray[np.int64] | None

    @classmethod
    def of(cls, values: NDArray[np.uint64], bits: int) -> Self:
        """Return the ranges of sorted values of so many bits."""
        if bits > TABLE_BITS:
            return cls(values, None)
        ends = np.cumsum(np.bincount(values.astype(np.int64), minlength=1 << bits))
        return cls(values, np.concatenate((np.zeros(1, np.int64), ends)))

    def find(self, parts: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first position of each value, (n,), and how often it occurs, (n,)."""
        if self.starts is not None:
            indices = parts.astype(np.int64)
            firsts = self.starts[indices]
            return firsts, self.starts[indices + 1] - firsts
        firsts = np.searchsorted(self.values, parts, "left")
        return firsts, np.searchsorted(self.values, parts, "right") - firsts


class _Block(NamedTuple):
    """A block of bits: how to cut it out of a hash, its values sorted, and in which order."""

    shift: np.uint64
    mask: np.uint64
    ranges: _Ranges
    order: NDArray[np.uint32]


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
