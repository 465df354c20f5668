"""The command line: one command per verb, `run` for the whole pipeline.

Verbs that run on an engine take the same options for it; `plan`, `select` and `report` work in the
calling process.

Everything heavy is imported inside the commands, so `pairsieve --help` answers at once. Exit codes:
0 done, 1 failed or stopped (the same command goes on), 2 wrong use.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pairsieve.jobs import log
from pairsieve.jobs.bench.commands import bench
from pairsieve.jobs.bench_curation.command import curation
from pairsieve.jobs.bench_docs.command import everything
from pairsieve.jobs.bench_scale.growing import pool
from pairsieve.jobs.bench_web.command import pipeline, web
from pairsieve.jobs.cards.commands import card, check_proof
from pairsieve.jobs.cli_options import (
    Address,
    Again,
    App,
    Dataset,
    EngineKind,
    Kind,
    Limit,
    LogTo,
    MetricsPort,
    Name,
    RecipePath,
    Sample,
    Settings,
    Workers,
    check_name,
)
from pairsieve.jobs.cluster.commands import cluster
from pairsieve.jobs.crawl.bench import extract as bench_extract
from pairsieve.jobs.crawl.commands import extract
from pairsieve.jobs.dataset_commands import COMMANDS, fetch_model, list_contents
from pairsieve.jobs.estimate.commands import estimate
from pairsieve.jobs.evaluation.commands import evaluate
from pairsieve.jobs.explore.commands import explore, sql
from pairsieve.jobs.live.tracking import About, watched
from pairsieve.jobs.profile.commands import profile
from pairsieve.jobs.recheck import recheck
from pairsieve.jobs.recipes.commands import check, init
from pairsieve.jobs.selection_commands import diff, presets, sweep, what_if, why
from pairsieve.schemas.errors import BadOption, PairsieveError, not_permitted, out_of_room

_USAGE: Any = typer.BadParameter.__mro__[2]  # what typer raises for wrong words, and its kin

app = App(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(init)
app.command()(check)
app.command()(profile)
app.command()(estimate)
bench.command()(web)
bench.command()(curation)
bench.command()(pool)
bench.command()(pipeline)
bench.command("extract")(bench_extract)
bench.command("all")(everything)
app.add_typer(bench, name="bench")
app.add_typer(cluster, name="cluster")


@app.command()
def plan(
    recipe: RecipePath,
    dataset: Dataset,
    limit: Limit = None,
    sample: Sample = False,
) -> None:
    """Cut the input into units and write the plan."""
    from pairsieve.jobs.job import Job
    from pairsieve.pipeline.unit.input_columns import dialect_sentences

    planned = Job(recipe, dataset, verbs=["plan"]).limited(limit, sample)
    for sentence in dialect_sentences(planned.dialects):
        typer.echo(sentence)
    typer.echo(f"{planned.pairs:,} pairs in {len(planned.units):,} units")


@app.command()
def gather(
    recipe: RecipePath,
    dataset: Dataset,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
    metrics_port: MetricsPort = None,
    log_to: LogTo = None,
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
    with watched(metrics_port, log_to, About("gather", recipe, dataset)) as metrics:
        Job(recipe, dataset, choice, ["gather"], metrics=metrics).gather(outcomes)


@app.command()
def embed(
    recipe: RecipePath,
    dataset: Dataset,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
    metrics_port: MetricsPort = None,
    log_to: LogTo = None,
) -> None:
    """Turn gathered images and texts into CLIP vectors and the scores on them."""
    from pairsieve.jobs.job import EngineChoice, Job

    choice = EngineChoice(engine.value, workers, ray_address)
    with watched(metrics_port, log_to, About("embed", recipe, dataset)) as metrics:
        Job(recipe, dataset, choice, ["embed"], metrics=metrics).embed()


@app.command()
def caption(
    recipe: RecipePath,
    dataset: Dataset,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
    metrics_port: MetricsPort = None,
    log_to: LogTo = None,
    retry: Again = False,
) -> None:
    """Ask the model of the recipe's `captions` for captions or translations."""
    from pairsieve.jobs.job import EngineChoice, Job

    choice = EngineChoice(engine.value, workers, ray_address)
    with watched(metrics_port, log_to, About("caption", recipe, dataset)) as metrics:
        Job(recipe, dataset, choice, ["caption"], metrics=metrics).caption(retry)


@app.command()
def group(
    recipe: RecipePath,
    dataset: Dataset,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions",
            min=1,
            max=4096,
            help="Spread the search over so many tasks per table; default: as many as it needs.",
        ),
    ] = None,
) -> None:
    """Find copies: the same pair, the same bytes, nearly the same picture."""
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.pipeline import group
    from pairsieve.pipeline.dataset.lease import POOL
    from pairsieve.pipeline.dataset.stages import GROUP

    choice = EngineChoice(engine.value, workers, ray_address)
    job = Job(recipe, dataset, choice, ["group"])
    with job.deciding(POOL, GROUP) as opened:
        counts = group.run(job.recipe, job.store, opened, partitions).counts
    typer.echo(", ".join(f"{name} {count:,}" for name, count in counts.items()))


@app.command()
def select(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
    settings: Settings = None,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Apply the rules; print the funnel. `serial` uses every processor here for one block.

    With `--set` a rule has another value than in the recipe, e.g.
    `--set clip_similarity.min_similarity=0.26 --name looser`.
    """
    from pairsieve.jobs.console import print_funnel
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.jobs.selection_tables import limits, pass_rates
    from pairsieve.pipeline import select
    from pairsieve.pipeline.dataset.lease import of_selection
    from pairsieve.pipeline.dataset.stages import SELECT

    choice = EngineChoice(engine.value, workers, ray_address)
    job = Job(recipe, dataset, choice, ["select"], settings or ())
    with job.deciding(of_selection(name), SELECT) as opened:
        marker = select.run(job.recipe, job.store, opened, name)
    print_funnel(marker.extra["funnel"])
    for sentence in (*limits(marker), *pass_rates(job.recipe, marker)):
        typer.echo(sentence)


@app.command()
def shard(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Pack the survivors of a selection into WebDataset tars, or Parquet files."""
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.jobs.selection_tables import packed
    from pairsieve.pipeline import shard
    from pairsieve.pipeline.dataset.lease import of_selection
    from pairsieve.pipeline.dataset.paths import shard_marker, shards_folder
    from pairsieve.pipeline.ledger.ledger import current_shards

    choice = EngineChoice(engine.value, workers, ray_address)
    job = Job(recipe, dataset, choice, ["shard"])
    with job.waiting(of_selection(name)) as opened:
        before = job.store.marker(shard_marker(name))
        for marker in shard.run(job.recipe, job.store, opened, name):
            typer.echo(packed(marker, before))
    done = current_shards(job.store, name)
    typer.echo(f"{done.rows if done else 0:,} samples in {job.store.location(shards_folder(name))}")


@app.command()
def report(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            help="Another selection: show what is gained and lost.",
            callback=check_name,
        ),
    ] = None,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Write stats.duckdb and report.html for a selection, and index.html for all."""
    from pairsieve.jobs.console import print_rate
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.pipeline import report
    from pairsieve.pipeline.dataset.lease import of_selection
    from pairsieve.pipeline.dataset.stages import REPORT

    choice = EngineChoice(engine.value, workers, ray_address)
    job = Job(recipe, dataset, choice, ["report"])
    with job.deciding(of_selection(name), REPORT) as opened:
        written = report.run(job.recipe, job.store, opened, name, against=against)
    for path in written:
        typer.echo(path)
    print_rate(job.store, job.recipe)


@app.command()
def run(
    recipe: RecipePath,
    dataset: Dataset,
    name: Name = "default",
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
    metrics_port: MetricsPort = None,
    log_to: LogTo = None,
    limit: Limit = None,
    sample: Sample = False,
) -> None:
    """Run the whole pipeline, from pairs to shards and report; stop and start it at will."""
    from pairsieve.jobs.console import print_paths
    from pairsieve.jobs.job import EngineChoice, Job

    choice = EngineChoice(engine.value, workers, ray_address)
    with watched(metrics_port, log_to, About("run", recipe, dataset, name)) as metrics:
        job = Job(recipe, dataset, choice, metrics=metrics)
        job.run(name, limit, sample)
    print_paths(job.store, name)


for command in (
    *(extract, diff, sweep, presets, why, sql, explore, recheck, card, evaluate),
    *COMMANDS,
):
    app.command()(command)
app.command("list")(list_contents)
app.command("fetch-model")(fetch_model)
app.command("check-proof")(check_proof)
app.command("what-if")(what_if)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to build it.")] = Path("pairsieve-demo"),
    pairs: Annotated[int, typer.Option("--pairs", min=166, help="Pairs of the demo web.")] = 3000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the demo web.")] = 0,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
) -> None:
    """Run the whole pipeline offline, over a demo web with planted defects."""
    from pairsieve.jobs.demo import demo

    demo(folder, pairs, seed, (engine.value, workers))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pairsieve {version('pairsieve')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Say which version this is."
        ),
    ] = False,
) -> None:
    """Turn (image URL, alt text) pairs into clean, deduplicated WebDataset shards."""


def main() -> None:
    """Run the command line and turn errors that a user can act upon into text and exit code.

    Anything else is a fault of pairsieve's own: it is shown whole, with the wish to hear of it.
    """
    log.configure("--quiet" in sys.argv, "--log-json" in sys.argv)
    try:
        if log.is_json():
            sys.exit(_main_in_json())
        app()
    except BadOption as error:
        log.error(str(error), 2)
        sys.exit(2)
    except PairsieveError as error:
        log.error(str(error), 1)
        sys.exit(1)
    except Exception as error:
        if said := out_of_room(error) or not_permitted(error):
            log.error(said, 1)
            sys.exit(1)
        log.fault(
            "this is a fault of pairsieve's own; please report it with what follows, "
            "`pairsieve --version` and the recipe. Nothing committed is lost."
        )
        if log.is_json():
            sys.exit(1)
        raise


def _main_in_json() -> int:
    """Run the command line and return its exit code; wrong words are told without a box."""
    try:
        return int(app(standalone_mode=False) or 0)
    except _USAGE as error:
        log.error(error.format_message(), error.exit_code)
        return int(error.exit_code)
    except typer.Abort:
        log.error("interrupted", 1)
        return 1
