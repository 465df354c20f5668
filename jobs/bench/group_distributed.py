"""`bench group --partitions`: the search spread over tasks, beside the one in memory.

The same hashes as in `bench group`, put down as units of 10,000 gathered pairs with every column of
the ledger, so that reading them costs what it does in a dataset. The tasks run one after the other
in a process of its own, whose CPU time per round and peak memory are told: the peak is that of its
largest task with Python and the libraries. Then the labels are compared with those of one machine.

What more hashes would take is reckoned: dealing and merging by the hash, the search by the growth
that the plan expects; bytes are those of the tasks' files, each written once and read once.
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
RECKONED = (1_000_000_000, 10_000_000_000)
CORES = 16  # of a machine, for what is reckoned


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured: how many hashes, their seed, the distance and the partitions."""

    size: int
    seed: int
    distance: int
    partitions: int


class Cost(NamedTuple):
    """What the spread search took, and whether its labels are those of one machine.

    Attributes:
        deal_s: CPU-seconds of the first round.
        meet_s: Of the second.
        merge_s: Of the merges.
        alone_s: Of the search in memory.
        peak_mb: Largest memory of the process that ran the tasks.
        dealt_bytes: Of the first round's files.
        forest_bytes: Of all forests.
        same: Whether all labels are equal.
    """

    deal_s: float
    meet_s: float
    merge_s: float
    alone_s: float
    peak_mb: float
    dealt_bytes: int
    forest_bytes: int
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


def bench(setting: Setting, told: Callable[[str], None]) -> None:
    """Measure, print the table and what more hashes would take."""
    told(f"{setting.size:,} hashes, {setting.partitions} partitions of each table ...")
    found = cost(setting)
    moved = 2 * (found.dealt_bytes + found.forest_bytes)
    columns = ("CPU-s", "deal", "search", "merge", "in memory", "GB", "GB moved", "labels")
    cells = (
        f"{found.deal_s + found.meet_s + found.merge_s:.1f}",
        f"{found.deal_s:.1f}",
        f"{found.meet_s:.1f}",
        f"{found.merge_s:.1f}",
        f"{found.alone_s:.1f}",
        f"{found.peak_mb / 1000:.2f}",
        f"{moved / 1e9:.2f}",
        "equal" if found.same else "DIFFERENT",
    )
    title = (
        f"{setting.size:,} hashes within {setting.distance} bits, {setting.partitions} partitions"
    )
    print_table(title, columns, [cells])
    for size in RECKONED:
        told(_reckoned(size, setting, found))
    if not found.same:
        raise Stopped("bench: the spread search has other labels than the one in memory")


def cost(setting: Setting) -> Cost:
    """Return what the search costs, in a process of its own."""
    command = [sys.executable, "-m", "pairsieve.jobs.bench.group_distributed"]
    job = json.dumps(asdict(setting))
    done = subprocess.run(command, input=job, capture_output=True, text=True)
    if done.returncode:
        raise Stopped(f"bench: the spread search failed:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout))


def measure(setting: Setting, folder: Path) -> Cost:
    """Search here, with a dataset in `folder`, and return what it cost."""
    from pairsieve.pipeline.hamming.components import components
    from pairsieve.pipeline.hamming.distributed import near

    warm, store, engine = Store.at(folder / "warm"), Store.at(folder / "dataset"), Timed()
    put(warm, hashes(WARM, setting.seed))
    near(warm, Serial(), setting.distance, setting.partitions)
    put(store, hashes(setting.size, setting.seed))
    forest = near(store, engine, setting.distance, setting.partitions)
    assert forest is not None
    peak = peak_mb()
    given = hashes(setting.size, setting.seed)
    began = time.process_time()
    labels = components(given, setting.distance)
    alone = time.process_time() - began
    same = bool((forest.positions(np.arange(setting.size)) == labels).all())
    sizes = {path: size for path, size, _ in store.list(SEARCHES)}
    dealt, forests = (
        sum(size for path, size in sizes.items() if path.endswith(suffix))
        for suffix in (".bin", ".parquet")
    )
    deal, meet, *merges = engine.cpu_s
    return Cost(deal, meet, sum(merges), alone, peak, dealt, forests, same)


def put(store: Store, given: Hashes) -> None:
    """Commit the hashes as gathered units, every pair with an image."""
    import pyarrow.parquet as pq

    for number, low in enumerate(range(0, len(given), UNIT)):
        path = f"gather/{number:08d}.bench.parquet"
        part = _part(np.arange(low, min(low + UNIT, len(given))), given)
        with store.writer(path) as sink:
            pq.write_table(part, sink)
        marker = Marker(part.num_rows, {path: sink.entry()}, {"ok": part.num_rows})
        commit(store, f"gather/{number:08d}.json", marker)


def _part(rows: NDArray[np.int64], given: Hashes) -> pa.Table:
    """Return a ledger part of these rows."""
    schema = arrow_schema(GATHERED)
    known = {
        ROW.name: pa.array(rows),
        UID.name: pa.array([f"{row:032x}" for row in rows]),
        RETRY_LAYER.name: pa.array(np.zeros(len(rows), np.int16)),
        OUTCOME.name: pa.array(["ok"] * len(rows)),
        PERCEPTUAL_HASH.name: pa.array(given[rows]),
    }
    columns = [known.get(field.name, pa.nulls(len(rows), field.type)) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _reckoned(size: int, setting: Setting, found: Cost) -> str:
    """Return what a search of `size` hashes should take."""
    from pairsieve.pipeline.hamming.cost_model import Costs, expected_s
    from pairsieve.pipeline.hamming.distributed import PER_TASK
    from pairsieve.pipeline.hamming.partition import cut

    times = size / setting.size
    planned, here = (expected_s(n, setting.distance, Costs()) for n in (size, setting.size))
    cpu = (found.deal_s + found.merge_s) * times + found.meet_s * planned / here
    moved = 2 * times * (found.dealt_bytes + found.forest_bytes)
    how = cut(size, setting.distance, -(-size // PER_TASK))
    return (
        f"reckoned, {size:,} hashes: {how.tables} x {how.partitions} tasks of "
        f"{size / how.partitions:,.0f} hashes; {cpu / 3600:,.1f} CPU-hours, "
        f"{cpu / 3600 / CORES:,.2f} hours of a machine of {CORES} cores; "
        f"{moved / 1e9:,.0f} GB moved"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Setting(**json.load(sys.stdin)), Path(folder))._asdict()))
