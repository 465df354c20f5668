"""The command `bench curation`."""

from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.cli_options import EngineKind, Kind
from pairsieve.jobs.demo_web.defects import FULL_SIZE


def curation(
    folder: Annotated[
        Path, typer.Argument(help="Work in here; the same command goes on where it was stopped.")
    ] = Path("pairsieve-curation"),
    pairs: Annotated[
        int, typer.Option("--pairs", min=166, help="Pairs of the demo web.")
    ] = FULL_SIZE,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of every training.")] = 150,
    seeds: Annotated[int, typer.Option("--seeds", min=2, help="Trainings on each pool.")] = 3,
    scenes: Annotated[int, typer.Option("--scenes", min=10, help="Scenes to retrieve.")] = 500,
    of_class: Annotated[
        int, typer.Option("--of-class", min=1, help="Pictures of each class.")
    ] = 30,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Trainings at once.")] = 2,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write the documentation's plot here.")
    ] = None,
    engine: Kind = EngineKind.AUTO,
) -> None:
    """Train small models on what rules keep of the demo web: does curation pay."""
    from pairsieve.jobs.bench_curation.bench import CurationBenchmark, bench

    sizes = CurationBenchmark(folder, pairs, steps, seeds, scenes, of_class, workers, engine.value)
    bench(sizes, typer.echo, plots)
