"""SQL over the ledger: what a condition reads, how text is written, and rows as dictionaries."""

import json
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNREPEATABLE = frozenset(  # they give another answer each time
    (
        "random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "nextval", "currval", "setseed",
        "now", "today", "current_date", "current_time", "current_timestamp", "localtime",
        "localtimestamp", "get_current_time", "get_current_timestamp", "transaction_timestamp",
    )
)  # fmt: skip
_UNTRIED = frozenset(("WINDOW", "SUBQUERY"))


def isolated() -> "DuckDBPyConnection":
    """Return a connection to an empty database that reads no file and is the same anywhere.

    What stands in a recipe is run on it: it can neither look at the machine nor depend on it.
    Connections see nothing of each other.
    """
    return _empty_database().cursor()


@cache
def _empty_database() -> "DuckDBPyConnection":
    """Return the one of this process: to make one takes 14 CPU-ms, a further connection 0.1."""
    import duckdb

    database = duckdb.connect(config={"enable_external_access": "false"})
    database.execute("SET GLOBAL TimeZone = 'UTC'; SET lock_configuration = true")
    return database


@lru_cache(maxsize=1024)
def columns_of(sql: str) -> frozenset[str]:
    """Return the names of the columns that a condition reads; ValueError if it is not one."""
    return frozenset(column_references(_tree(sql)))


@lru_cache(maxsize=1024)
def can_be_tried(sql: str) -> bool:
    """Return whether DuckDB's TRY takes the condition; ValueError if it is not one."""
    return not any(node.get("class") in _UNTRIED for node in _nodes(_tree(sql)))


@lru_cache(maxsize=1024)
def reads_all(sql: str) -> bool:
    """Return whether a condition may read any column, as `COLUMNS(*)` does."""
    return any(node.get("class") == "STAR" for node in _nodes(_tree(sql)))


def check_repeatable(sql: str) -> None:
    """Refuse a condition that depends on more than the row; ValueError, too, if it is not one."""
    for node in _nodes(_tree(sql)):
        reference = node.get("column_names") or [""]
        name = str(node.get("function_name") or reference[-1]).lower()
        if name in UNREPEATABLE:
            raise ValueError(f"`{name}` gives another answer each time")
        if node.get("class") == "PARAMETER":
            raise ValueError("it has a parameter, to which nothing gives a value")
        if node.get("type") == "TABLE_FUNCTION":
            raise ValueError("it reads something else than the row")
        if node.get("type") == "BASE_TABLE" and str(node.get("table_name")).lower() != "ledger":
            raise ValueError(f"it reads `{node['table_name']}`, not the row")


@lru_cache(maxsize=1024)
def _tree(sql: str) -> Any:
    """Return DuckDB's JSON form of a condition, to be read only; ValueError if it is not one."""
    with isolated() as connection:
        query = "SELECT json_serialize_sql(?)"
        text = connection.execute(query, [f"SELECT ({sql}\n) FROM ledger"]).fetchone()
    tree = json.loads(text[0]) if text else {}
    if tree.get("error"):
        raise ValueError(tree["error_message"])
    return tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON form."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def column_references(node: Any) -> Iterator[str]:
    """Yield the column of every reference in DuckDB's JSON form of a query."""
    if isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            table, *column = node["column_names"]
            yield column[0] if column and table.lower() == "ledger" else table
        for child in node.values():
            yield from column_references(child)
    elif isinstance(node, list):
        for child in node:
            yield from column_references(child)


def quoted(text: str) -> str:
    """Return `text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return the name of a column as SQL."""
    return '"' + name.replace('"', '""') + '"'


def rows(
    connection: "DuckDBPyConnection", query: str, parameters: object = None
) -> list[dict[str, Any]]:
    """Return the result of a query, one dictionary per row.

    By way of Arrow, since DuckDB by itself makes no Python time with a zone without `pytz`.
    """
    table: pa.Table = connection.sql(query, params=parameters).to_arrow_table()
    result: list[dict[str, Any]] = table.to_pylist()
    return result
