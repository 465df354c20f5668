"""Commands on the selections of a dataset: how two differ; none needs a recipe.

Everything heavy is imported inside them, as in `cli.py`.
"""

import json
from typing import Annotated

import typer

from pairsieve.jobs.cli_options import (
    Address,
    AsJson,
    DatasetArgument,
    EngineKind,
    Force,
    Kind,
    Page,
    Workers,
    check_output,
)


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
    from pairsieve.jobs.job import EngineChoice, opened
    from pairsieve.jobs.selection_tables import print_difference
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.selections import diff
    from pairsieve.pipeline.unit import plan_file

    if page:
        check_output("--page", page, force)
    store = Store.at(dataset)
    plan_file.read(store)
    with opened(EngineChoice(engine.value, workers, ray_address)) as running:
        found = diff.run(store, running, (a, b), examples)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1, default=str))
    else:
        print_difference(found)
    if page:
        page.write_text(diff.page(store, found), encoding="utf-8")
        typer.echo(page, err=as_json)
