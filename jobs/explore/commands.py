"""The commands `sql` and `explore`; everything heavy is imported inside them, as in `cli.py`."""

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
