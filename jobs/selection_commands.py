"""Commands on selections: of a dataset, and as others have published them; none needs a recipe.

Everything heavy is imported inside them, as in `cli.py`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pairsieve.jobs.cli_options import (
    Address,
    AsJson,
    DatasetArgument,
    EngineKind,
    Force,
    Kind,
    Name,
    Page,
    Workers,
    check_output,
)

if TYPE_CHECKING:
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.engine.engine import Engine
    from pairsieve.pipeline.selections.sweep import Counts


@contextmanager
def _opened(
    dataset: str, engine: EngineKind, workers: int | None, ray_address: str | None
) -> "Iterator[tuple[Store, Engine]]":
    """Give a dataset, which must have a plan, and an engine; the engine is closed at the end."""
    from pairsieve.jobs.job import EngineChoice, opened
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.unit import plan_file

    store = Store.at(dataset)
    plan_file.read(store)
    with opened(EngineChoice(engine.value, workers, ray_address), store) as running:
        yield store, running


def _say(counts: "Counts", as_json: bool) -> None:
    """Print what a sweep has counted."""
    from pairsieve.jobs.selection_tables import print_counts

    if as_json:
        typer.echo(json.dumps(counts.to_json(), indent=1))
    else:
        print_counts(counts)


def diff(
    dataset: DatasetArgument,
    a: Annotated[str, typer.Argument(metavar="A", help="A selection.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    examples: Annotated[
        int, typer.Option("--examples", min=0, max=100, help="Pairs to show of each rule.")
    ] = 3,
    as_json: AsJson = False,
    page: Page = None,
    force: Force = False,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Say what selection B keeps that A does not, what it loses, and by which rules."""
    from pairsieve.jobs.selection_tables import json_of, print_difference
    from pairsieve.pipeline.selections import diff

    if page:
        check_output("--page", page, force)
    with _opened(dataset, engine, workers, ray_address) as (store, running):
        found = diff.run(store, running, (a, b), examples)
    if as_json:
        typer.echo(json_of(found.to_json()))
    else:
        print_difference(found)
    if page:
        page.write_text(diff.page(store, found), encoding="utf-8")
        typer.echo(page, err=as_json)


def sweep(
    dataset: DatasetArgument,
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="The rule, or RULE.OPTION where it has several.")
    ],
    name: Name = "default",
    at: Annotated[
        str | None,
        typer.Option("--at", help="Values with commas between them; default: 20 quantiles."),
    ] = None,
    as_json: AsJson = False,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Say how many pairs would survive with other values of a threshold, the other rules fixed."""
    from pairsieve.pipeline.selections import sweep

    values = sweep.parse_values("--at", at) if at is not None else ()
    with _opened(dataset, engine, workers, ray_address) as (store, running):
        counts = sweep.sweep(store, running, name, rule, values)
    _say(counts, as_json)


def what_if(
    dataset: DatasetArgument,
    thresholds: Annotated[
        list[str],
        typer.Argument(metavar="RULE.OPTION=VALUES", help="One threshold or two, and values."),
    ],
    name: Name = "default",
    as_json: AsJson = False,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Say how many pairs would survive with every combination of values of two thresholds.

    E.g. `pairsieve what-if DIR clip_similarity.min_similarity=0.2,0.25 size.min_bytes=1,5000`.
    """
    from pairsieve.pipeline.selections import sweep

    specs = [sweep.parse(spec) for spec in thresholds]
    with _opened(dataset, engine, workers, ray_address) as (store, running):
        counts = sweep.what_if(store, running, name, specs)
    _say(counts, as_json)


def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A preset; default: a table of all.")
    ] = None,
) -> None:
    """List the presets: the rules of published datasets; of one, its rules, source and model."""
    from pairsieve.jobs.selection_tables import print_preset, print_presets
    from pairsieve.schemas.errors import BadOption, nearest
    from pairsieve.schemas.presets import PRESETS

    if name is None:
        print_presets()
    elif name not in PRESETS:
        raise BadOption(f"presets: there is none called `{name}`; {nearest(name, [*PRESETS])}")
    else:
        print_preset(PRESETS[name])


def why(
    dataset: DatasetArgument,
    pair: Annotated[
        str, typer.Argument(metavar="PAIR", help="A uid, a URL, or SHARD.tar/KEY of a sample.")
    ],
    name: Name = "default",
    page: Page = None,
    force: Force = False,
    as_json: AsJson = False,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Tell the life of a pair: input, fetches, measures, what each rule says, copies, shard."""
    from pairsieve.jobs.selection_tables import json_of, print_life
    from pairsieve.pipeline.selections import life, life_page

    if page:
        check_output("--page", page, force)
    with _opened(dataset, engine, workers, ray_address) as (store, running):
        lives = life.run(store, running, name, pair)
        if page:
            page.write_text(life_page.page(store, lives, name, pair), encoding="utf-8")
            typer.echo(page, err=as_json)
    if as_json:
        typer.echo(json_of([one.to_json() for one in lives]))
        return
    for one in lives:
        print_life(one, name)
