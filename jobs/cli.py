"""The command line: one command per verb, `run` for the whole pipeline.

Verbs that run on an engine take the same options for it; `plan`, `select` and `report` work in the
calling process.

Everything heavy is imported inside the commands, so `pairsieve --help` answers at once. Exit codes:
0 done, 1 failed or stopped (the same command goes on), 2 wrong use.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.bench.commands import bench
from pairsieve.schemas.errors import BadOption, PairsieveError

app = typer.Typer(
    help="Turn (image URL, alt text) pairs into clean, deduplicated WebDataset shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench, name="bench")


class EngineKind(StrEnum):
    """Where the work runs."""

    RAY = "ray"
    SERIAL = "serial"


RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]
Dataset = Annotated[
    str, typer.Option("--dataset", help="Folder or s3://, gs://, az:// URL of the dataset.")
]
DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Folder or URL of the dataset.")
]
Name = Annotated[str, typer.Option("--name", help="Name of the selection.")]
Kind = Annotated[EngineKind, typer.Option("--engine", help="Where the work runs.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Units under way at once; default: the CPUs.")
]
Address = Annotated[
    str | None, typer.Option("--ray-address", help="Ray cluster to join; default: RAY_ADDRESS.")
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Which model's vectors: a folder under `embed/`; default: the only one."
    ),
]


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("recipe.yaml"),
) -> None:
    """Write a commented recipe to start from."""
    from importlib.resources import files

    if path.exists():
        raise BadOption(f"{path}: exists already; name another file")
    path.write_text((files("pairsieve.jobs") / "recipe.yaml").read_text())
    typer.echo(f"Wrote {path}. Edit it, then: pairsieve run {path} --dataset DIR")


@app.command()
def check(
    recipe: RecipePath,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Also check that it fits what is in this dataset."),
    ] = None,
) -> None:
    """Say whether a recipe can run, without running it: `fine`, or what is not.

    It reads the names of the input's files and the local files that the recipe names.
    """
    from pairsieve.pipeline import check
    from pairsieve.pipeline.dataset.paths import PLAN_FILE
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.input.formats import find_files
    from pairsieve.pipeline.plan import run as plan
    from pairsieve.schemas.recipe_file import load

    loaded = load(recipe)
    store = Store.at(dataset) if dataset else None
    warnings = check.check(loaded, store)
    if store and store.exists(PLAN_FILE):
        check.check_input(loaded, plan(loaded, store))
    else:
        find_files(loaded.input, store.url if store else "")
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
    typer.echo("fine")


@app.command()
def plan(
    recipe: RecipePath,
    dataset: Dataset,
) -> None:
    """Cut the input into units and write the plan."""
    from pairsieve.jobs.job import Job

    planned = Job(recipe, dataset, verbs=["plan"]).plan()
    typer.echo(f"{planned.pairs:,} pairs in {len(planned.units):,} units")


@app.command()
def gather(
    recipe: RecipePath,
    dataset: Dataset,
    engine: Kind = EngineKind.RAY,
    workers: Workers = None,
    ray_address: Address = None,
    retry: Annotated[
        str | None,
        typer.Option("--retry", help="Then fetch again what failed: `transient`, or outcomes."),
    ] = None,
) -> None:
    """Fetch, decode, store and measure what is not gathered yet.

    With --retry, every pair that has one of these outcomes is then fetched once more, as a new
    retry layer.
    """
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.pipeline.unit.retry_layers import parse_outcomes

    outcomes = parse_outcomes(retry) if retry is not None else ()
    choice = EngineChoice(engine.value, workers, ray_address)
    Job(recipe, dataset, choice, ["gather"]).gather(outcomes)


@app.command()
def embed(
    recipe: RecipePath,
    dataset: Dataset,
    engine: Kind = EngineKind.RAY,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Turn gathered images and texts into CLIP vectors and the scores on them."""
    from pairsieve.jobs.job import EngineChoice, Job

    choice = EngineChoice(engine.value, workers, ray_address)
    Job(recipe, dataset, choice, ["embed"]).embed()


@app.command()
def group(
    recipe: RecipePath,
    dataset: Dataset,
    engine: Kind = EngineKind.RAY,
    workers: Workers = None,
    ray_address: Address = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions",
            min=1,
            max=4096,
            help="Spread the search over so many tasks per table; default: beyond 200 million.",
        ),
    ] = None,
) -> None:
    """Find copies: the same pair, the same bytes, nearly the same picture."""
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.pipeline import group

    choice = EngineChoice(engine.value, workers, ray_address)
    job = Job(recipe, dataset, choice, ["group"])
    with job.engine() as opened:
        counts = group.run(job.recipe, job.store, opened, partitions).counts
    typer.echo(", ".join(f"{name} {count:,}" for name, count in counts.items()))


@app.command()
def select(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
) -> None:
    """Apply the rules; print the funnel."""
    from pairsieve.jobs.console import print_funnel
    from pairsieve.jobs.job import Job
    from pairsieve.pipeline import select

    job = Job(recipe, dataset, verbs=["select"])
    print_funnel(select.run(job.recipe, job.store, name).extra["funnel"])


@app.command()
def shard(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
    engine: Kind = EngineKind.RAY,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Pack the survivors of a selection into WebDataset tars."""
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.pipeline import shard
    from pairsieve.pipeline.dataset.paths import shards_folder
    from pairsieve.pipeline.ledger.ledger import current_shards

    choice = EngineChoice(engine.value, workers, ray_address)
    job = Job(recipe, dataset, choice, ["shard"])
    with job.engine() as opened:
        for marker in shard.run(job.recipe, job.store, opened, name):
            typer.echo(f"{marker.file('.tar')}  {marker.rows:,} samples")
    done = current_shards(job.store, name)
    typer.echo(f"{done.rows if done else 0:,} samples in {job.store.location(shards_folder(name))}")


@app.command()
def report(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
) -> None:
    """Write stats.duckdb and report.html for a selection."""
    from pairsieve.jobs.console import print_rate
    from pairsieve.jobs.job import Job
    from pairsieve.pipeline import report

    job = Job(recipe, dataset, verbs=["report"])
    for written in report.run(job.recipe, job.store, name):
        typer.echo(written)
    print_rate(job.store, job.recipe)


@app.command()
def run(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
    engine: Kind = EngineKind.RAY,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Run the whole pipeline, from pairs to shards and report; stop and start it at will."""
    from pairsieve.jobs.console import print_paths
    from pairsieve.jobs.job import EngineChoice, Job

    choice = EngineChoice(engine.value, workers, ray_address)
    job = Job(recipe, dataset, choice)
    job.run(name)
    print_paths(job.store, name)


@app.command()
def export(
    dataset: DatasetArgument,
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL to write to.")],
    model: Model = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Selection whose survivors; default: all.")
    ] = None,
) -> None:
    """Write vectors and metadata in the layout of clip-retrieval."""
    from pairsieve.pipeline import export
    from pairsieve.pipeline.dataset.store import Store

    written = export.run(Store.at(dataset), Store.at(out), model, name)
    typer.echo(f"{written.rows:,} rows in {written.parts:,} parts in {Store.at(out).url}")


@app.command()
def search(
    dataset: DatasetArgument,
    text: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Look for what is like this picture.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="Recipe of the dataset; needed if its model is local files."),
    ] = None,
    model: Model = None,
    name: Name = "default",
    count: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many pairs to show.")] = 20,
    page: Annotated[
        Path | None, typer.Option("--page", help="Write a page with the pictures to this file.")
    ] = None,
) -> None:
    """Find the pairs whose images are nearest to a text or a picture."""
    from pairsieve.jobs.console import print_search
    from pairsieve.pipeline import search
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.schemas.recipe_file import load

    query = search.Query(text, image, count)
    loaded = load(recipe) if recipe else None
    result = search.run(Store.at(dataset), query, loaded, model, name)
    print_search(result)
    if page:
        page.write_text(search.page(Store.at(dataset), result), encoding="utf-8")
        typer.echo(page)


@app.command()
def status(
    dataset: DatasetArgument,
    name: Name = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say where every pair is; exit 1 if they do not add up."""
    import json

    from pairsieve.jobs.console import print_status
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.status import status

    found = status(Store.at(dataset), name)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
    else:
        print_status(found)
    if found.complaints:
        raise typer.Exit(1)


@app.command()
def gc(
    dataset: DatasetArgument,
    min_age_h: Annotated[
        float, typer.Option("--min-age-h", min=0, help="Leave what is younger, hours.")
    ] = 24,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be deleted; delete nothing.")
    ] = False,
) -> None:
    """Delete what killed attempts left behind; 0 hours only while nothing runs."""
    from pairsieve.pipeline import gc
    from pairsieve.pipeline.dataset.store import Store

    garbage = gc.run(Store.at(dataset), min_age_h, dry_run)
    for file in garbage if dry_run else ():
        typer.echo(f"{file.bytes:>14,}  {file.path}")
    size = sum(file.bytes for file in garbage)
    typer.echo(f"{'would delete' if dry_run else 'deleted'} {len(garbage):,} files, {size:,} bytes")


@app.command()
def hashes(
    dataset: DatasetArgument,
    out: Annotated[str, typer.Option("--out", help="Parquet file to write, local or a URL.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Only survivors of this selection; default: all.")
    ] = None,
) -> None:
    """Write what a dataset's images are known by, for the `known` of another recipe."""
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.external import hash_file
    from pairsieve.pipeline.input.files import split_location

    source = Store.at(dataset)
    hash_file.check(source, name)
    store, path = split_location(out)
    with store.writer(path) as sink:
        hash_file.write(source, name, sink)
    typer.echo(f"Wrote {out}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to build it.")] = Path("pairsieve-demo"),
    pairs: Annotated[int, typer.Option("--pairs", min=100, help="Pairs of the demo web.")] = 3000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the demo web.")] = 0,
    engine: Kind = EngineKind.RAY,
    workers: Workers = None,
) -> None:
    """Run the whole pipeline offline, over a demo web with planted defects."""
    from pairsieve.jobs.demo import demo

    demo(folder, pairs, seed, (engine.value, workers))


def main() -> None:
    """Run the command line and turn errors that a user can act upon into text and exit code."""
    try:
        app()
    except BadOption as error:
        typer.echo(f"pairsieve: {error}", err=True)
        sys.exit(2)
    except PairsieveError as error:
        typer.echo(f"pairsieve: {error}", err=True)
        sys.exit(1)
