"""`bench pipeline`: what a picture costs from its URL to a shard and the report.

The web answers at once, so CPU time is the point. pairsieve runs all stages in one process, with
hashes, measures, rules and report; img2dataset downloads, resizes, encodes and writes.
"""

import json
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pairsieve.jobs.bench.alternate import answer, in_turns, ours, ratio
from pairsieve.jobs.bench_contestants.process_costs import measured
from pairsieve.jobs.bench_web.contest import (
    WebBenchmark,
    WebCost,
    img2dataset,
    pictures_in,
    recipe_of,
    served,
)
from pairsieve.jobs.bench_web.server import Web
from pairsieve.jobs.console import print_table

THREADS = 64  # of img2dataset; more cost it more
UNIT_PAIRS = 1000
MIN_SHARE = 0.01  # steps below it are not shown
RULES = ("caption_words", "size", "aspect_ratio", "sharpness", "low_information", "exposure")
ALL, NONE, OTHER = "pairsieve, all measures", "pairsieve, no measures", "img2dataset"
MOST = {(ALL, 256): 0.6, (ALL, 512): 0.65, (NONE, 256): 0.5, (NONE, 512): 0.5}  # of img2dataset's


@dataclass(frozen=True, slots=True)
class PipelineBenchmark:
    """What is measured.

    Attributes:
        pairs: Pairs of a run.
        sides: Shorter sides that are stored, px.
        runs: Runs of each contestant.
        folder: JPEGs to serve; None for drawn ones.
        python: The interpreter of img2dataset's environment; None leaves it out.
    """

    pairs: int = 5000
    sides: tuple[int, ...] = (256, 512)
    runs: int = 3
    folder: Path | None = None
    python: Path | None = None

    def of_side(self, side: int) -> WebBenchmark:
        """Return the same over a web that answers at once."""
        web = Web(median_s=0.001, sigma=0.0, never=0.0, reset=0.0, slow=0.0)
        return WebBenchmark(
            web, self.pairs, UNIT_PAIRS, 1, self.runs, self.folder, self.python, "serial", side
        )


def bench(benchmark: PipelineBenchmark, echo: Callable[[str], None]) -> None:
    """Let everybody take turns at each side; print their costs, and where ours goes."""
    for side in benchmark.sides:
        _bench(benchmark.of_side(side), echo)


def _bench(benchmark: WebBenchmark, echo: Callable[[str], None]) -> None:
    def say(run: str) -> None:
        echo(f"{benchmark.side} px: {run}")

    with served(benchmark) as (folder, port):
        costs = in_turns(_runners(benchmark, folder, port), benchmark.runs, say)
        shares = _shares(benchmark, folder, port)
    _print(benchmark, costs)
    _print_shares(benchmark.side, shares)


def _runners(
    benchmark: WebBenchmark, folder: Path, port: int
) -> Iterator[tuple[str, Callable[[], WebCost]]]:
    """Yield name and run of each contestant."""
    yield ALL, partial(_ours, benchmark, folder, port, RULES)
    yield NONE, partial(_ours, benchmark, folder, port, ())
    if benchmark.python:
        yield OTHER, partial(img2dataset, benchmark, folder, THREADS)


def _written(
    benchmark: WebBenchmark, folder: Path, port: int, rules: tuple[str, ...]
) -> tuple[str, str]:
    """Return the paths of a recipe, and of a dataset that is not there; no rules, no measures."""
    options = recipe_of(benchmark, folder, port)
    options["image"]["measure"] = "all" if rules else []
    options["keep"] = [{rule: {}} for rule in (*rules, "duplicate")]
    (folder / "recipe.yaml").write_text(json.dumps(options), encoding="utf-8")
    shutil.rmtree(folder / "dataset", ignore_errors=True)
    return str(folder / "recipe.yaml"), str(folder / "dataset")


def _ours(benchmark: WebBenchmark, folder: Path, port: int, rules: tuple[str, ...]) -> WebCost:
    """Run all stages."""
    recipe, dataset = _written(benchmark, folder, port, rules)
    cost = measured(["run", recipe, "--dataset", dataset, "--engine", benchmark.engine])
    return WebCost(cost, pictures_in(Path(dataset)))


def _shares(benchmark: WebBenchmark, folder: Path, port: int) -> dict[str, Any]:
    """Return where the time of all stages goes, with all measures."""
    recipe, dataset = _written(benchmark, folder, port, RULES)
    contestant = ours(ALL, "pairsieve.jobs.bench_contestants.our_pipeline")
    return answer(contestant, {"recipe": recipe, "dataset": dataset})


def _print(benchmark: WebBenchmark, costs: dict[str, list[WebCost]]) -> None:
    """Print a row per contestant, medians over its runs."""
    cpu_ms = {
        name: statistics.median(1000 * run.cost.cpu_s / run.pictures for run in runs)
        for name, runs in costs.items()
    }
    rows = [
        (
            name,
            round(statistics.median(run.pictures for run in runs)),
            f"{cpu_ms[name]:.2f}",
            ratio(cpu_ms[name], cpu_ms.get(OTHER, 0)),
            f"{MOST[name, benchmark.side]:.2f}" if (name, benchmark.side) in MOST else "-",
            f"{max(max(run.cost.driver_mb, run.cost.other_mb) for run in runs):.0f}",
            f"{max(run.cost.own_mb for run in runs):.0f}",
        )
        for name, runs in costs.items()
    ]
    print_table(
        f"{benchmark.pairs:,} pairs to a shorter side of {benchmark.side} px, one process each; "
        f"medians of {benchmark.runs} alternating runs, starts included",
        ("", "pictures", "CPU-ms/picture", "of img2dataset's", "at most", "peak MB", "its own"),
        rows,
    )


def _print_shares(side: int, shares: dict[str, Any]) -> None:
    """Print the functions that the main thread's time goes to."""
    shown = [(name, f"{share:.1%}") for name, share in shares["steps"] if share >= MIN_SHARE]
    print_table(
        f"Where pairsieve's main thread spends its time at {side} px; it has "
        f"{shares['main_thread']:.0%} of the time of all threads",
        ("function", "share"),
        shown,
    )
