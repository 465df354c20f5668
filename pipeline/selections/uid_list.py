"""The list of the uids of a selection, as DataComp's resharder reads it: sorted pairs of halves.

Source: `resharder.py` and `baselines/apply_filter.py` of DataComp: an array of the dtype `u8,u8`,
the first 16 hex digits of a uid and the last 16, in ascending order.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE, attach, connect
from pairsieve.schemas.columns import KEEP, UID
from pairsieve.schemas.errors import BadOption, nearest

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SUFFIX = ".npy"
OF_INPUT = f"input_{UID.name}"  # the column `uid` of an input that has one, as DataComp's has
HALVES = np.dtype("<u8,<u8")


def run(store: Store, out: str, name: str, column: str | None = None) -> int:
    """Write the uids of the survivors of a selection to the file `out`; return how many.

    Args:
        store: The dataset.
        out: A path or URL that ends in `.npy`; what is there is replaced.
        name: The selection.
        column: Which column has the uids; None for that of the input, if it has one, else ours.

    Raises:
        BadOption: there is no such selection or column, a value is no uid, or the file is named
            otherwise or in the dataset.
    """
    folder, _, file = out.rpartition("/")
    target = Store.at(folder or ".")
    if not file.endswith(SUFFIX):
        raise BadOption(f"{out}: a list of uids for DataComp is one file: name it ...{SUFFIX}")
    if f"{target.url}/".startswith(f"{store.url}/"):
        raise BadOption(f"{out}: is in the dataset, where `gc` would sweep it; name another")
    if store.marker(select_marker(name)) is None:
        raise BadOption(f"--name: there is no selection `{name}`; `pairsieve select` makes it")
    with connect(store) as connection:
        attach(connection, store, selection=name)
        count = _halve(connection, _column(connection, column))
        with target.writer(file) as sink:
            descr = np.lib.format.dtype_to_descr(HALVES)
            head = {"descr": descr, "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(sink, head)
            for uids in _sorted(connection):
                sink.write(uids)
    return count


def _column(connection: "DuckDBPyConnection", column: str | None) -> str:
    """Return the column that has the uids."""
    there = connection.table("ledger").columns
    if column is None:
        return OF_INPUT if OF_INPUT in there else UID.name
    if column not in there:
        raise BadOption(f"--uids: there is no column `{column}`; {nearest(column, there)}")
    return column


def _halve(connection: "DuckDBPyConnection", column: str) -> int:
    """Make the table `halves` of both halves of each uid; return how many there are."""
    text = f'"{column}"::VARCHAR'
    kept = f"FROM ledger WHERE {KEEP.name}"
    wrong = f"coalesce(NOT regexp_full_match({text}, '[0-9a-fA-F]{{32}}'), true)"
    found = connection.execute(f"SELECT {text} {kept} AND {wrong} LIMIT 1").fetchone()
    if found:
        raise BadOption(
            f"--uids: `{column}` must hold 32 hex digits, as DataComp's uids have; one is "
            f"{found[0]!r}; name another column"
        )
    first, last = (f"('0x' || ({text})[{start}:{start + 15}])::UBIGINT" for start in (1, 17))
    connection.execute(
        f"CREATE TEMP TABLE halves AS SELECT DISTINCT {first} AS f0, {last} AS f1 {kept}"
    )
    ((count,),) = connection.execute("SELECT count(*) FROM halves").fetchall()
    return int(count)


def _sorted(connection: "DuckDBPyConnection") -> Iterator[bytes]:
    """Yield the halves in ascending order, some at a time; DuckDB sorts them, spilling to disk."""
    query = connection.sql("FROM halves ORDER BY f0, f1")
    for batch in query.to_arrow_reader(ROWS_AT_ONCE):
        some = np.empty(len(batch), HALVES)
        for name in ("f0", "f1"):
            some[name] = batch[name].to_numpy()
        yield some.tobytes()
