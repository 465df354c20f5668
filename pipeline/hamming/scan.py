"""The search of `components.py` through one task: pairs are yielded in a buffer, when it is full.

A task is what all hashes are cut into by one block, or some values of it, and can be searched by
itself, on any machine. The search goes down from there; at each node it keeps which part of which
block is next, so it can stop wherever the buffer is full and go on later. A node's parts are
written behind those of the nodes above it in one arena, which grows when it must.

A pair may be equal in several blocks. It counts in the first of them only, which shows in its bits,
so every pair is yielded exactly once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.hamming.cost_model import BITS, TINIEST, WIDEST, Widths
from pairsieve.pipeline.hamming.distinct import Distinct
from pairsieve.pipeline.hamming.popcount import LANES, near_lanes, popcount
from pairsieve.pipeline.hamming.tasks import Rows, Task, pick
from pairsieve.pipeline.hamming.union_find import Pairs
from pairsieve.schemas.arrays import Hashes

BUFFER = 65_536  # pairs
CROWDED = 512  # hashes of a node that make clearing the middle worth trying
SAMPLED = 64  # of them, those that vote on the middle
CROWD = 8  # of the sample, those that make a crowd

# A frame, one per node on the way from the root: where its hashes are in the arena, where those
# of its parts; its first unknown bit; blocks known to differ; the width of its blocks; the block
# that is looked at, and the end of those to look at; of this block, the largest part to compare;
# the next part, where it starts and from which row on it is not compared yet; the end of the
# parts whose middle was looked for.
(LOW, HIGH, PARTS, BIT, DIFFERING, WIDTH, BLOCK, BLOCKS) = range(8)
(FEW, PART, START, ROW, TRIED, FIELDS) = range(8, 14)
# The state: frames in use, and the sizes that are needed before going on.
DEPTH, NEED_PAIRS, NEED_ARENA, STATES = range(4)


class _Search(NamedTuple):
    """A task being searched.

    Attributes:
        hashes: uint64 (arena,), of the nodes.
        rows: uint32 (arena,), theirs.
        frames: int64 (BITS, FIELDS).
        ends: int64 (BITS, 2**WIDEST), where each part of each frame ends.
        differing: uint64 (BITS,), masks of the blocks that differ on the way.
        state: int64 (STATES,).
        widths: See `cost_model.py`.
        distance: Largest distance of a pair.
        joins: 1 if only components are needed: then not all pairs of a crowd are yielded.
    """

    hashes: Hashes
    rows: Rows
    frames: NDArray[np.int64]
    ends: NDArray[np.int64]
    differing: NDArray[np.uint64]
    state: NDArray[np.int64]
    widths: Widths
    distance: int
    joins: int


class Arena:
    """Memory of one search after the other: an arena for the nodes, a buffer for the pairs."""

    def __init__(self) -> None:
        self.hashes = np.empty(0, np.uint64)
        self.rows = np.empty(0, np.uint32)
        self.pairs = np.empty((BUFFER, 2), np.uint32)

    def grow(self, room: int) -> None:
        """Make room for that many hashes; what is there stays."""
        if room > len(self.hashes):
            self.hashes = np.resize(self.hashes, room)
            self.rows = np.resize(self.rows, room)


def near_row_pairs(
    unique_hashes: Distinct, task: Task, plan: Widths, joins: bool, arena: Arena
) -> Iterator[Pairs]:
    """Yield the pairs of rows of a task within the distance, in a buffer that is used again.

    If only components are needed, `joins`, crowds yield some pairs only that join the same rows.
    """
    search = _start(unique_hashes, task, plan, joins, arena)
    state = search.state
    while state[DEPTH]:
        if count := _advance(search, arena.pairs):
            yield arena.pairs[:count]
        if state[NEED_PAIRS] > len(arena.pairs):
            arena.pairs = np.empty((2 * state[NEED_PAIRS], 2), np.uint32)
        if state[NEED_ARENA] > len(search.hashes):
            arena.grow(int(state[NEED_ARENA]) * 5 // 4)
            search = search._replace(hashes=arena.hashes, rows=arena.rows)


def _start(unique_hashes: Distinct, task: Task, plan: Widths, joins: bool, arena: Arena) -> _Search:
    """Return the task with its hashes partitioned by the block."""
    arena.grow(task.hashes + task.hashes // 64 + LANES)
    search = _Search(
        arena.hashes,
        arena.rows,
        np.zeros((BITS + 1, FIELDS), np.int64),
        np.empty((BITS + 1, 1 << WIDEST), np.int64),
        np.zeros(BITS, np.uint64),
        np.zeros(STATES, np.int64),
        plan,
        len(plan) - 1,
        int(joins),
    )
    pick(unique_hashes, task, search.hashes, search.rows, search.ends[0])
    for block in range(task.block):
        search.differing[block] = ((1 << task.width) - 1) << (block * task.width)
    frame = search.frames[0]
    frame[HIGH], frame[WIDTH] = task.hashes, task.width
    frame[BLOCK], frame[BLOCKS] = task.block, task.block + 1
    frame[FEW] = _enough(search, frame) if task.width else task.hashes
    search.state[DEPTH] = 1
    return search


@compiled
def _advance(search: _Search, pairs: Pairs) -> int:
    """Go on until all is compared, or room is needed; return how many pairs were written."""
    state, count = search.state, 0
    state[NEED_PAIRS] = state[NEED_ARENA] = 0
    while state[DEPTH] and not state[NEED_PAIRS] and not state[NEED_ARENA]:
        frame = search.frames[state[DEPTH] - 1]
        count = _compare(search, pairs, count)
        if state[NEED_PAIRS]:
            break
        if frame[PART] == 1 << frame[WIDTH]:
            _next_block(search)
        else:
            count = _take_part(search, pairs, count)
    return count


@compiled
def _compare(search: _Search, pairs: Pairs, count: int) -> int:
    """Write the pairs of the current parts, up to one that is too large or the room's end."""
    depth, distance = search.state[DEPTH] - 1, search.distance
    hashes, rows, differing = search.hashes, search.rows, search.differing
    frame, ends = search.frames[depth], search.ends[depth]
    enough, tried, known_blocks = frame[FEW], frame[TRIED], frame[DIFFERING] + frame[BLOCK]
    at_once = min(enough, CROWDED - 1) if search.joins else enough
    part, start, row = frame[PART], frame[START], frame[ROW]
    while part < 1 << frame[WIDTH]:
        end = ends[part]
        if end - start > at_once and (end - start > enough or part >= tried):
            break
        row = max(row, start)
        while row + 1 < end:
            if len(pairs) - count < end - row:
                search.state[NEED_PAIRS] = end - row
                frame[PART], frame[START], frame[ROW] = part, start, row
                return count
            value = hashes[row]
            for other in range(row + 1, end, LANES):
                within = near_lanes(hashes, other, value, distance)
                if within:
                    for index in range(other, min(other + LANES, end)):
                        if within & 1 and _is_first_equal(
                            value ^ hashes[index], differing, known_blocks
                        ):
                            pairs[count, 0], pairs[count, 1] = rows[row], rows[index]
                            count += 1
                        within >>= 1
            row += 1
        start = end
        part += 1
    frame[PART], frame[START], frame[ROW] = part, start, 0
    return count


@compiled
def _is_first_equal(bits: np.uint64, differing: NDArray[np.uint64], known_blocks: int) -> bool:
    """Return whether a pair that differs in `bits` does so in every block known to differ."""
    block = 0
    while block < known_blocks and bits & differing[block]:
        block += 1
    return block == known_blocks


@compiled
def _take_part(search: _Search, pairs: Pairs, count: int) -> int:
    """Clear the middle of the current part, or else cut it."""
    state, depth = search.state, search.state[DEPTH] - 1
    frame = search.frames[depth]
    low, high = frame[START], search.ends[depth, frame[PART]]
    if search.joins and high - low >= CROWDED and frame[PART] >= frame[TRIED]:
        if len(pairs) - count < high - low:
            state[NEED_PAIRS] = high - low
            return count
        cleared, count = _clear_middle(search, low, high, pairs, count)
        frame[START] += cleared
        if not cleared:
            frame[TRIED] = frame[PART] + 1
        return count
    behind = frame[PARTS] + frame[HIGH] - frame[LOW]
    if behind + high - low + LANES > len(search.hashes):
        state[NEED_ARENA] = behind + high - low + LANES
        return count
    frame[PART], frame[START] = frame[PART] + 1, high
    _push(search, frame, low, high)
    return count


@compiled
def _enough(search: _Search, frame: NDArray[np.int64]) -> int:
    """Return the largest part to compare of the current block."""
    plan = search.widths[_differ(search, frame), _unknown(frame)]
    log = len(plan)
    while log and plan[log - 1]:
        log -= 1
    return (2 << max(log + TINIEST, 0)) // 3  # the largest whose logarithm is rounded down to it


@compiled
def _differ(search: _Search, frame: NDArray[np.int64]) -> int:
    """Return how many bits may still differ in a part of the current block."""
    return int(search.distance - frame[DIFFERING] - frame[BLOCK])


@compiled
def _unknown(frame: NDArray[np.int64]) -> int:
    """Return how many bits are unknown in a part of the current block."""
    return int(BITS - frame[BIT] - (frame[BLOCK] + 1) * frame[WIDTH])


@compiled
def _log(size: int) -> int:
    """Return the binary logarithm of a size, rounded."""
    size += size >> 1 if size > 2 else 0
    log = 0
    while size > 1:
        size >>= 1
        log += 1
    return log


@compiled
def _push(search: _Search, above: NDArray[np.int64], low: int, high: int) -> None:
    """Make [low, high) of the arena, a part of the node above, the current node."""
    differ, unknown = _differ(search, above), _unknown(above)
    frame = search.frames[search.state[DEPTH]]
    search.state[DEPTH] += 1
    frame[LOW], frame[HIGH], frame[PARTS] = low, high, above[PARTS] + above[HIGH] - above[LOW]
    frame[BIT], frame[DIFFERING] = BITS - unknown, search.distance - differ
    frame[WIDTH] = search.widths[differ, unknown, _log(high - low) - TINIEST]
    frame[BLOCK], frame[BLOCKS] = 0, differ + 1
    _partition_node(search)


@compiled
def _next_block(search: _Search) -> None:
    """Go to the next block of the current node; after the last, go back up."""
    frame = search.frames[search.state[DEPTH] - 1]
    bit = frame[BIT] + frame[BLOCK] * frame[WIDTH]
    mask = (np.uint64(1) << np.uint64(frame[WIDTH])) - np.uint64(1)
    search.differing[frame[DIFFERING] + frame[BLOCK]] = mask << np.uint64(bit)
    frame[BLOCK] += 1
    if frame[BLOCK] < frame[BLOCKS]:
        _partition_node(search)
    else:
        search.state[DEPTH] -= 1


@compiled
def _partition_node(search: _Search) -> None:
    """Partition the current node by its current block."""
    depth = search.state[DEPTH] - 1
    frame, ends, hashes, rows = search.frames[depth], search.ends[depth], search.hashes, search.rows
    shift = np.uint64(frame[BIT] + frame[BLOCK] * frame[WIDTH])
    mask = (np.uint64(1) << np.uint64(frame[WIDTH])) - np.uint64(1)
    parts = 1 << frame[WIDTH]
    ends[:parts] = 0
    for index in range(frame[LOW], frame[HIGH]):
        ends[(hashes[index] >> shift) & mask] += 1
    target = frame[PARTS]
    frame[FEW], frame[PART], frame[START], frame[TRIED] = _enough(search, frame), 0, target, 0
    for part in range(parts):
        size = ends[part]
        ends[part] = target
        target += size
    for index in range(frame[LOW], frame[HIGH]):
        value = hashes[index]
        part = (value >> shift) & mask
        target = ends[part]
        ends[part] = target + 1
        hashes[target], rows[target] = value, rows[index]


@compiled
def _clear_middle(
    search: _Search, low: int, high: int, pairs: Pairs, count: int
) -> tuple[int, int]:
    """Write the pairs of the hashes around a middle; return how many, now first in [low, high).

    Also returns how many pairs are written. What is within the distance of the middle is joined
    with it; what is within twice the distance needs only one neighbour among those; what lies
    farther has none. So the neighbours of the middle need no more comparing.
    """
    hashes, rows, distance = search.hashes, search.rows, search.distance
    crowded, votes = _vote(hashes, low, high, distance)
    if not crowded:
        return 0, count
    middle = low
    for index in range(low, high):
        if popcount(hashes[index] ^ votes) < popcount(hashes[middle] ^ votes):
            middle = index
    _exchange(search, low, middle)
    near_end = _gather_near(search, low + 1, high, hashes[low], distance)
    if near_end - low < SAMPLED:
        return 0, count
    for index in range(low + 1, near_end):
        pairs[count, 0], pairs[count, 1] = rows[low], rows[index]
        count += 1
    rim_end = _gather_near(search, near_end, high, hashes[low], 2 * distance)
    for index in range(near_end, rim_end):
        other = _first_near(hashes, low, near_end, hashes[index], distance)
        if other < near_end:
            pairs[count, 0], pairs[count, 1] = rows[index], rows[other]
            count += 1
    return near_end - low, count


@compiled
def _vote(hashes: Hashes, low: int, high: int, distance: int) -> tuple[bool, np.uint64]:
    """Return whether a sample is crowded, and the middle of the crowd, by the votes of its bits.

    The crowd is what lies within twice the distance of the hash that has most others there.
    """
    sample = np.empty(SAMPLED, np.uint64)
    for number in range(SAMPLED):
        sample[number] = hashes[low + number * (high - low) // SAMPLED]
    votes, most = np.uint64(0), 0
    for value in sample:
        others = 0
        for number in range(0, SAMPLED, LANES):
            others += popcount(np.uint64(near_lanes(sample, number, value, 2 * distance)))
        if others > most:
            votes, most = value, others
    if most < CROWD:
        return False, votes
    crowd = sample[np.array([popcount(value ^ votes) <= 2 * distance for value in sample])]
    votes = np.uint64(0)
    for bit in range(BITS):
        ones = 0
        for value in crowd:
            ones += int((value >> np.uint64(bit)) & np.uint64(1))
        if 2 * ones > len(crowd):
            votes |= np.uint64(1) << np.uint64(bit)
    neighbours = 0
    for value in crowd:
        neighbours += popcount(value ^ votes) <= distance
    return neighbours >= CROWD, votes


@compiled
def _gather_near(search: _Search, low: int, high: int, middle: np.uint64, distance: int) -> int:
    """Move what is within `distance` of `middle` to the front of [low, high); return its end."""
    for index in range(low, high):
        if popcount(search.hashes[index] ^ middle) <= distance:
            _exchange(search, low, index)
            low += 1
    return low


@compiled
def _exchange(search: _Search, one: int, other: int) -> None:
    """Exchange two hashes and their rows."""
    hashes, rows = search.hashes, search.rows
    hashes[one], hashes[other] = hashes[other], hashes[one]
    rows[one], rows[other] = rows[other], rows[one]


@compiled
def _first_near(hashes: Hashes, low: int, high: int, value: np.uint64, distance: int) -> int:
    """Return the first index of [low, high) whose hash is a neighbour, else `high` or beyond."""
    for index in range(low, high, LANES):
        within = near_lanes(hashes, index, value, distance)
        if within:
            while not within & 1:
                within >>= 1
                index += 1
            return index
    return high
