"""`bench group`: what the search for near-duplicates costs, per number of hashes, and its recall.

The hashes are random, as those of different pictures nearly are; a tenth are copies 0 to 6 bits
from another, and two in a hundred lie within 4 bits of one of eight heavy hashes, the placeholders.
Every size is searched in a process of its own, whose peak memory counts everything: the hashes,
Python and the libraries. What is compiled is compiled before the clock starts.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.jobs.console import print_table
from pairsieve.schemas.arrays import Hashes
from pairsieve.schemas.errors import Stopped

SIZES = (1_000_000, 10_000_000, 100_000_000)
COPIES, MOST_BITS = 10, 6  # one hash in that many is a copy, so many bits away at most
CROWDED, HEAVY, HEAVY_BITS = 50, 8, 4  # one in that many lies around one of the heavy ones
WARM = 150_000  # hashes: enough for threads
CHUNK = 256  # rows compared with all at once
# What the search may cost at distance 4 on two cores: seconds and GB.
TARGETS = {10_000_000: (5.0, 1.0), 100_000_000: (120.0, 4.0)}
TARGET_DISTANCE = 4


@dataclass(frozen=True, slots=True)
class GroupBenchmark:
    """What is measured.

    Attributes:
        sizes: Numbers of hashes.
        distance: Largest distance of a pair, bits.
        checked: Hashes of the check against all pairs.
        seed: Of the random hashes.
    """

    sizes: tuple[int, ...] = SIZES
    distance: int = TARGET_DISTANCE
    checked: int = 200_000
    seed: int = 0


class Cost(NamedTuple):
    """What one search took, and how many components it found."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    components: int


def bench(benchmark: GroupBenchmark, echo: Callable[[str], None]) -> None:
    """Check the recall, measure every size and print one table."""
    echo(f"recall: all pairs of {benchmark.checked:,} hashes ...")
    joined, missed = recall(hashes(benchmark.checked, benchmark.seed), benchmark.distance)
    measured = []
    for size in benchmark.sizes:
        echo(f"{size:,} hashes ...")
        measured.append((size, cost(size, benchmark)))
    _print(benchmark, measured)
    share = joined / max(joined + missed, 1)
    echo(f"recall against comparing all: {share:.6f} ({joined:,} of {joined + missed:,} pairs)")
    echo(f"growth: {_growth(measured, benchmark.distance)}")
    if missed:
        raise Stopped(f"bench: {missed:,} pairs within {benchmark.distance} bits were not joined")


def hashes(count: int, seed: int) -> Hashes:
    """Return random hashes, some of them copies, some around heavy ones, in random order."""
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 2**64, count, np.uint64)
    copies, crowd = count // COPIES, count // CROWDED
    rows = generator.choice(count, copies + crowd, replace=False)
    sources = values[generator.integers(0, count, copies)]
    values[rows[:copies]] = _flipped(sources, MOST_BITS, generator)
    heavy = generator.integers(0, 2**64, HEAVY, np.uint64)
    around = heavy[generator.integers(0, HEAVY, crowd)]
    values[rows[copies:]] = _flipped(around, HEAVY_BITS, generator)
    return values


def _flipped(values: Hashes, most: int, generator: np.random.Generator) -> Hashes:
    """Return each hash with 0 to `most` random bits changed."""
    steps = generator.integers(0, most + 1, len(values))
    for step in range(most):
        bits = np.uint64(1) << generator.integers(0, 64, len(values)).astype(np.uint64)
        values = np.where(steps > step, values ^ bits, values)
    return values


def recall(values: Hashes, distance: int) -> tuple[int, int]:
    """Return how many pairs of different rows within the distance are joined, and how many not.

    Every pair is compared, so the time grows with the square of the hashes.
    """
    from pairsieve.pipeline.hamming.components import components

    labels = components(values, distance)
    counted = [_chunk_recall(values, labels, low, distance) for low in range(0, len(values), CHUNK)]
    return sum(joined for joined, _ in counted), sum(missed for _, missed in counted)


def _chunk_recall(
    values: Hashes, labels: NDArray[np.int64], low: int, distance: int
) -> tuple[int, int]:
    """Return the pairs of a chunk of rows with later ones that are joined, and that are not."""
    rows = values[low : low + CHUNK, None]
    one, other = np.nonzero(np.bitwise_count(rows ^ values[None, low:]) <= distance)
    later = other > one
    same = labels[low + one[later]] == labels[low + other[later]]
    return int(same.sum()), int((~same).sum())


def cost(size: int, benchmark: GroupBenchmark) -> Cost:
    """Return what searching that many hashes costs, in a process of its own."""
    job = json.dumps({**asdict(benchmark), "sizes": [size]})
    command = [sys.executable, "-m", "pairsieve.jobs.bench.group"]
    done = subprocess.run(command, input=job, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"bench: the search of {size:,} hashes failed:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout))


def measure(size: int, distance: int, seed: int) -> Cost:
    """Search that many hashes here and return what it cost."""
    from pairsieve.pipeline.hamming.components import components

    components(hashes(WARM, seed), distance)
    values = hashes(size, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    labels = components(values, distance)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(wall, cpu, peak_mb(), int((labels == np.arange(size)).sum()))


def peak_mb() -> float:
    """Return the largest memory this process has had.

    Linux counts in `ru_maxrss` what the parent had when it forked, but not in /proc.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS: bytes


def _growth(measured: list[tuple[int, Cost]], distance: int) -> str:
    """Return by how much the CPU-seconds grew per tenfold number of hashes, and why."""
    from pairsieve.pipeline.hamming.cost_model import BITS, TINIEST, Costs, expected_s, widths

    (least, first), (most, last) = measured[0], measured[-1]
    factor = last.cpu_s / first.cpu_s
    planned = expected_s(most, distance, Costs()) / expected_s(least, distance, Costs())
    plan = widths(distance, Costs())[distance, BITS]
    blocks = [int(plan[round(np.log2(size)) - TINIEST]) for size in (least, most)]
    return (
        f"{most / least:,.0f} times the hashes took {factor:,.0f} times the CPU time (the cost "
        f"model expects {planned:,.0f} times). Every hash is moved as "
        f"often as blocks are chosen, blocks of {blocks[0]} bits at {least:,} and {blocks[1]} at "
        f"{most:,}; beyond a linear growth are the parts that need one cut more, and memory "
        "that is not in cache."
    )


def _print(benchmark: GroupBenchmark, measured: list[tuple[int, Cost]]) -> None:
    """Print the table: a row per size."""
    rows = []
    for size, spent in measured:
        wall, peak = (
            TARGETS.get(size, (0.0, 0.0)) if benchmark.distance == TARGET_DISTANCE else (0, 0)
        )
        rows.append(
            (
                f"{size:,}",
                f"{spent.wall_s:.2f}",
                f"{spent.cpu_s:.2f}",
                f"{1e9 * spent.cpu_s / size:.0f}",
                f"{spent.peak_mb / 1000:.2f}",
                f"{wall:.0f} s {peak:.0f} GB" if wall else "-",
                spent.components,
            )
        )
    columns = ("hashes", "seconds", "CPU-s", "ns each", "GB", "at most", "components")
    title = f"Components of hashes within {benchmark.distance} bits: time, CPU-ns each, peak memory"
    print_table(title, columns, rows)


if __name__ == "__main__":
    benchmark = GroupBenchmark(**json.load(sys.stdin))
    print(json.dumps(measure(benchmark.sizes[0], benchmark.distance, benchmark.seed)._asdict()))
