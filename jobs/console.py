"""What the commands print: the funnel, the status, and the paths of the results."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from shlex import quote
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from pairsieve.jobs import log
from pairsieve.jobs.live.words import size_in_words, time_in_words
from pairsieve.pipeline.dataset.paths import report_page, shards_folder, stats_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.work import StageWork
from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.forget import Taken
from pairsieve.pipeline.ledger.ledger import current_shards
from pairsieve.pipeline.search import SearchResult
from pairsieve.pipeline.selections import listing
from pairsieve.pipeline.status import Status
from pairsieve.pipeline.unit.fetch_diagnosis import clock
from pairsieve.pipeline.unit.plan_file import read
from pairsieve.pipeline.unit.retry_layers import read_layers
from pairsieve.pipeline.vectors.model_record import model_sentences
from pairsieve.schemas.recipe import Recipe

UNFOLDED = 10_000  # characters of a line that goes to a file or a program: nothing is folded there
TEXT_PRINTED = 120  # code points of a caption or URL in a table


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was printed."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


_RECORDS: list[list[Table]] = []  # of those who want the tables that are printed


@contextmanager
def recorded() -> Iterator[list[Table]]:
    """Give a list of the tables that are printed meanwhile."""
    tables: list[Table] = []
    _RECORDS.append(tables)
    try:
        yield tables
    finally:
        _RECORDS.remove(tables)


def print_table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table; the first column is text, numbers stand to the right."""
    for tables in _RECORDS:
        tables.append(Table(title, columns, rows))
    grid = Grid(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        right = index > 0 and all(isinstance(row[index], int | float) for row in rows)
        grid.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(f"{cell:,}" if isinstance(cell, int) else escape(str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else UNFOLDED).print(grid)


def print_funnel(rows: list[dict[str, Any]]) -> None:
    """Print the funnel: a row per rule, in the order they apply."""
    pairs = max(rows[0]["entered"], 1)
    print_table(
        "Funnel",
        ("rule", "entered", "dropped", "only\nthis", "unmeasured", "left", "of all"),
        [
            (
                row["rule"],
                row["entered"],
                row["dropped"],
                row["only_this"],
                row["unmeasured"],
                row["left"],
                f"{100 * row['left'] / pairs:.1f} %",
            )
            for row in rows
        ],
    )


def print_status(status: Status) -> None:
    """Print where the pairs are."""
    rows: list[tuple[Any, ...]] = [("pairs in", status.pairs), ("not gathered yet", status.pending)]
    rows += [(f"  {outcome}", pairs) for outcome, pairs in status.outcomes.items()]
    for retry in status.retries:
        note = f", {retry.pending:,} to go" if retry.pending else ""
        rows.append((f"retried ({retry.retry_layer}: {retry.reasons}{note})", retry.pairs))
        rows.append(("  with an image now", retry.recovered))
    for label, number in (
        ("failed", status.failed),
        ("dropped", status.dropped),
        ("kept", status.kept),
        ("in shards", status.in_shards),
    ):
        rows.append((label, "-" if number is None else number))
    print_table("Status", ("", "pairs"), rows)
    print_sentence(f"Stages done: {', '.join(status.stages)}.")
    print_work(status.work)
    if at := status.round:
        last = time_in_words(at.last_s)
        print_sentence(f"group: {at.tasks:,} tasks of its round {at.name}, the last {last} ago.")
    if status.outdated:
        Console().print("The selection is older than what is gathered: select again, or run.")
    if status.worst_hosts:
        head = ("host", "failed", "requested", "most often")
        print_table("Hosts with the most failures", head, list(status.worst_hosts))
    if status.over_time:
        head = ("from, UTC", "failed", "requested", "most often")
        print_table("Over time", head, [(clock(start), *rest) for start, *rest in status.over_time])
    for sentence in (*status.diagnoses, *status.line, *status.models):
        print_sentence(sentence)
    for complaint in status.complaints:
        if log.is_json():
            log.event("error", "complaint", message=f"does not add up: {complaint}")
        else:
            Console(stderr=True).print(f"does not add up: {complaint}", style="red")


def print_work(work: Sequence[StageWork]) -> None:
    """Print how far each stage is, and how far from its end those that are not done."""
    head = ("stage", "pairs", "of", "written", "CPU-s")
    rows = [
        (
            one.stage,
            one.pairs,
            one.total,
            size_in_words(one.bytes),
            "-" if one.cpu_s is None else f"{one.cpu_s:,.1f}",
        )
        for one in work
    ]
    print_table("Stages", head, rows)
    for one in work:
        if one.last_s is not None:
            rate = f"{one.per_s:,.1f} pairs/s lately, " if one.per_s else ""
            left = f"{time_in_words(one.left_s)} left at that rate, " if one.left_s else ""
            last = time_in_words(one.last_s)
            print_sentence(f"{one.stage}: {rate}{left}the last commit {last} ago.")


def print_contents(store: Store) -> None:
    """Print the selections, models and retry layers of a dataset."""
    plan = read(store)
    rows: list[tuple[Any, ...]] = []
    for made in listing.selections(store):
        share = f"{100 * made.kept / max(made.pairs, 1):.1f} %"
        shards = "-" if made.in_shards is None else made.in_shards
        page = report_page(made.name)
        reported = page if store.exists(page) else "-"
        made_by = "\n".join(made.made_by) or "-"
        rows.append((made.name, made.kept, share, shards, made.age, reported, made_by))
    head = ("name", "kept", "of all", "in shards", "age", "report", "recipe")
    print_table(f"Selections of {plan.pairs:,} pairs", head, rows)
    for sentence in model_sentences(store):
        print_sentence(sentence)
    for layer in read_layers(store):
        print_sentence(f"Retry layer {layer.number}: {layer.pairs:,} pairs fetched again.")


def print_search(result: SearchResult) -> None:
    """Print the pairs of a search, nearest first, three lines for each."""
    rows = []
    for pair in result.pairs:
        names = "\n".join(printable(pair[name]) for name in ("text", "url", "uid"))
        rows.append((pair["rank"], f"{pair['cosine']:.4f}", printable(pair["verdict"]), names))
    method = "all compared" if result.exact else "by an index"
    title = f"Nearest of {result.rows:,} images, {method}"
    print_table(title, ("rank", "cosine", "verdict", "text, url, uid"), rows)


def printable(text: str | None) -> str:
    """Return a text from the web as a terminal can be trusted with it: cut, without controls."""
    some = (text or "")[:TEXT_PRINTED]
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in some
    )


def print_sentence(sentence: str) -> None:
    """Print a sentence as it is, without markup and in one line."""
    Console().print(sentence, soft_wrap=True, highlight=False, markup=False)


def print_rate(store: Store, recipe: Recipe) -> None:
    """Print the highest rate that any host saw, and the limit that the recipe sets."""
    peak = request_rates.highest(store)
    if peak:
        print_sentence(request_rates.sentence(peak, recipe))


def print_paths(store: Store, name: str) -> None:
    """Print where shards, statistics and report are."""
    shards = current_shards(store, name)
    for label, path in (
        ("shards", shards_folder(name)),
        ("statistics", stats_file(name)),
        ("report", report_page(name)),
    ):
        note = f"  ({shards.rows:,} samples)" if shards and label == "shards" else ""
        Console().print(
            f"{label:<11} {store.location(path)}{note}", soft_wrap=True, highlight=False
        )


def print_forgotten(store: Store, taken: Sequence[Taken], dry_run: bool) -> None:
    """Print what was taken out, what is to be done, and what lies elsewhere."""
    left = 0
    for one in taken:
        verb = "would take out" if dry_run else "took out"
        pairs = f"{one.pairs:,} {'pair' if one.pairs == 1 else 'pairs'}"
        typer.echo(f"{verb} {pairs}, {one.images:,} of them with a stored image")
        for name, shards in (one.shards or {}).items():
            anew = f"{shards:,} {'shard' if shards == 1 else 'shards'}"
            typer.echo(f"selection {name}: {anew} written anew, the others as they were")
        if one.record:
            typer.echo(f"the record: {store.location(one.record)}")
        left = one.units_left
    if left:
        typer.echo(
            f"{left:,} units are not gathered yet and were not looked through: nothing fetches "
            "what was named, but say `forget` again once they are gathered, since the plan has "
            "their texts"
        )
    if not dry_run and any(one.pairs for one in taken):
        again = f"`pairsieve report RECIPE --dataset {quote(store.url)}`"
        typer.echo(f"reports and search indexes are deleted; {again} makes a report again")
    files = read(store).files
    where = f"{files[0].path}{', ...' * (len(files) > 1)}"
    typer.echo(f"not touched: the input ({where}), exports and pages that were written elsewhere")
