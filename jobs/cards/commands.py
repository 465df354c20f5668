"""`pairsieve card`: write the dataset card and the documents beside it."""

from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs import log
from pairsieve.jobs.cli_options import (
    Address,
    DatasetArgument,
    EngineKind,
    Kind,
    Name,
    Workers,
)


def card(
    dataset: DatasetArgument,
    name: Name = "default",
    about: Annotated[
        Path | None,
        typer.Option("--about", help="YAML of what only you know: title, licence, contact ..."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="The recipe: the crawler's name, its paces, its opt-outs."),
    ] = None,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Write a dataset card, Croissant, a summary of training content, and the takedowns."""
    from pairsieve.jobs.job import EngineChoice, opened
    from pairsieve.pipeline import card
    from pairsieve.pipeline.dataset.lease import held, of_selection
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.schemas import about as publisher
    from pairsieve.schemas.recipe_file import load

    said = publisher.load(about) if about else None
    loaded = load(recipe) if recipe else None
    store = Store.at(dataset)
    card.check(store, name)
    choice = EngineChoice(engine.value, workers, ray_address)
    with held(store, of_selection(name), log.note), opened(choice) as running:
        for path in card.run(store, running, name, said, loaded):
            typer.echo(path)
