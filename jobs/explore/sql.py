"""`pairsieve sql`: a query or a prompt over a dataset, and the rows as a table, CSV or JSON."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from math import isfinite
from typing import Any

import typer

from pairsieve.jobs import log
from pairsieve.jobs.console import print_sentence, print_table, printable
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.explore.database import Database, opened
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.errors import BadOption

ROWS_SHOWN = 100  # in a table
COLUMNS_SHOWN = 8  # beside one another; of more, each row is a table of its own
ROWS_APART = 5  # of those that are tables of their own
HELP = "SQL, ended by `;`. `.tables` lists what there is, `DESCRIBE ledger;` its columns, `.quit`."
PLAN = ["explain_key", "explain_value"]  # the columns of EXPLAIN, which is drawn in lines
Row = dict[str, Any]


def run(dataset: str, query: str | None, name: str | None, form: str) -> None:
    """Answer a query; without one, those of standard input: at a terminal one by one.

    Args:
        dataset: Where it is.
        query: What to ask.
        name: Of the selection.
        form: "table", "csv" or "json".

    Raises:
        BadOption: there is no dataset or selection, or a query is refused.
    """
    store = Store.at(dataset)
    plan_file.read(store)
    with opened(store, name) as database:
        for note in database.notes:
            log.note(note)
        if query is None and sys.stdin.isatty():
            _prompt(database, form)
        else:
            show(database, sys.stdin.read() if query is None else query, form)


def show(database: Database, query: str, form: str) -> None:
    """Print what a query gives, as a table what each of its statements does."""
    if form == "table":
        for statement in database.statements(query):
            _print(database, statement)
    else:
        {"csv": _print_csv, "json": _print_json}[form](database, query)


def _prompt(database: Database, form: str) -> None:
    """Answer queries until there are no more; a wrong one is told and forgotten."""
    with suppress(ImportError):
        import readline  # noqa: F401, gives `input` a history
    typer.echo(HELP)
    for query in _typed():
        try:
            if query == ".tables":
                tables(database)
            elif query.startswith("."):
                typer.echo(HELP)
            else:
                show(database, query, form)
        except BadOption as error:
            log.error(str(error), 2)


def _typed() -> Iterator[str]:
    """Yield what is typed, from one `;` at the end of a line to the next; dots stand alone."""
    lines: list[str] = []
    while True:
        try:
            line = input("pairsieve> " if not lines else "       ... ").strip()
        except EOFError:
            typer.echo()
            return
        if not lines and line in (".quit", ".exit"):
            return
        lines += [line] if line else []
        if line.endswith(";") or (lines and lines[0].startswith(".")):
            yield "\n".join(lines)
            lines = []


def tables(database: Database) -> None:
    """Print the views that there are, and what a row of each is."""
    rows: list[tuple[Any, ...]] = [(view, doc or "") for view, doc in database.views()]
    print_table("Views", ("view", "a row"), rows)


def _rows(database: Database, query: str) -> tuple[list[str], Iterator[Row]]:
    """Return the names of the columns, and the rows as they are read."""
    names, batches = database.ask(query)
    return names, (row for batch in batches for row in _of_batch(batch))


def _of_batch(batch: Any) -> Iterator[Row]:
    columns = [column.to_pylist() for column in batch.columns]
    names = batch.schema.names
    for values in zip(*columns, strict=True):
        yield dict(zip(names, map(plain, values), strict=True))


def plain(value: Any) -> Any:
    """Return a value of DuckDB's as JSON has it: whole numbers whole, no NaN, all else as text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _print(database: Database, query: str) -> None:
    names, rows = _rows(database, query)
    if names == PLAN:
        for row in rows:
            typer.echo(row[PLAN[1]])
        return
    wide = len(names) > COLUMNS_SHOWN
    most = ROWS_APART if wide else ROWS_SHOWN
    first = list(islice(rows, most))
    if wide:
        for number, row in enumerate(first, start=1):
            cells: list[tuple[Any, ...]] = [(name, _cell(value)) for name, value in row.items()]
            print_table(f"Row {number}", ("column", "value"), cells)
    else:
        listed = [tuple(map(_cell, row.values())) for row in first]
        print_table("", tuple(map(printable, names)), listed)
    if next(rows, None) is not None:
        print_sentence(f"The first {most:,} rows; --csv and --json give all, LIMIT others.")


def _cell(value: Any) -> Any:
    """Return a value as a table shows it; numbers stand to the right."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, int):
        return "" if value is None else value
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _print_csv(database: Database, query: str) -> None:
    names, rows = _rows(database, query)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow(
            json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
            for value in row.values()
        )


def _print_json(database: Database, query: str) -> None:
    """Print an array with an object a row, a line each."""
    _, rows = _rows(database, query)
    begun = False
    for row in rows:
        typer.echo(f"{',' if begun else '['} {json.dumps(row)}")
        begun = True
    typer.echo("]" if begun else "[]")
