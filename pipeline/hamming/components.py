"""Connected components of 64-bit hashes within a Hamming distance: every pair found, none listed.

Two hashes within `max_distance` differ in at most that many of `max_distance + 1` blocks of bits,
so at least one block is equal: partitioning by every block in turn brings each such pair into one
part, and a part is partitioned again, with fewer bits left and, where the blocks before differ,
fewer that may. A part is compared pair by pair, eight at a time, as soon as that is quicker than
partitioning it: `cost_model.py` says when. Recall is exactly 1, whatever the plan.

Many different hashes around one (the all-white image with a logo in a corner) agree in most blocks
and would be compared all with all. Such a part is cleared first: all that lie within the distance
of its middle are one component, so they need no comparing among themselves.

Equal hashes are one before the search begins. Its tasks (a range of the values of one block of the
root) need nothing of one another, so threads take them in turn, and the components do not depend on
who was first.

Import this file where it is used: it imports numba.

Measured, two cores of an EPYC of 2024 shared with other work, random hashes and a tenth of copies 0
to 6 bits away, distance 4: 1 M in 0.14 CPU-s, 10 M in 1.8 (0.5 GB with all libraries), 100 M in 21
(3.1 GB); 1 M of which 100,000 lie around one hash in 0.15, half of which in 0.6. Peak memory beside
the hashes given: 16 bytes per row, and 6 per different hash for the tasks at hand.

Source: Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling" (WWW 2007), section 3,
whose tables are the nodes here.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from threading import Lock
from typing import Any

import numba
import numpy as np

from pairsieve.filters.duplicate import MAX_DISTANCE
from pairsieve.pipeline.hamming.cost_model import BITS, TINIEST, Costs, Widths, widths
from pairsieve.pipeline.hamming.distinct import Distinct, distinct
from pairsieve.pipeline.hamming.scan import Arena, near_row_pairs
from pairsieve.pipeline.hamming.tasks import Task, tasks
from pairsieve.pipeline.hamming.union_find import Labels, Parents, flatten, unite
from pairsieve.schemas.arrays import Hashes

FEW = 100_000  # hashes that are not worth a second thread


def components(
    hashes: Hashes, max_distance: int, costs: Costs | None = None, threads: int | None = None
) -> Labels:
    """Return the smallest row number of each row's component, (n,).

    Two rows are in one component if a chain of hashes leads from one to the other, each step of at
    most `max_distance` bits. Neither costs nor threads change the result.

    Args:
        hashes: (n,), fewer than 2**32.
        max_distance: 0 to 10, in bits.
        costs: What to plan with.
        threads: By default as many as numba would use, one per core it is allowed.

    Raises:
        ValueError: a distance out of range.
    """
    plan = _plan(max_distance, costs)
    threads = threads or _threads(len(hashes))
    parents = np.empty(len(hashes), np.uint32)
    with ThreadPoolExecutor(threads) as pool:
        _join_neighbours(distinct(hashes, parents, pool, threads), plan, parents, pool, threads)
    flatten(parents)
    return parents.astype(np.int64)


def components_of_images(
    hashes: Hashes, images: Labels, count: int, max_distance: int, threads: int | None = None
) -> Labels:
    """Return the smallest image, (count,), in the component of each; one may have several hashes.

    `images`, (n,), says whose each hash is. For the rest see `components`.
    """
    firsts = images[components(hashes, max_distance, threads=threads)]
    parents = np.arange(count, dtype=np.uint32)
    unite(parents, np.column_stack((images, firsts)).astype(np.uint32))
    flatten(parents)
    return parents.astype(np.int64)


def _join_neighbours(
    unique_hashes: Distinct, plan: Widths, parents: Parents, pool: Executor, threads: int
) -> None:
    """Join in `parents` the rows of all pairs within the distance, in several threads."""
    pending, lock = _tasks(unique_hashes, plan, threads), Lock()

    def search() -> None:
        arena = Arena()
        while task := _take(pending, lock):
            for pairs in near_row_pairs(unique_hashes, task, plan, True, arena):
                with lock:
                    unite(parents, pairs)

    for future in [pool.submit(search) for _ in range(threads)]:
        future.result()


def _plan(max_distance: int, costs: Costs | None) -> Widths:
    """Return how to partition, or refuse the distance."""
    if max_distance not in range(MAX_DISTANCE + 1):
        raise ValueError(f"max_distance must be 0 to {MAX_DISTANCE}, got {max_distance}")
    return widths(max_distance, costs or Costs())


def _threads(count: int) -> int:
    """Return how many threads are worth starting."""
    settings: Any = numba.config
    return int(settings.NUMBA_NUM_THREADS) if count > FEW else 1


def _tasks(unique_hashes: Distinct, plan: Widths, threads: int) -> list[Task]:
    """Return the tasks of a search, the largest first.

    Each is at most half a thread's share, so that all threads together hold half of the hashes
    once more, and none is idle for long.
    """
    count, distance = len(unique_hashes.hashes), len(plan) - 1
    if count < 2 or not distance:
        return []
    width = int(plan[distance, BITS, round(np.log2(count)) - TINIEST])
    if not width:
        return [Task(0, 0, 0, 1, count)]
    most = -(-count // (2 * threads))
    planned = [
        task for block in range(distance + 1) for task in tasks(unique_hashes, block, width, most)
    ]
    return sorted(planned, key=lambda task: -task.hashes)


def _take(pending: list[Task], lock: Lock) -> Task | None:
    """Return the next of the tasks that are pending."""
    with lock:
        return pending.pop(0) if pending else None
