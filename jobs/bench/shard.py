"""`bench shard`: what making shards costs beside copying them by `cp`, and how mixed they are.

A pool with stored images is drawn. Then they take turns: `mix: pool` and `mix: window`, in one
process and on Ray, and a `cp` of the shards that were made. Each counts until what it has written
is on the disk, as that of a dataset larger than the memory must be, and until it has ended; before
each, what the earlier ones wrote is flushed. Starting Ray is left out.
"""

import io
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pairsieve.jobs.bench.alternate import Result, answer, median, ours
from pairsieve.jobs.bench_data.pool import Pool
from pairsieve.jobs.bench_data.pool_images import build_with_images
from pairsieve.jobs.console import print_table
from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.paths import manifest, shards_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.columns import ROW, SHARD
from pairsieve.schemas.recipe_file import load

MIXES = ("pool", "window")
COPY = "cp"
CONTESTANT = ours("shard", "pairsieve.jobs.bench_contestants.our_shard")


@dataclass(frozen=True, slots=True)
class ShardBenchmark:
    """What is measured.

    Attributes:
        pool: The pool.
        window_units: Units of a window.
        samples: Samples per shard, at most.
        image_bytes: Median size of a stored image, bytes.
        folder: Where to work; None for the temporary folder.
        runs: Of each contestant.
        workers: On Ray.
    """

    pool: Pool
    window_units: int
    samples: int
    image_bytes: int
    folder: Path | None = None
    runs: int = 3
    workers: int = 2


class Mixed(NamedTuple):
    """How mixed shards are.

    Attributes:
        units: Mean number of units that a shard draws from.
        neighbours: Share of samples whose next one in the shard is of the same unit.
        correlation: Of the unit's number of a sample and of the next one.
    """

    units: float
    neighbours: float
    correlation: float


def bench(benchmark: ShardBenchmark, echo: Callable[[str], None]) -> None:
    """Draw the pool, let the contestants take turns and print what came of it."""
    with tempfile.TemporaryDirectory(prefix="pairsieve-bench-", dir=benchmark.folder) as made:
        folder = Path(made)
        store = Store.at(folder / "dataset")
        _build(benchmark, folder, store, echo)
        jobs = {mix: _job(folder, mix) for mix in MIXES}
        parallel = {"workers": benchmark.workers}
        jobs |= {f"{mix} x{benchmark.workers}": jobs[mix] | parallel for mix in MIXES}
        results: dict[str, list[Result]] = {each: [] for each in (*jobs, COPY)}
        for _ in range(benchmark.runs):
            for name, job in jobs.items():
                results[name].append(answer(CONTESTANT, job))
            results[COPY].append(_copy(folder))
        _print_costs(results, _bytes(folder, MIXES[0]))
        _print_mixed({mix: mixed(store, mix, benchmark.pool.unit) for mix in MIXES})
        shares = {mix: answer(CONTESTANT, _job(folder, mix) | {"profile": True}) for mix in MIXES}
        _print_steps(shares)


def _build(
    benchmark: ShardBenchmark, folder: Path, store: Store, echo: Callable[[str], None]
) -> None:
    """Draw the pool and select all of it, for each mix."""
    for mix in MIXES:
        window = f", window_units: {benchmark.window_units}" if mix == "window" else ""
        (folder / f"{mix}.yaml").write_text(
            "input: {path: pairs.parquet, url: url, text: text}\n"
            "fetch: {user_agent: pairsieve-bench/1.0 (+https://bench.example)}\n"
            f"shard: {{samples: {benchmark.samples}, seed: {benchmark.pool.seed}, mix: {mix}"
            f"{window}}}\n"
        )
    echo(f"drawing {benchmark.pool.rows:,} rows with images ...")
    recipe = load(folder / "pool.yaml")
    build_with_images(benchmark.pool, recipe, store, benchmark.image_bytes)
    for mix in MIXES:
        select.run(load(folder / f"{mix}.yaml"), store, Serial(), mix)


def _job(folder: Path, mix: str) -> Result:
    return {"recipe": str(folder / f"{mix}.yaml"), "dataset": str(folder / "dataset"), "name": mix}


def _shards(folder: Path, mix: str) -> Path:
    return folder / "dataset" / shards_folder(mix)


def _bytes(folder: Path, mix: str) -> int:
    """Return the size of all shards, bytes."""
    return sum(path.stat().st_size for path in _shards(folder, mix).glob("*.tar"))


def _copy(folder: Path) -> Result:
    """Copy the shards by `cp` and return what that cost."""
    target = folder / "copied"
    os.sync()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["cp", "-r", str(_shards(folder, MIXES[0])), str(target)], check=True)
    unflushed = time.perf_counter() - began
    os.sync()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(target)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": seconds, "unflushed_s": unflushed, "cpu_s": cpu}


def mixed(store: Store, name: str, unit: int) -> Mixed:
    """Return how mixed the shards of a selection are, whose units have so many pairs."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(store.read(manifest(name))))
    units = table[ROW.name].to_numpy() // unit
    _, shards = np.unique(table[SHARD.name].to_numpy(zero_copy_only=False), return_inverse=True)
    inside = shards[1:] == shards[:-1]
    first, second = units[:-1][inside], units[1:][inside]
    drawn = [len(np.unique(units[shards == shard])) for shard in range(shards.max() + 1)]
    varied = len(set(first)) > 1 and len(set(second)) > 1
    correlation = float(np.corrcoef(first, second)[0, 1]) if varied else 0.0
    return Mixed(statistics.mean(drawn), float((first == second).mean()), correlation)


def _print_costs(results: dict[str, list[Result]], size: int) -> None:
    rows = []
    for name, runs in results.items():
        speeds = []
        for key in ("wall_s", "unflushed_s"):
            seconds = median(runs, key)
            share = f"{median(results[COPY], key) / seconds:.2f}"
            speeds += [f"{size / 1e6 / seconds:,.0f}", share]
        peak = f"{median(runs, 'peak_mb'):,.0f}" if "peak_mb" in runs[0] else "-"
        cpu = f"{1e9 * median(runs) / size:.2f}" if "cpu_s" in runs[0] else "-"
        rows.append((name, *speeds, cpu, peak))
    columns = ("", "MB/s", "of cp", "not flushed MB/s", "of cp", "CPU-s a GB", "peak MB")
    print_table(f"{size / 1e9:.2f} GB of shards", columns, rows)


def _print_mixed(mixes: dict[str, Mixed]) -> None:
    rows = [
        (name, f"{each.units:.1f}", f"{each.neighbours:.3f}", f"{each.correlation:+.3f}")
        for name, each in mixes.items()
    ]
    columns = ("mix", "units a shard draws from", "neighbours of one unit", "correlation")
    print_table("How mixed they are", columns, rows)


def _print_steps(shares: dict[str, Result]) -> None:
    steps = next(iter(shares.values()))["steps"]
    rows = [(s, *(f"{each['steps'][s]:.0%}" for each in shares.values())) for s in steps]
    print_table("Share of the CPU time, by the profiler", ("step", *shares), rows)
