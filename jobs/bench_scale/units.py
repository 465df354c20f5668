"""`bench units`: what a unit costs besides its work: to hand it out, commit it and find it again.

Units without any pair commit a marker as `gather` does, of the usual size. Then the folder is read
as by a restart: once while the markers are folded into their index, once from that.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pairsieve.jobs.bench.group import peak_mb
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, REQUESTS_SUFFIX, content, marker_path
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Kind, open_engine

PAIRS = 10_000  # of a unit, which its marker answers for
COUNTS = {"ok": 8600, "http_error": 700, "dns": 300, "timeout": 250, "not_an_image": 150}
SUFFIXES = (".parquet", ".tar", REQUESTS_SUFFIX)


@dataclass(frozen=True, slots=True)
class UnitsBenchmark:
    """How many units, on which engine, with how many workers; None for its default."""

    units: int
    engine: Kind
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a step has cost of all units: s of clock, CPU-s of the driver, its peak memory so far.

    What other processes have used is not in it.
    """

    name: str
    wall_s: float
    cpu_s: float
    peak_mb: float


def stub(store: Store, number: int) -> Marker:
    """Commit a unit that has done nothing."""
    name = f"{number:08d}"
    files: dict[str, dict[str, Any]] = {
        content(GATHER_FOLDER, name, suffix): {"bytes": 1_000_000, "sha256": f"{number:064x}"}
        for suffix in SUFFIXES
    }
    marker = Marker(PAIRS, files, COUNTS, {})
    return commit(store, marker_path(GATHER_FOLDER, name), marker)


def measure(benchmark: UnitsBenchmark, store: Store) -> list[Step]:
    """Commit the units and read them again; return what each step has cost."""
    engine = open_engine(benchmark.engine, benchmark.workers)
    try:
        steps = [_step("schedule and commit", partial(_commit, benchmark, store, engine))]
    finally:
        engine.close()
    for name in ("restart, markers to fold", "restart, from the index"):
        steps.append(_step(name, partial(_restart, benchmark, store)))
    return steps


def _commit(benchmark: UnitsBenchmark, store: Store, engine: Engine) -> None:
    for _ in engine.map(partial(stub, store), range(benchmark.units)):
        pass


def _restart(benchmark: UnitsBenchmark, store: Store) -> None:
    pairs = sum(marker.rows for marker in store.markers(GATHER_FOLDER).values())
    assert pairs == PAIRS * benchmark.units


def _step(name: str, run: Callable[[], None]) -> Step:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Step(name, time.perf_counter() - wall, time.process_time() - cpu, peak_mb())


def bench(benchmark: UnitsBenchmark) -> None:
    """Print what each step costs."""
    with tempfile.TemporaryDirectory(prefix="pairsieve-bench-") as folder:
        (Path(folder) / "dataset").mkdir()
        steps = measure(benchmark, Store.at(Path(folder) / "dataset"))
    per_unit = 1000 / benchmark.units
    print_table(
        f"{benchmark.units:,} units without work, {benchmark.engine}",
        ("step", "seconds", "ms a unit", "driver's CPU-ms a unit", "driver's peak MB"),
        [
            (
                step.name,
                f"{step.wall_s:.1f}",
                f"{step.wall_s * per_unit:.3f}",
                f"{step.cpu_s * per_unit:.3f}",
                f"{step.peak_mb:,.0f}",
            )
            for step in steps
        ],
    )
