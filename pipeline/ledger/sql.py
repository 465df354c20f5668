"""SQL over the ledger: what a condition reads, how text is written, and rows as dictionaries."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def isolated() -> "DuckDBPyConnection":
    """Return a connection to an empty database that reads no file and is the same anywhere.

    What stands in a recipe is run on it: it can neither look at the machine nor depend on it.
    """
    import duckdb

    connection = duckdb.connect(config={"enable_external_access": "false"})
    connection.execute("SET TimeZone = 'UTC'; SET lock_configuration = true")
    return connection


@lru_cache(maxsize=1024)
def columns_of(sql: str) -> frozenset[str]:
    """Return the names of the columns that a condition reads; ValueError if it is not one."""
    with isolated() as connection:
        query = "SELECT json_serialize_sql(?)"
        text = connection.execute(query, [f"SELECT ({sql}) FROM ledger"]).fetchone()
    tree = json.loads(text[0]) if text else {}
    if tree.get("error"):
        raise ValueError(tree["error_message"])
    return frozenset(column_references(tree))


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


def rows(
    connection: "DuckDBPyConnection", query: str, parameters: object = None
) -> list[dict[str, Any]]:
    """Return the result of a query, one dictionary per row.

    By way of Arrow, since DuckDB by itself makes no Python time with a zone without `pytz`.
    """
    table: pa.Table = connection.sql(query, params=parameters).to_arrow_table()
    result: list[dict[str, Any]] = table.to_pylist()
    return result
