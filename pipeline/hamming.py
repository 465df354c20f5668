"""Connected components of 64-bit hashes within a Hamming distance: every pair found, none listed.

The 64 bits are cut into `max_distance + agree` blocks. Two hashes within `max_distance` differ in
at most that many blocks, so they are equal in at least `agree` others; bringing together what is
equal in some `agree` blocks, for every choice of them, therefore makes every such pair meet: recall
is exactly 1. Choices that begin with the same blocks share the work: hashes are parted by one
block, each part by the next, in place, and a part is compared pair by pair as soon as that is
quicker than parting it further. Pairs are joined in a union-find as they are met.

Many different hashes around one (the all-white image with a logo in a corner) agree in most blocks
and would be compared all with all. Such a part is cleared first: all that lie within the distance
of its middle are one component, so they need no comparing among themselves.

This file imports numba at its top, because compiled functions are cached on disk only as globals;
so import it where it is used.

Measured, one core, random hashes and a tenth of near copies, distance 4: 1 M in 0.3 s, 10 M in 4.4
to 6.6 s with 68 bytes per hash, 8 of them given and 8 returned; 1 M half of which lie around one
hash in 0.3 s, against 10 s without clearing.

Source: Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling" (WWW 2007), section 3.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pairsieve.filters.duplicate import MAX_DISTANCE
from pairsieve.pipeline.compiled import compiled
from pairsieve.schemas.arrays import Hashes

BITS = 64
WIDEST = 12  # bits of a block that are looked at, so that what counts its parts stays in cache
MOST_AGREEING = 6  # blocks; by the cost model, up to 10 gain at most 26 % (1,000 to 1 G hashes)
# What the search costs, in pairs compared. Measured: 1 M and 10 M random hashes.
MOVE = 12.0  # bringing one hash to its part
PART = 4.0  # opening one part, empty or not
CROWDED = 256  # hashes left together after all parting that make clearing the middle worth trying
SAMPLED = 64  # of them, those whose bits vote for the middle

Labels = NDArray[np.int64]  # (n,)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How to search. It changes the time taken, never the result.

    Attributes:
        agree: Blocks in which a pair must be equal to be compared, beyond `max_distance` others.
        patience: Scale of the size at which a part is compared rather than parted; 0 parts always.
    """

    agree: int
    patience: float = 1.0


class _Search(NamedTuple):
    """The state of one search: `hashes` and `ids` are permuted together, in place.

    Attributes:
        hashes: uint64 (n,), all different.
        ids: uint32 (n,), which element of `parents` a hash is.
        parents: uint32 (n,), union-find.
        shifts: int64 (blocks,), lowest bit of each block.
        widths: int64 (blocks,), bits of each block by which hashes are parted.
        enough: int64 (agree, blocks + 1), the largest part to compare at this depth if this is the
            first block that may come next.
        ends: int64 (agree, 2**bits), scratch: where each part ends.
        distance: Largest distance of a pair.
    """

    hashes: NDArray[np.uint64]
    ids: NDArray[np.uint32]
    parents: NDArray[np.uint32]
    shifts: NDArray[np.int64]
    widths: NDArray[np.int64]
    enough: NDArray[np.int64]
    ends: NDArray[np.int64]
    distance: int


def components(hashes: Hashes, max_distance: int, blocks: Blocks | None = None) -> Labels:
    """Return the smallest row number of each row's component, (n,).

    Two rows are in one component if a chain of hashes leads from one to the other, each step of at
    most `max_distance` bits.

    Args:
        hashes: (n,), fewer than 2**32.
        max_distance: 0 to 10, in bits.
        blocks: How to search; by default what should be quickest for random hashes.

    Raises:
        ValueError: a distance out of range.
    """
    if max_distance not in range(MAX_DISTANCE + 1):
        raise ValueError(f"max_distance must be 0 to {MAX_DISTANCE}, got {max_distance}")
    if not len(hashes):
        return np.empty(0, np.int64)
    order = np.argsort(hashes)
    ordered = hashes[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    different = ordered[starts]
    del ordered
    first = np.minimum.reduceat(order, starts)
    if max_distance:
        roots = _roots(different, max_distance, blocks or fastest(len(different), max_distance))
        smallest = first.copy()
        np.minimum.at(smallest, roots, first)
        first = smallest[roots]
    labels = np.empty(len(hashes), np.int64)
    labels[order] = np.repeat(first, np.diff(starts, append=len(hashes)))
    return labels


def joined(labels: Labels, others: Labels) -> Labels:
    """Return the labels, (n,), of the components of two groupings of the same rows together.

    Both say for each row the smallest row of its group, and so does the result.
    """
    parents = labels.astype(np.uint32)
    _join(parents, others)
    return parents.astype(np.int64)


def fastest(count: int, max_distance: int) -> Blocks:
    """Return the blocks that should be quickest for `count` different random hashes."""
    choices = [Blocks(agree) for agree in range(1, MOST_AGREEING + 1)]
    return min(choices, key=lambda blocks: _cost(count, max_distance, blocks.agree))


def _cost(count: int, distance: int, agree: int) -> float:
    """Return the expected cost of a search over random hashes, in pairs compared."""
    parts = math.pow(2, min(BITS / (distance + agree), WIDEST))

    @cache
    def cost(depth: int, first: int) -> float:
        size = count / math.pow(parts, depth)
        compare = size * size / 2
        if depth == agree:
            return compare
        part = size * MOVE + parts * PART
        later = range(first, distance + depth + 1)
        return min(compare, sum(part + parts * cost(depth + 1, block + 1) for block in later))

    return cost(0, 0)


def _roots(hashes: Hashes, distance: int, blocks: Blocks) -> NDArray[np.uint32]:
    """Return the position of the root of each hash's component, (n,); permutes `hashes`."""
    edges = np.linspace(0, BITS, distance + blocks.agree + 1).round().astype(np.int64)
    widths = np.minimum(np.diff(edges), WIDEST)
    ids = np.arange(len(hashes), dtype=np.uint32)
    search = _Search(
        hashes,
        ids,
        ids.copy(),
        edges[:-1],
        widths,
        _enough(widths, blocks),
        np.empty((blocks.agree, 1 << int(widths.max())), np.int64),
        distance,
    )
    if len(hashes) <= search.enough[0, 0]:
        _compare(search, 0, len(hashes))
    else:
        _descend(search, 0, len(hashes), 0, 0)
    _flatten(search.parents)
    return search.parents


def _enough(widths: NDArray[np.int64], blocks: Blocks) -> NDArray[np.int64]:
    """Return the sizes at which comparing all pairs costs as much as parting to the end."""
    enough = np.full((blocks.agree + 1, len(widths) + 1), CROWDED)
    parts = 1 << int(widths.max())
    for depth in range(blocks.agree):
        for block in range(len(widths) + 1):
            tables = math.comb(len(widths) - block, blocks.agree - depth)
            moves, opens = MOVE * tables, PART * parts * tables
            enough[depth, block] = blocks.patience * (moves + math.sqrt(moves**2 + 2 * opens))
    return enough


def _emit_popcount(context: Any, bits: Any) -> Any:
    """Tell numba how to count the bits that are set: one machine instruction."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.uint64), emit


_popcount: Any = intrinsic(_emit_popcount)


@compiled
def _find(parents: NDArray[np.uint32], element: int) -> int:
    """Return the root of an element, halving the way to it."""
    while parents[element] != element:
        parents[element] = parents[parents[element]]
        element = parents[element]
    return element


@compiled
def _union(parents: NDArray[np.uint32], one: int, other: int) -> None:
    """Make two elements one component, whose root is the smaller of the two roots."""
    one, other = _find(parents, one), _find(parents, other)
    if one < other:
        parents[other] = one
    elif other < one:
        parents[one] = other


@compiled
def _flatten(parents: NDArray[np.uint32]) -> None:
    """Make every element point at its root."""
    for element in range(len(parents)):
        parents[element] = parents[parents[element]]  # a parent is smaller, so flat by now


@compiled
def _join(parents: NDArray[np.uint32], others: Labels) -> None:
    """Join every element with its label in `others`."""
    for element in range(len(parents)):
        _union(parents, element, others[element])
    _flatten(parents)


@compiled
def _descend(search: _Search, low: int, high: int, first: int, depth: int) -> None:
    """Find all pairs in [low, high), whose hashes are equal in `depth` blocks before `first`."""
    if depth == len(search.ends):
        _compare_crowd(search, low, high)
        return
    ends = search.ends[depth]
    for block in range(first, search.distance + depth + 1):
        _part(search, low, high, block, depth)
        enough = search.enough[depth + 1, block + 1]
        start = low
        for part in range(1 << search.widths[block]):
            end = ends[part]
            if end - start > enough:
                _descend(search, start, end, block + 1, depth + 1)
            elif end - start > 1:
                _compare(search, start, end)
            start = end


@compiled
def _part(search: _Search, low: int, high: int, block: int, depth: int) -> None:
    """Bring together, in place, what is equal in `block`; `ends[depth]` says where parts end.

    Each hash is exchanged with the one in the next free place of its part (American flag sort).
    """
    hashes, ids, ends = search.hashes, search.ids, search.ends[depth]
    shift = np.uint64(search.shifts[block])
    parts = 1 << search.widths[block]
    mask = np.uint64(parts - 1)
    sizes = ends[:parts]
    sizes[:] = 0
    for place in range(low, high):
        sizes[(hashes[place] >> shift) & mask] += 1
    free = np.empty(parts, np.int64)
    end = low
    for part in range(parts):
        free[part] = end
        end += sizes[part]
        sizes[part] = end
    for part in range(parts):
        while free[part] < ends[part]:
            place = free[part]
            wanted = np.int64((hashes[place] >> shift) & mask)
            if wanted != part:
                target = free[wanted]
                hashes[place], hashes[target] = hashes[target], hashes[place]
                ids[place], ids[target] = ids[target], ids[place]
            free[wanted] += 1


@compiled
def _compare(search: _Search, low: int, high: int) -> None:
    """Join every pair of [low, high) that is near enough."""
    hashes, ids = search.hashes, search.ids
    for one in range(low, high):
        mine = hashes[one]
        for other in range(one + 1, high):
            if _popcount(mine ^ hashes[other]) <= search.distance:
                _union(search.parents, ids[one], ids[other])


@compiled
def _compare_crowd(search: _Search, low: int, high: int) -> None:
    """Join every pair of [low, high) that is near enough, clearing crowded middles first."""
    while high - low > CROWDED:
        cleared = _clear_middle(search, low, high)
        low += cleared
        if cleared < SAMPLED:
            break
    _compare(search, low, high)


@compiled
def _clear_middle(search: _Search, low: int, high: int) -> int:
    """Settle all pairs of the hashes around a middle; return how many, now first in [low, high).

    What is within the distance of the middle is joined with it; what is within twice the distance
    needs only one neighbour among those; what lies farther has none.
    """
    hashes, ids, parents, distance = search.hashes, search.ids, search.parents, search.distance
    middle = _middle(hashes[low:high])
    near = _gather_near(search, low, high, middle, distance)
    rim = _gather_near(search, near, high, middle, 2 * distance)
    for place in range(low + 1, near):
        _union(parents, ids[low], ids[place])
    for place in range(near, rim):
        if _find(parents, ids[place]) == _find(parents, ids[low]):
            continue
        for other in range(low, near):
            if _popcount(hashes[place] ^ hashes[other]) <= distance:
                _union(parents, ids[place], ids[other])
                break
    return near - low


@compiled
def _gather_near(search: _Search, low: int, high: int, middle: np.uint64, distance: int) -> int:
    """Move what is within `distance` of `middle` to the front of [low, high); return its end."""
    hashes, ids = search.hashes, search.ids
    for place in range(low, high):
        if _popcount(hashes[place] ^ middle) <= distance:
            hashes[low], hashes[place] = hashes[place], hashes[low]
            ids[low], ids[place] = ids[place], ids[low]
            low += 1
    return low


@compiled
def _middle(hashes: NDArray[np.uint64]) -> np.uint64:
    """Return the hash that is nearest to what the bits of a sample vote for."""
    votes = np.uint64(0)
    step = len(hashes) // SAMPLED
    for bit in range(BITS):
        ones = np.int64(0)
        for place in range(SAMPLED):
            ones += np.int64((hashes[place * step] >> np.uint64(bit)) & np.uint64(1))
        if 2 * ones > SAMPLED:
            votes |= np.uint64(1) << np.uint64(bit)
    best: np.uint64 = hashes[0]
    for other in hashes:
        if _popcount(other ^ votes) < _popcount(best ^ votes):
            best = other
    return best
