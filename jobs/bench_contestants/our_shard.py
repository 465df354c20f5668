"""pairsieve's `shard` in a process of its own, which says what it has cost.

The job names the recipe, the dataset and the selection; what was made of that before is deleted.
With `profile` the answer has the CPU-seconds of each step instead, as the profiler sees them.
"""

import cProfile
import os
import pstats
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from pairsieve.jobs.bench.alternate import Result, cpu_s, serve_job
from pairsieve.jobs.bench.group import peak_mb
from pairsieve.pipeline import shard
from pairsieve.pipeline.dataset.paths import shards_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Ray, Serial
from pairsieve.schemas.recipe_file import load

STEPS = {  # of each step, the functions in which it happens: file and name
    "records": (("records.py", "records"),),
    "JSON of them": (("sample_json.py", "sample_jsons"),),
    "order": (("pool_order.py", "_partition"), ("pool_order.py", "_sort")),
    "images read": (("images.py", "scattered"), ("images.py", "in_order")),
    "tar headers": (("sample_tar.py", "sample_parts"),),
    "written": (
        ("streams.py", "write"), ("window_tasks.py", "_put"), ("streams.py", "file_entry"),
    ),
    "manifest": (("shard_parts.py", "commit"), ("finished.py", "finish")),
}  # fmt: skip


def work(job: Result) -> Result:
    """Make the shards and return what that cost."""
    recipe, store = load(Path(job["recipe"])), Store.at(job["dataset"])
    shutil.rmtree(Path(job["dataset"]) / shards_folder(job["name"]), ignore_errors=True)
    workers = job.get("workers")
    with closing(Ray(workers) if workers else Serial()) as engine:
        list(engine.map(_warm, range(2 * engine.workers)))
        make = partial(_shards, recipe, store, engine, job["name"])
        os.sync()
        return _profiled(make) if job.get("profile") else _timed(make, alone=not workers)


def _warm(_: int) -> None:
    with duckdb.connect() as connection:
        connection.execute("SELECT 1")


def _shards(recipe: Any, store: Store, engine: Engine, name: str) -> int:
    return sum(marker.rows for marker in shard.run(recipe, store, engine, name))


def _profiled(make: Callable[[], int]) -> Result:
    profile = cProfile.Profile(time.process_time)
    profile.runcall(make)
    return {"steps": _steps(pstats.Stats(profile))}


def _timed(make: Callable[[], int], alone: bool) -> Result:
    """Return what it costs; CPU time and memory only where this process does all itself."""
    began, cpu = time.perf_counter(), cpu_s()
    samples = make()
    unflushed, cpu = time.perf_counter() - began, cpu_s() - cpu
    os.sync()
    seconds = time.perf_counter() - began
    own = {"cpu_s": cpu, "peak_mb": peak_mb()} if alone else {}
    return {"wall_s": seconds, "unflushed_s": unflushed, "samples": samples, **own}


def _steps(stats: pstats.Stats) -> dict[str, float]:
    """Return the share of all that each step took, with what it called."""
    table: dict[Any, Any] = stats.stats  # type: ignore[attr-defined]
    whole = sum(entry[2] for entry in table.values())
    shares = {}
    for step, functions in STEPS.items():
        spent = [
            entry[3]
            for (file, _, name), entry in table.items()
            if (Path(file).name, name) in functions
        ]
        shares[step] = sum(spent) / whole
    return shares


if __name__ == "__main__":
    serve_job(work)
