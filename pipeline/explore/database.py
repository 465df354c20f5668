"""A dataset as a database that can only be read: the ledger where it lies, and the statistics.

DuckDB is closed before the first query: of all files it may open those that markers name and the
statistics of the selection, by their exact paths, and nothing can open it again. What could write
to one of these is refused before it runs: a statement is SELECT, or EXPLAIN of one.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.paths import SCRATCH, STATS, stats_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.files import LedgerFiles, ledger_files
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE, attach_files, connect
from pairsieve.pipeline.ledger.sql import identifier, quoted
from pairsieve.pipeline.selections import listing, record
from pairsieve.pipeline.stats.copied_rows import FETCHED
from pairsieve.pipeline.stats.stats_db import identity
from pairsieve.pipeline.stats.stats_views import VIEWS, column_comments
from pairsieve.schemas.errors import BadOption

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DEFAULT = "default"  # the selection that a command without a name means
WHOLE = ("ledger", "fetches")  # views over the dataset itself, not over its statistics
LEDGER = "One row per input pair whose unit is committed, of all of them."
# What stands before the statement of EXPLAIN; comments and options there are refused.
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(?:ANALYZE\s+)?(.*)", re.IGNORECASE | re.DOTALL)
CLOSED = (
    "SET autoinstall_known_extensions = false; SET autoload_known_extensions = false; "
    "SET python_enable_replacements = false; SET enable_external_access = false; "
    "SET lock_configuration = true"
)


@dataclass(frozen=True, slots=True)
class Database:
    """A dataset to ask.

    Attributes:
        connection: With the views, closed to all else.
        selection: Whose verdicts are in `ledger`; None where there is no selection.
        counted: Whether the statistics are there and of the ledger as it is now.
        notes: A sentence on each thing that is not there.
    """

    connection: "DuckDBPyConnection"
    selection: str | None
    counted: bool
    notes: tuple[str, ...]

    def statements(self, query: str) -> list[str]:
        """Return the statements of a query, of which there is at least one.

        Raises:
            BadOption: it is no SQL, or one of them would do more than read.
        """
        with _refused():
            found = list(_readable(self.connection, query))
        if not found:
            raise BadOption("sql: there is no statement in the query")
        return found

    def ask(self, query: str) -> tuple[list[str], Iterator[pa.RecordBatch]]:
        """Return the columns of a query of one statement, and its rows batch by batch.

        Raises:
            BadOption: it is no SQL, is more than one statement, fails, or would do more than read;
                also while it is read.
        """
        statements = self.statements(query)
        if len(statements) > 1:
            raise BadOption(f"sql: {len(statements)} statements, of which one is answered at once")
        with _refused():
            relation = self.connection.sql(statements[0])
            names = list(relation.columns)
            reader = relation.to_arrow_reader(ROWS_AT_ONCE)
        return names, _batches(reader)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return all rows of a query by column, in memory; it raises as `ask` does."""
        return [row for batch in self.ask(query)[1] for row in batch.to_pylist()]

    def types(self) -> dict[str, str]:
        """Return DuckDB's type of each column of `ledger`, in order."""
        return {row["column_name"]: row["column_type"] for row in self.rows("DESCRIBE ledger")}

    def views(self) -> list[tuple[str, str]]:
        """Return (name, what a row is) of every view."""
        query = (
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal "
            "AND database_name = 'memory' AND schema_name = 'main' ORDER BY view_name"
        )
        return self.connection.execute(query).fetchall()


@contextmanager
def _refused() -> Iterator[None]:
    """Turn what DuckDB says of a query into a `BadOption`."""
    import duckdb

    try:
        yield
    except (duckdb.Error, pa.ArrowException) as error:
        raise BadOption(f"sql: {error}") from error


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a reader."""
    with _refused():
        yield from reader


def _readable(connection: "DuckDBPyConnection", query: str) -> Iterator[str]:
    """Yield the statements of a query; BadOption at one that does more than read."""
    from duckdb import StatementType

    for statement in connection.extract_statements(query):
        kind, text = statement.type, statement.query
        if kind == StatementType.EXPLAIN and (explained := _EXPLAIN.fullmatch(text)):
            inner = connection.extract_statements(explained[1])
            kind = inner[0].type if len(inner) == 1 else kind
        if kind != StatementType.SELECT:
            raise BadOption(
                f"sql: {kind.name} is refused: the dataset is only read; allowed: SELECT, and what "
                "is short for it (FROM, DESCRIBE, SUMMARIZE, SHOW, PIVOT with IN), and EXPLAIN"
            )
        yield text


@contextmanager
def opened(store: Store, name: str | None = None) -> Iterator[Database]:
    """Give a dataset as a database: the view `ledger`, and those of `stats.duckdb`.

    Args:
        store: The dataset.
        name: The selection whose verdicts and statistics to show; None for `default` if there is
            one, else none.

    Raises:
        BadOption: there is no selection of that name.
        Stopped: a file is not what was committed.
    """
    if name is None and DEFAULT in listing.names(store):
        name = DEFAULT
    scores = dict(record.read(store, name)[1].scores) if name else {}
    files = ledger_files(store, scores, name)
    with ExitStack() as stack:
        connection = stack.enter_context(connect(store, own=True))
        notes = [] if name else ["No selection was made yet: `keep` and the like are null."]
        _attach_ledger(connection, store, files)
        allowed = [store.location(file) for file in _names(files)]
        stats = stack.enter_context(_stats(store, name)) if name else None
        if stats:
            _attach_stats(connection, stats)
            allowed.append(str(stats))
        elif name:
            notes.append(f"There is no stats.duckdb of `{name}`: `pairsieve report` makes it.")
        if stats and _outdated(connection, store, str(name)):
            notes.append(
                f"stats.duckdb is older than the selection `{name}`, `ledger` is not: "
                "`pairsieve report` makes it anew."
            )
        listed = ", ".join(map(quoted, allowed))
        connection.execute(f"SET allowed_paths = [{listed}]::VARCHAR[]; {CLOSED}")
        counted = bool(stats) and _is_counted(connection, files)
        yield Database(connection, name, counted, tuple(notes))


def _names(files: LedgerFiles) -> Iterator[str]:
    """Yield the name of every file of the ledger."""
    for one in files.slices():
        yield one.name
    for result in files.results:
        yield from (file.name for file in result.files)


def _attach_ledger(connection: "DuckDBPyConnection", store: Store, files: LedgerFiles) -> None:
    """Define `ledger` and `fetches`; what they are made of lies in the schema `parts`."""
    connection.execute("CREATE SCHEMA parts; USE memory.parts")
    attach_files(connection, store, files)
    connection.execute("USE memory.main")
    fetched = ", ".join(FETCHED)
    connection.execute(
        "CREATE VIEW ledger AS FROM parts.ledger; "
        f"CREATE VIEW fetches AS SELECT {fetched} FROM parts.gathered UNION ALL "
        f"SELECT {fetched} FROM parts.superseded"
    )
    connection.execute(f"COMMENT ON VIEW ledger IS {quoted(LEDGER)}")
    connection.execute(f"COMMENT ON VIEW fetches IS {quoted(VIEWS['fetches'][0])}")
    for view in WHOLE:
        for column, doc in column_comments(view, connection.table(view).columns):
            place = f"{view}.{identifier(column)}"
            connection.execute(f"COMMENT ON COLUMN {place} IS {quoted(doc)}")


@contextmanager
def _stats(store: Store, name: str) -> Iterator[Path | None]:
    """Give the file of a selection's statistics, of an object store a copy; None without any."""
    path = stats_file(name)
    if store.link(path) or not store.exists(path):
        yield None
    elif store.local:
        yield store.local / path
    else:
        with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder:
            copy = Path(folder) / STATS
            with store.reader(path) as source, copy.open("wb") as sink:
                shutil.copyfileobj(source, sink, 8 << 20)
            yield copy


def _attach_stats(connection: "DuckDBPyConnection", stats: Path) -> None:
    """Define the views of the statistics, with what these say of themselves."""
    connection.execute(f"ATTACH {quoted(str(stats))} AS stats (READ_ONLY)")
    there = connection.execute(
        "SELECT view_name, comment FROM duckdb_views() WHERE database_name = 'stats' "
        "AND schema_name = 'main' AND NOT internal"
    ).fetchall()
    columns = connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE database_name = 'stats' AND schema_name = 'main' AND comment IS NOT NULL"
    ).fetchall()
    taken = {*WHOLE, "ledger_extent"}
    for view, doc in there:
        if view not in taken:
            connection.execute(f"CREATE VIEW {identifier(view)} AS FROM stats.{identifier(view)}")
            connection.execute(f"COMMENT ON VIEW {identifier(view)} IS {quoted(doc or '')}")
    for view, column, doc in columns:
        if view not in taken:
            place = f"{identifier(view)}.{identifier(column)}"
            connection.execute(f"COMMENT ON COLUMN {place} IS {quoted(doc)}")


def _is_counted(connection: "DuckDBPyConnection", files: LedgerFiles) -> bool:
    """Return whether the statistics are of these files; older ones do not say of which."""
    found = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'stats' AND table_name = 'made_of'"
    ).fetchall()
    if not found:
        return False
    made_of = connection.execute("SELECT identity FROM stats.data.made_of").fetchall()
    return bool(made_of == [(identity(files),)])


def _outdated(connection: "DuckDBPyConnection", store: Store, name: str) -> bool:
    """Return whether the statistics are not those of the selection as it is now."""
    marker, _ = record.read(store, name)
    counted = connection.execute('SELECT rule, "left" FROM funnel ORDER BY position').fetchall()
    return counted != [(step["rule"], step["left"]) for step in marker.extra["funnel"]]
