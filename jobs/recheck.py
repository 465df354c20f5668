"""The command `recheck`: ask again what sites declare, print it, and hand the list to `forget`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairsieve.jobs import log
from pairsieve.jobs.cli_options import (
    Address,
    Dataset,
    EngineKind,
    Force,
    Kind,
    RecipePath,
    Workers,
    check_output,
)
from pairsieve.schemas.errors import BadOption

if TYPE_CHECKING:
    from pairsieve.jobs.job import Job
    from pairsieve.pipeline.engine.engine import Engine
    from pairsieve.pipeline.recheck import Found


def recheck(
    recipe: RecipePath,
    dataset: Dataset,
    out: Annotated[
        Path, typer.Option("--out", help="File for the list of pairs, as `forget --list` takes it.")
    ],
    opt_outs: Annotated[
        bool, typer.Option("--opt-outs", help="Ask the sites' robots.txt and tdmrep.json.")
    ] = False,
    headers: Annotated[
        bool, typer.Option("--headers", help="Ask for the header of every image, too: HEAD.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Take the pairs of the list out of the dataset.")
    ] = False,
    force: Force = False,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Ask again, politely, which stored images are opted out of by now; fetch none."""
    from pairsieve.jobs.job import EngineChoice, Job
    from pairsieve.pipeline import recheck

    if not opt_outs:
        raise BadOption("recheck: say what: --opt-outs")
    check_output("--out", out, force)
    job = Job(recipe, dataset, EngineChoice(engine.value, workers, ray_address), ["gather"])
    unfinished = out.with_name(f"{out.name}.unfinished")
    with job.engine() as running:
        with unfinished.open("wb") as sink:
            found = recheck.run(job.recipe, job.store, running, sink, headers)
        os.replace(unfinished, out)
        _print(found, out)
        if forget and found.forbidden:
            _forget(job, running, out)
        elif found.forbidden:
            typer.echo(f"take them out: `pairsieve forget {dataset} --list {out}`")


def _print(found: "Found", out: Path) -> None:
    """Print how many pairs are opted out of by now, and of how many URLs nothing is known."""
    typer.echo(f"asked of {found.pairs:,} pairs with a stored image, {found.urls:,} URLs")
    forbidden = ", ".join(f"{name} {n:,}" for name, n in sorted(found.forbidden.items()))
    typer.echo(f"opted out of by now: {found.forbidden.total():,} pairs  {forbidden}".rstrip())
    if found.unanswered:
        failed = ", ".join(f"{name} {n:,}" for name, n in sorted(found.unanswered.items()))
        typer.echo(f"no answer, so not listed: {found.unanswered.total():,} URLs  {failed}")
    typer.echo(f"the list: {out}")


def _forget(job: "Job", running: "Engine", out: Path) -> None:
    """Take the pairs of the list out."""
    from pairsieve.jobs.console import print_forgotten
    from pairsieve.pipeline import forget
    from pairsieve.pipeline.dataset.lease import POOL, held
    from pairsieve.pipeline.removal.names import keys

    with held(job.store, POOL, log.note):
        taken = forget.run(job.store, running, keys({}, [str(out)]), "opted out of since")
    print_forgotten(job.store, taken, dry_run=False)
