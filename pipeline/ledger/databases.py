"""DuckDB in memory, emptied and used again: that takes 1 CPU-ms, to open one 15.

A user has the database alone, so memory and threads are its own, and nothing stays of what it made
there. What has spilled, or was used often, is closed instead.
"""

import atexit
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pairsieve.pipeline.ledger.sql import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_IDLE = 4  # for each number of threads; more than that are rarely in use at once
MOST_USES = 200  # what a database remembers of files that it has read does not grow beyond
IDLE_MEMORY = "8MB"  # what it keeps of their content is given back

_numbers = count()


@dataclass(slots=True)
class Database:
    """A database in memory that nobody uses now, and how often it was used."""

    connection: "DuckDBPyConnection"
    uses: int = 0


_idle: dict[int | None, list[Database]] = defaultdict(list)


@contextmanager
def in_memory(
    memory_mb: int, spill: Path, threads: int | None = None
) -> "Iterator[DuckDBPyConnection]":
    """Give a connection to an empty database, whose settings are the user's until it leaves.

    Args:
        memory_mb: How much it may take.
        spill: A folder for what does not fit; its name must be new.
        threads: How many it may use; None for as many as there are processors.
    """
    database = _taken(threads)
    name = f"pairs_{next(_numbers)}"
    connection = database.connection.cursor()
    unharmed = False
    try:
        connection.execute(f"{_limits(memory_mb, spill)}ATTACH ':memory:' AS {name}; USE {name}")
        yield connection
        unharmed = True
    finally:
        connection.close()
        if not (unharmed and _put_back(database, name, spill, threads)):
            database.connection.close()


def _taken(threads: int | None) -> Database:
    """Return a database that is idle, or a new one."""
    try:
        return _idle[threads].pop()
    except IndexError:
        return _opened(threads)


def _put_back(database: Database, name: str, spill: Path, threads: int | None) -> bool:
    """Empty a database for its next user; return False if it had better be closed."""
    import duckdb

    database.uses += 1
    if spill.exists() or len(_idle[threads]) >= MOST_IDLE or database.uses >= MOST_USES:
        return False
    try:
        database.connection.execute(f"DETACH {name}; SET GLOBAL memory_limit = '{IDLE_MEMORY}'")
    except duckdb.Error:  # something still holds on to it
        return False
    if spill.exists():  # as does a reader that is not at its end: room was made by spilling
        return False
    _idle[threads].append(database)
    _close_at_exit()
    return True


@cache
def _close_at_exit() -> None:
    """Close what is idle before the interpreter takes DuckDB itself apart."""
    atexit.register(_idle.clear)


@contextmanager
def of_its_own(
    memory_mb: int, spill: Path, threads: int | None = None
) -> "Iterator[DuckDBPyConnection]":
    """Give a connection to a new database, which is closed with it."""
    with _opened(threads).connection as connection:
        connection.execute(_limits(memory_mb, spill))
        yield connection


def _opened(threads: int | None) -> Database:
    """Return a new database."""
    import duckdb

    return Database(duckdb.connect(config={"threads": threads} if threads else {}))


def _limits(memory_mb: int, spill: Path) -> str:
    return (
        f"SET GLOBAL temp_directory = {quoted(str(spill))}; "
        f"SET GLOBAL memory_limit = '{memory_mb}MB'; "
    )
