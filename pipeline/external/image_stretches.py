"""The images of a pool, some at a time: what looks at each by itself need not hold all of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def stretches(
    connection: "DuckDBPyConnection", columns: str, rows: int
) -> Iterator[dict[str, Any]]:
    """Yield columns of the table `images`, given as SQL, by name: so many rows at a time, in order.

    They lie meanwhile in a table of DuckDB, which goes to the disk if it is large.
    """
    connection.execute(f"CREATE TEMP TABLE in_order AS SELECT {columns} FROM images ORDER BY row")
    ((count,),) = connection.execute("SELECT count(*) FROM in_order").fetchall()
    for first in range(0, count, rows):
        query = f"FROM in_order WHERE rowid BETWEEN {first} AND {first + rows - 1} ORDER BY rowid"
        yield connection.execute(query).fetchnumpy()
    connection.execute("DROP TABLE in_order")
