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
class Setting:
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


def bench(setting: Setting, told: Callable[[str], None]) -> None:
    """Check the recall, measure every size and print one table."""
    told(f"recall: all pairs of {setting.checked:,} hashes ...")
    met, missed = recall(hashes(setting.checked, setting.seed), setting.distance)
    measured = []
    for size in setting.sizes:
        told(f"{size:,} hashes ...")
        measured.append((size, cost(size, setting)))
    _print(setting, measured)
    share = met / max(met + missed, 1)
    told(f"recall against comparing all: {share:.6f} ({met:,} of {met + missed:,} pairs)")
    told(f"growth: {_growth(measured, setting.distance)}")
    if missed:
        raise Stopped(f"bench: {missed:,} pairs within {setting.distance} bits were not joined")


def hashes(count: int, seed: int) -> Hashes:
    """Return random hashes, some of them copies, some around heavy ones, in random order."""
    generator = np.random.default_rng(seed)
    made = generator.integers(0, 2**64, count, np.uint64)
    copies, crowd = count // COPIES, count // CROWDED
    places = generator.choice(count, copies + crowd, replace=False)
    sources = made[generator.integers(0, count, copies)]
    made[places[:copies]] = _flipped(sources, MOST_BITS, generator)
    heavy = generator.integers(0, 2**64, HEAVY, np.uint64)
    around = heavy[generator.integers(0, HEAVY, crowd)]
    made[places[copies:]] = _flipped(around, HEAVY_BITS, generator)
    return made


def _flipped(given: Hashes, most: int, generator: np.random.Generator) -> Hashes:
    """Return each hash with 0 to `most` random bits changed."""
    steps = generator.integers(0, most + 1, len(given))
    for step in range(most):
        bits = np.uint64(1) << generator.integers(0, 64, len(given)).astype(np.uint64)
        given = np.where(steps > step, given ^ bits, given)
    return given


def recall(given: Hashes, distance: int) -> tuple[int, int]:
    """Return how many pairs of different rows within the distance are joined, and how many not.

    Every pair is compared, so the time grows with the square of the hashes.
    """
    from pairsieve.pipeline.hamming.components import components

    labels = components(given, distance)
    counted = [_joined(given, labels, low, distance) for low in range(0, len(given), CHUNK)]
    return sum(met for met, _ in counted), sum(missed for _, missed in counted)


def _joined(given: Hashes, labels: NDArray[np.int64], low: int, distance: int) -> tuple[int, int]:
    """Return the pairs of a chunk of rows with later ones that are joined, and that are not."""
    rows = given[low : low + CHUNK, None]
    one, other = np.nonzero(np.bitwise_count(rows ^ given[None, low:]) <= distance)
    later = other > one
    same = labels[low + one[later]] == labels[low + other[later]]
    return int(same.sum()), int((~same).sum())


def cost(size: int, setting: Setting) -> Cost:
    """Return what searching that many hashes costs, in a process of its own."""
    job = json.dumps({**asdict(setting), "sizes": [size]})
    command = [sys.executable, "-m", "pairsieve.jobs.bench.group"]
    done = subprocess.run(command, input=job, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"bench: the search of {size:,} hashes failed:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout))


def measure(size: int, distance: int, seed: int) -> Cost:
    """Search that many hashes here and return what it cost."""
    from pairsieve.pipeline.hamming.components import components

    components(hashes(WARM, seed), distance)
    given = hashes(size, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    labels = components(given, distance)
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
        f"{most / least:,.0f} times the hashes took {factor:,.0f} times the CPU time (the plan "
        f"expects {planned:,.0f} times). Every hash is moved as "
        f"often as blocks are chosen, blocks of {blocks[0]} bits at {least:,} and {blocks[1]} at "
        f"{most:,}; beyond a linear growth are the parts that need one cut more, and memory "
        "that is not in cache."
    )


def _print(setting: Setting, measured: list[tuple[int, Cost]]) -> None:
    """Print the table: a row per size."""
    rows = []
    for size, found in measured:
        wall, peak = (
            TARGETS.get(size, (0.0, 0.0)) if setting.distance == TARGET_DISTANCE else (0, 0)
        )
        rows.append(
            (
                f"{size:,}",
                f"{found.wall_s:.2f}",
                f"{found.cpu_s:.2f}",
                f"{1e9 * found.cpu_s / size:.0f}",
                f"{found.peak_mb / 1000:.2f}",
                f"{wall:.0f} s {peak:.0f} GB" if wall else "-",
                found.components,
            )
        )
    columns = ("hashes", "seconds", "CPU-s", "ns each", "GB", "at most", "components")
    title = f"Components of hashes within {setting.distance} bits: time, CPU-ns each, peak memory"
    print_table(title, columns, rows)


if __name__ == "__main__":
    asked = Setting(**json.load(sys.stdin))
    print(json.dumps(measure(asked.sizes[0], asked.distance, asked.seed)._asdict()))
