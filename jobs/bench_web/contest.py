"""Who fetches the web: pairsieve's `gather` and img2dataset, in turns, with all their processes.

Wall-clock time is the point here, so nothing else may run on the machine.
"""

import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.jobs.bench.alternate import QUIET, in_turns, theirs
from pairsieve.jobs.bench_contestants.process_costs import ProcessCost, cost_of, measured
from pairsieve.jobs.bench_data.photos import corpus, own_photographs
from pairsieve.jobs.bench_web.server import Web, serving
from pairsieve.jobs.console import print_table
from pairsieve.pipeline.engine.engine import Kind
from pairsieve.pipeline.models.clip_model import available_cpus

TIMEOUT_S = 10  # of a request, as img2dataset's default
THREADS = (256, 64)  # of img2dataset: its default, and another
PICTURES = 40  # drawn
QUALITY = 95  # of what is stored, as img2dataset's default


@dataclass(frozen=True, slots=True)
class WebBenchmark:
    """What is measured.

    Attributes:
        web: The web.
        pairs: Pairs to fetch.
        unit_pairs: Pairs of a unit, and of a shard of img2dataset.
        workers: Processes.
        runs: Runs of each contestant.
        folder: JPEGs to serve; None for drawn ones.
        python: The interpreter of img2dataset's environment; None leaves it out.
        engine: On which pairsieve runs.
        side: Shorter side of what is stored, px; 256 is img2dataset's default.
    """

    web: Web = field(default_factory=Web)
    pairs: int = 5000
    unit_pairs: int = 500
    workers: int = 2
    runs: int = 3
    folder: Path | None = None
    python: Path | None = None
    engine: Kind = "ray"
    side: int = 256


@dataclass(frozen=True, slots=True)
class WebCost:
    """What a run has cost, and how many pictures it stored."""

    cost: ProcessCost
    pictures: int


def bench(benchmark: WebBenchmark, echo: Callable[[str], None]) -> None:
    """Fetch the web with everybody in turns and print a row for each."""
    with served(benchmark) as (folder, port):
        costs = in_turns(_runners(benchmark, folder, port), benchmark.runs, echo)
    _print(benchmark, costs)


@contextmanager
def served(benchmark: WebBenchmark) -> Iterator[tuple[Path, int]]:
    """Serve the web; give a folder that has the table of its pairs, and the port."""
    with tempfile.TemporaryDirectory(prefix="pairsieve-bench-") as temporary:
        folder = Path(temporary)
        _draw(benchmark, folder / "web")
        with serving(benchmark.web, folder / "web") as port:
            write_pairs(benchmark, folder, port)
            yield folder, port


def _draw(benchmark: WebBenchmark, folder: Path) -> None:
    """Write the JPEGs that are served."""
    folder.mkdir()
    samples = own_photographs(benchmark.folder) if benchmark.folder else corpus(0, PICTURES)
    for number, sample in enumerate(samples):
        (folder / f"{number}.jpg").write_bytes(sample.body)


def write_pairs(benchmark: WebBenchmark, folder: Path, port: int) -> None:
    """Write the table of pairs."""
    numbers = range(benchmark.pairs)
    urls = [f"http://{benchmark.web.address(n)}:{port}/{n}.jpg" for n in numbers]
    texts = [f"a picture with the number {n}" for n in numbers]
    pq.write_table(pa.table({"url": urls, "text": texts}), folder / "pairs.parquet")


def _runners(
    benchmark: WebBenchmark, folder: Path, port: int
) -> Iterator[tuple[str, Callable[[], WebCost]]]:
    """Yield name and run of each contestant."""
    yield "pairsieve", partial(_ours, benchmark, folder, port)
    for threads in THREADS if benchmark.python else ():
        yield f"img2dataset, {threads} threads", partial(img2dataset, benchmark, folder, threads)


def _ours(benchmark: WebBenchmark, folder: Path, port: int) -> WebCost:
    """Plan, gather and count."""
    dataset, recipe = folder / "dataset", folder / "recipe.yaml"
    shutil.rmtree(dataset, ignore_errors=True)
    recipe.write_text(json.dumps(recipe_of(benchmark, folder, port)), encoding="utf-8")
    measured(["plan", str(recipe), "--dataset", str(dataset)])
    where = ["--dataset", str(dataset), "--engine", benchmark.engine]
    workers = ["--workers", str(benchmark.workers)] if benchmark.engine == "ray" else []
    cost = measured(["gather", str(recipe), *where, *workers])
    return WebCost(cost, pictures_in(dataset))


def recipe_of(benchmark: WebBenchmark, folder: Path, port: int) -> dict[str, Any]:
    """Return the recipe: what img2dataset's defaults say, and no politeness."""
    return {
        "input": {"path": str(folder / "pairs.parquet"), "unit_pairs": benchmark.unit_pairs},
        "image": {"min_side": benchmark.side, "quality": QUALITY},
        "fetch": {
            "user_agent": "pairsieve-bench (+mailto:bench@example.org)",
            "allow_networks": ["127.0.0.0/8"],
            "ports": [port],
            "robots": "ignore",
            "retries": 0,
            "timeout_s": TIMEOUT_S,
            "first_byte_timeout_s": TIMEOUT_S,
            "per_host_per_s": 1000,
            "per_host_connections": 1000,
            "host_failures": 1_000_000,
        },
    }


def pictures_in(dataset: Path) -> int:
    """Return how many pictures a dataset has."""
    tables = [pq.read_table(path, columns=["outcome"]) for path in dataset.glob("gather/*.parquet")]
    return sum(table["outcome"].to_pylist().count("ok") for table in tables)


def img2dataset(benchmark: WebBenchmark, folder: Path, threads: int) -> WebCost:
    """Let img2dataset fetch, resize, encode and write."""
    assert benchmark.python
    out = folder / "img2dataset"
    shutil.rmtree(out, ignore_errors=True)
    job = {
        "urls": str(folder / "pairs.parquet"),
        "out": str(out),
        "workers": benchmark.workers,
        "threads": threads,
        "unit_pairs": benchmark.unit_pairs,
        "timeout_s": TIMEOUT_S,
        "side": benchmark.side,
    }
    command = theirs("", benchmark.python, "their_web.py", json.dumps(job)).command
    cost = cost_of(list(command), {**os.environ, **QUIET})
    stats = [json.loads(path.read_text()) for path in out.glob("*_stats.json")]
    return WebCost(cost, sum(each["successes"] for each in stats))


def _print(benchmark: WebBenchmark, costs: dict[str, list[WebCost]]) -> None:
    """Print the table: a row per contestant, medians over its runs."""
    cores = available_cpus()
    rows = []
    for name, runs in costs.items():
        pace = statistics.median(run.pictures / run.cost.wall_s for run in runs)
        cpu = statistics.median(1000 * run.cost.cpu_s / run.pictures for run in runs)
        busy = statistics.median(run.cost.cpu_s / run.cost.wall_s / cores for run in runs)
        most = max(max(run.cost.driver_mb, run.cost.other_mb) for run in runs)
        stored = round(statistics.median(run.pictures for run in runs))
        own = max(run.cost.own_mb for run in runs)
        figures = f"{pace:.0f}", f"{cpu:.1f}", f"{busy:.0%}", f"{most:.0f}", f"{own:.0f}"
        rows.append((name, stored, *figures))
    title = (
        f"{benchmark.pairs:,} pairs in units of {benchmark.unit_pairs}, {benchmark.workers} "
        f"workers, {cores} cores; medians of {benchmark.runs} alternating runs, starts included"
    )
    columns = ("", "pictures", "pictures/s", "CPU-ms/picture", "cores busy", "peak MB", "its own")
    print_table(title, columns, rows)
