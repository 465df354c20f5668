"""`bench group --partitions`: the search distributed over tasks, beside the one in memory.

The same hashes as in `bench group`, written as units of 10,000 gathered pairs with every column of
the ledger, so that reading them costs what it does in a dataset. The tasks run one after the other
in a process of its own, whose CPU time per round and peak memory are printed: the peak is that of
its largest task with Python and the libraries. Then the labels are compared with those of one
machine.

What more hashes would take is estimated: partitioning and merging in proportion to the hashes, the
search by the growth that the cost model expects; bytes are those of the tasks' files, each written
once and read once.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.jobs.bench.group import WARM, hashes, peak_mb
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import SEARCHES
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Item, Result, Serial
from pairsieve.schemas.arrays import Hashes
from pairsieve.schemas.columns import (
    GATHERED,
    OUTCOME,
    PERCEPTUAL_HASH,
    RETRY_LAYER,
    ROW,
    UID,
    arrow_schema,
)
from pairsieve.schemas.errors import Stopped

UNIT = 10_000  # pairs
ESTIMATED = (1_000_000_000, 10_000_000_000)
CORES = 16  # of a machine, for the estimate


@dataclass(frozen=True, slots=True)
class DistributedBenchmark:
    """What is measured: how many hashes, their seed, the distance and the partitions."""

    size: int
    seed: int
    distance: int
    partitions: int


class Cost(NamedTuple):
    """What the distributed search took, and whether its labels are those of one machine.

    Attributes:
        partition_s: CPU-seconds of the first round.
        search_s: Of the second.
        merge_s: Of the merges.
        in_memory_s: Of the search in memory.
        peak_mb: Largest memory of the process that ran the tasks.
        partition_bytes: Of the first round's files.
        labels_bytes: Of all labels.
        same: Whether all labels are equal.
    """

    partition_s: float
    search_s: float
    merge_s: float
    in_memory_s: float
    peak_mb: float
    partition_bytes: int
    labels_bytes: int
    same: bool


class Timed(Serial):
    """The serial engine, with the CPU-seconds of each map."""

    def __init__(self) -> None:
        self.cpu_s: list[float] = []

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Yield (item, result) in the order of `items`."""
        self.cpu_s.append(0)
        for item in items:
            began = time.process_time()
            result = function(item)
            self.cpu_s[-1] += time.process_time() - began
            yield item, result


def bench(benchmark: DistributedBenchmark, echo: Callable[[str], None]) -> None:
    """Measure, print the table and what more hashes would take."""
    echo(f"{benchmark.size:,} hashes, {benchmark.partitions} partitions of each table ...")
    measured = cost(benchmark)
    moved = 2 * (measured.partition_bytes + measured.labels_bytes)
    columns = ("CPU-s", "partition", "search", "merge", "in memory", "GB", "GB moved", "labels")
    cells = (
        f"{measured.partition_s + measured.search_s + measured.merge_s:.1f}",
        f"{measured.partition_s:.1f}",
        f"{measured.search_s:.1f}",
        f"{measured.merge_s:.1f}",
        f"{measured.in_memory_s:.1f}",
        f"{measured.peak_mb / 1000:.2f}",
        f"{moved / 1e9:.2f}",
        "equal" if measured.same else "DIFFERENT",
    )
    title = f"{benchmark.size:,} hashes within {benchmark.distance} bits, "
    title += f"{benchmark.partitions} partitions"
    print_table(title, columns, [cells])
    for size in ESTIMATED:
        echo(_estimate(size, benchmark, measured))
    if not measured.same:
        raise Stopped("bench: the distributed search has other labels than the one in memory")


def cost(benchmark: DistributedBenchmark) -> Cost:
    """Return what the search costs, in a process of its own."""
    command = [sys.executable, "-m", "pairsieve.jobs.bench.group_distributed"]
    job = json.dumps(asdict(benchmark))
    done = subprocess.run(command, input=job, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"bench: the distributed search failed:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout))


def measure(benchmark: DistributedBenchmark, folder: Path) -> Cost:
    """Search here, with a dataset in `folder`, and return what it cost."""
    from pairsieve.pipeline.hamming.components import components
    from pairsieve.pipeline.hamming.distributed import neighbour_labels

    warm, store, engine = Store.at(folder / "warm"), Store.at(folder / "dataset"), Timed()
    write_units(warm, hashes(WARM, benchmark.seed))
    neighbour_labels(warm, Serial(), benchmark.distance, benchmark.partitions)
    write_units(store, hashes(benchmark.size, benchmark.seed))
    distributed = neighbour_labels(store, engine, benchmark.distance, benchmark.partitions)
    peak = peak_mb()
    values = hashes(benchmark.size, benchmark.seed)
    began = time.process_time()
    in_memory = components(values, benchmark.distance)
    in_memory_s = time.process_time() - began
    same = bool((distributed.positions(np.arange(benchmark.size)) == in_memory).all())
    sizes = {path: size for path, size, _ in store.list(SEARCHES)}
    partitioned, label_bytes = (
        sum(size for path, size in sizes.items() if path.endswith(suffix))
        for suffix in (".bin", ".parquet")
    )
    partition, search, *merges = engine.cpu_s
    return Cost(partition, search, sum(merges), in_memory_s, peak, partitioned, label_bytes, same)


def write_units(store: Store, values: Hashes) -> None:
    """Commit the hashes as gathered units, every pair with an image."""
    import pyarrow.parquet as pq

    for number, low in enumerate(range(0, len(values), UNIT)):
        path = f"gather/{number:08d}.bench.parquet"
        part = _part(np.arange(low, min(low + UNIT, len(values))), values)
        with store.writer(path) as sink:
            pq.write_table(part, sink)
        marker = Marker(part.num_rows, {path: sink.entry()}, {"ok": part.num_rows})
        commit(store, f"gather/{number:08d}.json", marker)


def _part(rows: NDArray[np.int64], values: Hashes) -> pa.Table:
    """Return a ledger part of these rows."""
    schema = arrow_schema(GATHERED)
    arrays = {
        ROW.name: pa.array(rows),
        UID.name: pa.array([f"{row:032x}" for row in rows]),
        RETRY_LAYER.name: pa.array(np.zeros(len(rows), np.int16)),
        OUTCOME.name: pa.array(["ok"] * len(rows)),
        PERCEPTUAL_HASH.name: pa.array(values[rows]),
    }
    columns = [arrays.get(field.name, pa.nulls(len(rows), field.type)) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _estimate(size: int, benchmark: DistributedBenchmark, measured: Cost) -> str:
    """Return what a search of `size` hashes should take."""
    from pairsieve.pipeline.hamming.cost_model import Costs, expected_s
    from pairsieve.pipeline.hamming.distributed import PER_TASK
    from pairsieve.pipeline.hamming.partition import plan_partitions

    times = size / benchmark.size
    distance = benchmark.distance
    search_times = expected_s(size, distance, Costs()) / expected_s(
        benchmark.size, distance, Costs()
    )
    cpu = (measured.partition_s + measured.merge_s) * times + measured.search_s * search_times
    moved = 2 * times * (measured.partition_bytes + measured.labels_bytes)
    partitioning = plan_partitions(size, distance, -(-size // PER_TASK))
    return (
        f"estimated, {size:,} hashes: {partitioning.tables} x {partitioning.partitions} tasks of "
        f"{size / partitioning.partitions:,.0f} hashes; {cpu / 3600:,.1f} CPU-hours, "
        f"{cpu / 3600 / CORES:,.2f} hours of a machine of {CORES} cores; "
        f"{moved / 1e9:,.0f} GB moved"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        benchmark = DistributedBenchmark(**json.load(sys.stdin))
        print(json.dumps(measure(benchmark, Path(folder))._asdict()))
