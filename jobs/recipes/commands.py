"""Commands on a recipe alone."""

from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs import log
from pairsieve.jobs.cli_options import Force, RecipePath
from pairsieve.schemas.errors import BadOption


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("recipe.yaml"),
    model: Annotated[
        bool, typer.Option("--model/--no-model", help="With a CLIP model and the rules on it.")
    ] = True,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Write out the rules of this preset.")
    ] = None,
    force: Force = False,
) -> None:
    """Write a commented recipe to start from."""
    from pairsieve.jobs.recipes.template import preset_template, template

    if path.exists() and not force:
        raise BadOption(f"{path}: exists already; name another file, or say --force")
    text = template(model) if preset is None else preset_template(preset, model)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadOption(f"{path}: cannot be written: {error.strerror}") from error
    typer.echo(f"Wrote {path}. Edit it, then: pairsieve run {path} --dataset DIR")


def check(
    recipe: RecipePath,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Also check that it fits what is in this dataset."),
    ] = None,
) -> None:
    """Say whether a recipe can run, without running it: `fine`, or what is not.

    It opens the files of the input, up to a thousand, for their columns and how they are written,
    of some text files reads the first rows, and reads the local files that the recipe names.
    """
    from pairsieve.pipeline import check
    from pairsieve.pipeline.dataset.paths import PLAN_FILE
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.input.formats import find_files
    from pairsieve.pipeline.plan import run as plan
    from pairsieve.pipeline.unit.input_columns import dialect_sentences
    from pairsieve.schemas.recipe_file import load

    loaded = load(recipe)
    store = Store.at(dataset) if dataset else None
    warnings = check.check(loaded, store)
    if store and store.exists(PLAN_FILE):
        planned = plan(loaded, store, grow=False)
        check.check_input(loaded, planned)
        told = dialect_sentences(planned.dialects)
    else:
        files = find_files(loaded.input, store.url if store else "")
        told, more = check.check_files(loaded, files)
        warnings += more
    for warning in warnings:
        log.warning(warning)
    for sentence in told:
        typer.echo(sentence)
    typer.echo("fine")
