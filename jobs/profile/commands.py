"""The command `profile`; everything heavy is imported inside it, as in `cli.py`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pairsieve.jobs.cli_options import AsJson, Force, RecipePath, check_output

if TYPE_CHECKING:
    from pairsieve.jobs.profile.paces import Pace

HEAD = (
    *("host", "pairs", "answers", "crawl delay, s", "opt-outs", "ms", "KB"),
    *("formats", "HTTP", "per s", "because", "days"),
)


def profile(
    recipe: RecipePath,
    hosts: Annotated[
        int, typer.Option("--hosts", min=1, max=1000, help="How many of the largest hosts.")
    ] = 20,
    requests: Annotated[
        int, typer.Option("--requests", min=1, max=100, help="URLs that each is asked for.")
    ] = 5,
    max_per_s: Annotated[
        float | None,
        typer.Option(
            "--max-per-s",
            min=0.001,
            max=100_000,
            help="Propose so many requests per second at most, not those of the recipe.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File for the paces, as a recipe has them.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Ask the largest hosts of the input for a few images each, and propose a pace for each.

    One request at a time, at the recipe's pace, after their robots.txt; nothing is kept.
    """
    import json

    from pairsieve.jobs.estimate.temporary import temporary
    from pairsieve.jobs.profile.paces import as_recipe, propose

    if out:
        check_output("--out", out, force)
    with temporary(recipe, "profile") as folder:
        fetch, answers = _asked(recipe, hosts, requests, folder)
    paces = [propose(one, fetch, max_per_s) for one in answers]
    proposed = _yaml(as_recipe(paces))
    if out:
        out.write_text(proposed, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps([_to_json(pace) for pace in paces]))
        return
    _print(paces, proposed, out)


def _asked(recipe: Path, hosts: int, requests: int, folder: Path) -> tuple[Any, list[Any]]:
    """Return the recipe's `fetch`, and what the largest hosts answered.

    Raises:
        BadOption: the recipe does not fetch, or the input has no URL.
    """
    from pairsieve.jobs.estimate.hosts import largest, some_urls
    from pairsieve.jobs.job import Job
    from pairsieve.jobs.profile.asking import ask
    from pairsieve.schemas.errors import BadOption

    job = Job(recipe, f"{folder}/dataset", verbs=["plan"])
    if job.recipe.fetch is None:
        raise BadOption("fetch: missing; say at least `user_agent`, who asks")
    plan = job.plan()
    counted = dict(largest(plan, job.store, hosts))
    urls = some_urls(plan, job.store, counted, requests)
    if not urls:
        raise BadOption("input: it has no URL that could be asked for")
    some = [(pairs, urls[host]) for host, pairs in counted.items() if host in urls]
    return job.recipe.fetch, ask(job.recipe, some)


def _yaml(proposed: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(proposed, sort_keys=False) if proposed else "{}\n"


def _to_json(pace: "Pace") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **asdict(pace.answers),
        "per_s": pace.per_s,
        "because": pace.because,
        "is_new": pace.is_new,
        "days": pace.days,
    }


def _print(paces: Sequence["Pace"], proposed: str, out: Path | None) -> None:
    """Print a row for each host, and the paces that differ from those of the recipe."""
    from pairsieve.jobs.console import print_table

    print_table("The largest hosts", HEAD, [_row(pace) for pace in paces])
    if not any(pace.is_new for pace in paces):
        typer.echo("No host needs another pace than the recipe's.")
    elif out:
        typer.echo(f"Paces for the recipe, or for `estimate --paces`: {out}")
    else:
        typer.echo(f"Paces for the recipe:\n\n{proposed}")


def _row(pace: "Pace") -> tuple[Any, ...]:
    from pairsieve.jobs.console import printable

    of = pace.answers
    failed = {name: n for name, n in of.outcomes.items() if not name.startswith(("ok", "http_"))}
    return (
        printable(of.host),
        of.pairs,
        _counted({str(status): n for status, n in of.statuses.items()} | failed),
        f"{of.delay_s:g}" if of.delay_s else "-",
        _counted(of.opt_outs),
        "-" if of.latency_s is None else f"{1000 * of.latency_s:.0f}",
        "-" if of.size_bytes is None else f"{of.size_bytes / 1000:.0f}",
        _counted(of.kinds),
        _counted(of.http_versions),
        f"{pace.per_s:g}",
        pace.because,
        f"{pace.days:.2g}",
    )


def _counted(counts: Mapping[str, int]) -> str:
    """Return names and counts, the commonest first; a dash of nothing."""
    every = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(name if len(every) == 1 else f"{name}: {n}" for name, n in every) or "-"
