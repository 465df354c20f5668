"""Commands that need no recipe: on a dataset that is there, and for what a recipe names.

Everything heavy is imported inside them, as in `cli.py`.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairsieve.jobs import log
from pairsieve.jobs.cli_options import (
    Address,
    AnyDataset,
    AsJson,
    DatasetArgument,
    EngineKind,
    Force,
    Kind,
    Model,
    Name,
    Page,
    Survivors,
    Workers,
    check_output,
)
from pairsieve.schemas.errors import BadOption

if TYPE_CHECKING:
    from pairsieve.pipeline.dataset.store import Store

Named = list[str] | None


class ExportTo(StrEnum):
    """For which programs a dataset is exported."""

    CLIP_RETRIEVAL = "clip-retrieval"
    DATACOMP = "datacomp"
    EMBEDDING_ATLAS = "embedding-atlas"
    HARD_NEGATIVES = "hard-negatives"


def export(
    dataset: DatasetArgument,
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder or URL to write to.")],
    model: Model = None,
    name: Survivors = None,
    to: Annotated[
        ExportTo,
        typer.Option(
            "--to",
            help="`datacomp`: a sorted list of uids, OUT a .npy; `embedding-atlas`: a map of "
            "images, OUT a .parquet; `hard-negatives`: the captions and pictures nearest to each "
            "pair, OUT a .parquet.",
        ),
    ] = ExportTo.CLIP_RETRIEVAL,
    uids: Annotated[
        str | None,
        typer.Option("--uids", help="Column of the uids; default: the input's, else ours."),
    ] = None,
    points: Annotated[
        int, typer.Option("--points", min=3, help="For embedding-atlas: at most so many pairs.")
    ] = 10_000,
    negatives: Annotated[
        int, typer.Option("--negatives", min=1, max=1000, help="For hard-negatives: of each kind.")
    ] = 10,
    force: Force = False,
) -> None:
    """Write vectors for clip-retrieval, uids for DataComp, a map, or hard negatives."""
    from pairsieve.pipeline import export
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.selections import uid_list

    if to is ExportTo.DATACOMP:
        if model:
            raise BadOption("--model: a list of uids for DataComp has no vectors; leave it out")
        written_uids = uid_list.run(Store.at(dataset), out, name or "default", uids)
        typer.echo(f"{written_uids:,} uids in {out}")
        return
    if uids:
        raise BadOption(f"--uids: {to} has none; say `--to datacomp`, too")
    if to is ExportTo.EMBEDDING_ATLAS:
        _export_map(dataset, out, model, name, points, force)
        return
    if to is ExportTo.HARD_NEGATIVES:
        _export_negatives(dataset, out, model, name, negatives, force)
        return
    written = export.run(Store.at(dataset), Store.at(out), model, name)
    typer.echo(f"{written.rows:,} rows in {written.parts:,} parts in {Store.at(out).url}")


def _export_map(
    dataset: str, out: str, model: str | None, name: str | None, points: int, force: bool
) -> None:
    """Write the map of a dataset for embedding-atlas."""
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.explore import atlas

    store, path = _parquet(out, ExportTo.EMBEDDING_ATLAS, force)
    written = atlas.write(Store.at(dataset), store, path, model, name, points)
    typer.echo(f"{written.pairs:,} of {written.of:,} pairs in {out}")
    typer.echo(f"embedding-atlas {out} --x x --y y --text text --image image")


def _export_negatives(
    dataset: str, out: str, model: str | None, name: str | None, negatives: int, force: bool
) -> None:
    """Write the hard negatives of a selection."""
    from pairsieve.pipeline import hard_negatives
    from pairsieve.pipeline.dataset.store import Store

    store, path = _parquet(out, ExportTo.HARD_NEGATIVES, force)
    source = Store.at(dataset)
    written = hard_negatives.run(source, store, path, model, name or "default", negatives)
    typer.echo(f"{written:,} pairs in {out}")


def _parquet(out: str, to: ExportTo, force: bool) -> "tuple[Store, str]":
    """Return where the one Parquet file of an export is to be."""
    from pairsieve.pipeline.input.files import split_location

    if not out.endswith(".parquet"):
        raise BadOption(f"OUT: {out}: {to} is one Parquet file; name it *.parquet")
    store, path = split_location(out)
    if store.exists(path) and not force:
        raise BadOption(f"OUT: {out} exists already; name another file, or say --force")
    return store, path


def learn(
    dataset: DatasetArgument,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Parquet or CSV of uid and label: marked pairs; default: those of `explore`.",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What the score is called.")] = "good",
    columns: Annotated[
        str, typer.Option("--columns", help="Measures of `gather` to use too, with commas between.")
    ] = "",
    hidden: Annotated[
        int | None,
        typer.Option("--hidden", help="Units of a hidden layer; default: there is none."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File of the head; default: NAME.safetensors.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the calibration to this file, SVG.")
    ] = None,
    model: Model = None,
    force: Force = False,
) -> None:
    """Learn to tell good pairs from bad ones, from pairs that a person has marked."""
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.learning import calibration, learn
    from pairsieve.pipeline.vectors import pair_head

    path = out or Path(f"{name}.safetensors")
    check_output("--out", path, force)
    if path.suffix != ".safetensors":
        raise BadOption(f"--out: {path}: a head is a .safetensors")
    if plot:
        check_output("--plot", plot, force)
    listed = [each.strip() for each in columns.split(",") if each.strip()]
    head = learn.run(Store.at(dataset), labels, name, listed, model, hidden)
    pair_head.save(path, head)
    if plot:
        plot.write_text(calibration.svg(head.record["evaluation"]["calibration"]), encoding="utf-8")
    typer.echo("\n".join(learn.sentences(head)))
    typer.echo(f"Wrote {path}. To use it: `embed: {{concepts: {{{name}: {{head: {path}}}}}}}` and")
    typer.echo(f"`keep: [{{concept: {{name: {name}, min_probability: 0.5}}}}]` in the recipe.")


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
    page: Page = None,
    force: Force = False,
) -> None:
    """Find the pairs whose images are nearest to a text or a picture."""
    from pairsieve.jobs.console import print_search
    from pairsieve.pipeline import search
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.schemas.recipe_file import load

    if page:
        check_output("--page", page, force)
    query = search.Query(text, image, count)
    loaded = load(recipe) if recipe else None
    result = search.run(Store.at(dataset), query, loaded, model, name)
    print_search(result)
    if page:
        page.write_text(search.page(Store.at(dataset), result), encoding="utf-8")
        typer.echo(page)


def status(
    dataset: DatasetArgument,
    name: Name = "default",
    as_json: AsJson = False,
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


def verify(
    dataset: DatasetArgument,
    shards: Annotated[
        str | None,
        typer.Option("--shards", help="Only the shards of this selection, images decoded."),
    ] = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode every stored image too: 1 ms of a core each.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Give up what is damaged, so that it is made again.")
    ] = False,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Read everything that is committed and say what is not as it was; exit 1 if anything is."""
    from pairsieve.jobs.job import EngineChoice
    from pairsieve.jobs.verify import verify
    from pairsieve.pipeline.dataset.store import Store

    choice = EngineChoice(engine.value, workers, ray_address)
    if verify(Store.at(dataset), shards, decode, repair, choice):
        raise typer.Exit(1)


def forget(
    dataset: AnyDataset,
    uid: Annotated[Named, typer.Option("--uid", help="The pair of this uid.")] = None,
    url: Annotated[Named, typer.Option("--url", help="Pairs of this URL.")] = None,
    host: Annotated[
        Named, typer.Option("--host", help="Pairs of this host and its sub-domains.")
    ] = None,
    sha256: Annotated[
        Named, typer.Option("--sha256", help="Pairs whose image came as these bytes.")
    ] = None,
    phash: Annotated[
        Named,
        typer.Option(
            "--phash", metavar="HASH [BITS]", help="Pictures with this pHash, or some bits off."
        ),
    ] = None,
    listed: Annotated[
        list[Path] | None,
        typer.Option("--list", help="A file with a line `KIND VALUE` for each, as above."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the ledger and record.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be taken out; change nothing.")
    ] = False,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
) -> None:
    """Take pairs out, so that no byte of them is left and nothing fetches them again."""
    from pairsieve.jobs.console import print_forgotten
    from pairsieve.jobs.job import EngineChoice, opened
    from pairsieve.pipeline import forget
    from pairsieve.pipeline.dataset.lease import POOL, held
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.removal.names import keys

    options = {"uid": uid, "url": url, "host": host, "sha256": sha256, "phash": phash}
    named = keys(
        {kind: values or () for kind, values in options.items()}, [*map(str, listed or ())]
    )
    store = Store.at(dataset)
    forget.check(store, named)
    choice = EngineChoice(engine.value, workers, ray_address)
    with held(store, POOL, log.note), opened(choice, store) as running:
        if dry_run:
            taken = [forget.dry_run(store, running, named)]
        else:
            taken = forget.run(store, running, named, reason)
    print_forgotten(store, taken, dry_run)


def hashes(
    dataset: DatasetArgument,
    out: Annotated[str, typer.Option("--out", help="Parquet file to write, local or a URL.")],
    name: Survivors = None,
    force: Force = False,
) -> None:
    """Write a hash export: the hashes of a dataset's images, for `known` in another recipe."""
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.external import hash_file
    from pairsieve.pipeline.input.files import split_location

    if Path(out).is_dir():
        raise BadOption(f"--out: {out} is a folder; name a file in it")
    store, path = split_location(out)
    if store.exists(path) and not force:
        raise BadOption(f"--out: {out} exists already; name another file, or say --force")
    source = Store.at(dataset)
    hash_file.check(source, name)
    with store.writer(path) as sink:
        hash_file.write(source, name, sink)
    typer.echo(f"Wrote {out}")


def list_contents(dataset: DatasetArgument) -> None:
    """List the selections, models and retry layers of a dataset."""
    from pairsieve.jobs.console import print_contents
    from pairsieve.pipeline.dataset.store import Store

    print_contents(Store.at(dataset))


def fetch_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As `embed.model` has it.")],
    pretrained: Annotated[
        str, typer.Argument(metavar="PRETRAINED", help="As `embed.pretrained` has it.")
    ],
) -> None:
    """Fetch a model of open_clip's, with its tokenizer, into the cache: `run` downloads nothing."""
    from pairsieve.pipeline.models.download import download
    from pairsieve.schemas.recipe import Embed

    typer.echo(download(Embed(model=model, pretrained=pretrained)).weights)


# Those that are called as they are here.
COMMANDS = (export, search, learn, status, verify, forget, gc, hashes)
