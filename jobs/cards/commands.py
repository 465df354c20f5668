"""`pairsieve card`: write the dataset card and the documents beside it; check a shard's proof."""

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
    sign: Annotated[
        Path | None,
        typer.Option("--sign", help="Ed25519 key of OpenSSH that signs the root over the shards."),
    ] = None,
    prove: Annotated[
        str | None,
        typer.Option("--prove", metavar="SHARD", help="Only print the proof of this shard."),
    ] = None,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Write a dataset card, Croissant, a summary of training content, and the takedowns."""
    from pairsieve.jobs.job import EngineChoice, opened
    from pairsieve.pipeline import card
    from pairsieve.pipeline.cards.signature import Signer
    from pairsieve.pipeline.dataset.lease import held, of_selection
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.schemas import about as publisher
    from pairsieve.schemas.recipe_file import load

    store = Store.at(dataset)
    if prove:
        typer.echo(card.prove(store, name, prove).dumps(), nl=False)
        return
    said = publisher.load(about) if about else None
    loaded = load(recipe) if recipe else None
    signer = Signer(sign) if sign else None
    card.check(store, name)
    choice = EngineChoice(engine.value, workers, ray_address)
    with held(store, of_selection(name), log.note), opened(choice, store) as running:
        for path in card.run(store, running, name, said, loaded, signer):
            typer.echo(path)


def check_proof(
    proof: Annotated[Path, typer.Argument(metavar="PROOF", help="As `card --prove` printed it.")],
    shard: Annotated[Path, typer.Argument(metavar="SHARD", help="The file of the shard.")],
    root: Annotated[str, typer.Option("--root", metavar="HEX", help="The root, from `root.txt`.")],
) -> None:
    """Check that a shard is one of those that a root was made of; exit 1 if not."""
    from pairsieve.pipeline.cards.merkle import Proof, sha256_of

    read = Proof.read(proof)
    if read.root(sha256_of(shard)) != root.strip().lower():
        typer.echo(f"{shard} is not {read.shard} of the shards with the root {root}")
        raise typer.Exit(1)
    typer.echo(f"{shard} is {read.shard}, one of {read.shards:,} shards")
