"""The commands `sql` and `explore`; everything heavy is imported inside them, as in `cli.py`."""

from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.cli_options import DatasetArgument, check_name
from pairsieve.schemas.errors import BadOption

Selection = Annotated[
    str | None,
    typer.Option(
        "--name",
        "--selection",
        help="Selection to look at; default: `default`, if there is one.",
        callback=check_name,
    ),
]


def sql(
    dataset: DatasetArgument,
    query: Annotated[
        str | None, typer.Argument(help="What to ask; default: what is typed or piped in.")
    ] = None,
    name: Selection = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, all rows.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all rows.")] = False,
) -> None:
    """Ask the ledger and stats.duckdb by SQL; nothing is written, nothing else is read."""
    from pairsieve.jobs.explore import sql

    if as_csv and as_json:
        raise BadOption("--csv, --json: one of the two")
    sql.run(dataset, query, name, "csv" if as_csv else "json" if as_json else "table")


def explore(
    dataset: DatasetArgument,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="Recipe of the dataset; selections are saved by it."),
    ] = None,
    name: Selection = None,
    address: Annotated[
        str,
        typer.Option(
            "--address", help="IP address to listen on; one that others can reach has a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")
    ] = 8501,
) -> None:
    """Serve pages to choose thresholds by looking: histograms, pictures at the bound, selections.

    They move thresholds and show at once what is kept; nothing of the dataset changes but by
    "save as selection", which does what `select --set` does.
    """
    from importlib.util import find_spec

    if not all(map(find_spec, ("streamlit", "altair"))):
        raise BadOption("explore: needs `pip install 'pairsieve[explore]'`")
    from pairsieve.jobs.explore.serve import serve

    serve(dataset, recipe, name, address, port)
