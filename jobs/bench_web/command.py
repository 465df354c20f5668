"""The commands `bench web` and `bench pipeline`."""

from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.bench.commands import Python, Runs, Without, img2dataset


def web(
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Pairs to fetch.")] = 5000,
    unit_pairs: Annotated[int, typer.Option("--unit-pairs", min=1, help="Pairs of a unit.")] = 500,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 2,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="JPEGs to serve instead of drawn ones.")
    ] = None,
    never: Annotated[
        float, typer.Option("--never", min=0, max=1, help="Share that is never answered.")
    ] = 0.08,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the web.")] = 0,
    runs: Runs = 3,
    python: Python = None,
    without: Without = False,
) -> None:
    """Measure the pace over a web with latencies, faults and silence; on an idle machine."""
    from pairsieve.jobs.bench_web.contest import WebBenchmark, bench
    from pairsieve.jobs.bench_web.server import Web

    served = Web(seed=seed, never=never)
    other = img2dataset(python, without)
    bench(WebBenchmark(served, pairs, unit_pairs, workers, runs, folder, other), typer.echo)


def pipeline(
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Pairs of a run.")] = 5000,
    side: Annotated[
        list[int] | None,
        typer.Option("--side", min=16, help="Shorter side stored, px; default: 256 and 512."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="JPEGs to serve instead of drawn ones.")
    ] = None,
    runs: Runs = 3,
    python: Python = None,
    without: Without = False,
) -> None:
    """Compare the CPU time of all stages, from URL to shard, with img2dataset's."""
    from pairsieve.jobs.bench_web.whole import PipelineBenchmark, bench

    other = img2dataset(python, without)
    sides = tuple(side or (256, 512))
    bench(PipelineBenchmark(pairs, sides, runs, folder, other), typer.echo)
