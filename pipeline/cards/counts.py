"""What a card needs to have counted: by host, by a few kinds of value, and when and how much.

Tasks over blocks write small tables; the driver adds them up in DuckDB, which keeps on disk what
does not fit into memory. So nothing grows with the pairs but what lies on disk.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import fingerprint, tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import report_rounds, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.ledger.sql import identifier, quoted, rows
from pairsieve.pipeline.stats.partials import (
    KEPT,
    PAIRS,
    committed,
    of_table,
    run,
    source,
    written,
)
from pairsieve.schemas.columns import (
    FETCH_BYTES,
    FETCHED_AT,
    HOST,
    IMAGE_BYTES,
    IMAGE_KIND,
    KEEP,
    LANGUAGE,
    OUTCOME,
    TEXT,
    Column,
)
from pairsieve.schemas.rights_columns import (
    C2PA_STATE,
    DIGITAL_SOURCE_TYPE,
    OPT_OUTS,
    XMP_LICENCE,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VERSION = 1  # of what is counted
MOST_VALUES = 100  # of a kind that are listed
# Kind of value -> the columns that have it, the first that is not null; of the input, too.
KINDS: dict[str, tuple[str, ...]] = {
    "language": (LANGUAGE.name,),
    "format": (IMAGE_KIND.name,),
    "licence": ("page_license", XMP_LICENCE.name),
    "source_type": (DIGITAL_SOURCE_TYPE.name,),
    "signature": (C2PA_STATE.name,),
    "crawl": ("crawl",),
}
OPT_OUT = "opt_out"
READ = (
    OUTCOME, KEEP, HOST, TEXT, FETCH_BYTES, FETCHED_AT, IMAGE_BYTES, IMAGE_KIND, LANGUAGE, OPT_OUTS,
    XMP_LICENCE, DIGITAL_SOURCE_TYPE, C2PA_STATE,
)  # fmt: skip
BYTES = Column("bytes", pa.int64(), "bytes", "Received of them.", False)
KEPT_BYTES = Column("kept_bytes", pa.int64(), "bytes", "Received of those kept.", False)
TABLES: dict[str, tuple[Column, ...]] = {
    "hosts": (HOST, PAIRS, KEPT, BYTES, KEPT_BYTES),
    "values": (
        Column("kind", pa.string(), "", "Of which kind.", False),
        Column("value", pa.string(), "", "The value.", False),
        PAIRS,
        KEPT,
    ),
    "totals": (
        PAIRS,
        KEPT,
        BYTES,
        KEPT_BYTES,
        Column("stored_bytes", pa.int64(), "bytes", "Of the stored images of those kept.", False),
        Column("characters", pa.int64(), "code points", "Of the texts of those kept.", False),
        Column("fetched", pa.int64(), "pairs", "Pairs that were requested.", False),
        Column("first", pa.int64(), "ms", "Time of the first request since 1970."),
        Column("last", pa.int64(), "ms", "Time of the last."),
    ),
}
_RECEIVED = f"coalesce({FETCH_BYTES.name}, {IMAGE_BYTES.name}, 0)"
_SIZES = (
    f"coalesce(sum({_RECEIVED}), 0)::BIGINT AS bytes, "
    f"coalesce(sum({_RECEIVED}) FILTER (keep), 0)::BIGINT AS kept_bytes"
)
_COUNTS = "count(*) AS pairs, count(*) FILTER (keep) AS kept"
_HOSTS = f"SELECT host, {_COUNTS}, {_SIZES} FROM ledger WHERE host IS NOT NULL GROUP BY host"
_TOTALS = (
    f"SELECT {_COUNTS}, {_SIZES}, "
    f"coalesce(sum({IMAGE_BYTES.name}) FILTER (keep), 0)::BIGINT AS stored_bytes, "
    "coalesce(sum(length(text)) FILTER (keep), 0)::BIGINT AS characters, "
    "count(fetched_at) AS fetched, min(epoch_ms(fetched_at)) AS first, "
    "max(epoch_ms(fetched_at)) AS last FROM ledger"
)
_DOMAINS = (
    "SELECT host, sum(pairs)::BIGINT AS pairs, sum(kept)::BIGINT AS kept, "
    "sum(bytes)::BIGINT AS bytes, sum(kept_bytes)::BIGINT AS kept_bytes FROM hosts GROUP BY host "
    "HAVING sum(kept) > 0"
)
LARGEST = "FROM domains ORDER BY kept_bytes DESC, kept DESC, host"


@dataclass(frozen=True, slots=True)
class Value:
    """A value, how many pairs have it, and how many of those are kept."""

    value: str
    pairs: int
    kept: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted.

    Attributes:
        totals: Over all pairs: the columns of the table `totals`.
        values: By kind, the values of the most kept pairs.
        hosts: Hosts of kept pairs.
        largest: The hosts of the most bytes kept: host, pairs, kept, bytes, kept_bytes.
    """

    totals: dict[str, Any]
    values: dict[str, list[Value]]
    hosts: int
    largest: list[dict[str, Any]]


@contextmanager
def counted(
    store: Store, engine: Engine, name: str, selected: Marker, units: int = BLOCK_UNITS
) -> "Iterator[DuckDBPyConnection]":
    """Give a connection with what was counted of a selection.

    It has the views `hosts`, `values` and `totals`, and the table `domains` of the hosts of kept
    pairs.

    Raises:
        Stopped: a task's process kept dying, or a file is not what was committed.
    """
    files = ledger_files(store, selection=name)
    pool = Pool(store, engine, files, units)
    columns = _columns(pool.schema())
    results = [result.files for result in files.results]
    made_of = (VERSION, selected.extra["fingerprint"], units, columns, files.measured(), results)
    folder = report_rounds(name, fingerprint(*made_of), "card")
    items = {task_name(block.number): block for block in pool.blocks}
    markers = run(store, engine, folder, partial(_count, folder, columns), items)
    with connect(store, own=True) as connection:
        for table in TABLES:
            made = source(store, of_table(markers, table))
            connection.execute(f"CREATE VIEW {identifier(table)} AS FROM {made}")
        connection.execute(f"CREATE TABLE domains AS {_DOMAINS}")
        yield connection
    tidy(store, folder, Marker(0, {}))


def summary(connection: "DuckDBPyConnection", most_hosts: int) -> Counts:
    """Return what a card says of the counts, with so many hosts at most."""
    sums = ", ".join(
        f"{dict(first='min', last='max').get(column.name, 'sum')}({identifier(column.name)})"
        f"::BIGINT AS {identifier(column.name)}"
        for column in TABLES["totals"]
    )
    (totals,) = rows(connection, f"SELECT {sums} FROM totals")
    hosts = rows(connection, "SELECT count(*) AS n FROM domains")[0]["n"]
    largest = rows(connection, f"{LARGEST} LIMIT {most_hosts}")
    kinds = (*KINDS, OPT_OUT, OUTCOME.name)
    return Counts(totals, {kind: list(_values(connection, kind)) for kind in kinds}, hosts, largest)


def _values(connection: "DuckDBPyConnection", kind: str) -> Iterator[Value]:
    query = (
        'SELECT value, sum(pairs)::BIGINT AS pairs, sum(kept)::BIGINT AS kept FROM "values" '
        f"WHERE kind = {quoted(kind)} GROUP BY value ORDER BY kept DESC, pairs DESC, value "
        f"LIMIT {MOST_VALUES}"
    )
    for row in rows(connection, query):
        yield Value(**row)


def _columns(schema: pa.Schema) -> list[str]:
    """Return the columns to read: ours, and those of the input that say what `KINDS` wants."""
    wanted = {name for names in KINDS.values() for name in names}
    texts = {
        field.name for field in schema if field.name in wanted and pa.types.is_string(field.type)
    }
    return sorted({column.name for column in READ} | texts)


def _count(folder: str, columns: Sequence[str], block: Block) -> Marker:
    """Count a block and commit it."""
    task = (folder, block.number)
    queries = {"hosts": _HOSTS, "totals": _TOTALS, "values": _values_query(columns)}
    with block.ledger(columns) as connection:
        marker = written(connection, block.store, task, TABLES, queries)
    return committed(block.store, task, marker)


def _values_query(columns: Sequence[str]) -> str:
    """Return the query of the table `values`."""
    parts = [f"SELECT '{OUTCOME.name}' AS kind, outcome AS value, keep FROM ledger"]
    parts.append(f"SELECT '{OPT_OUT}', unnest({OPT_OUTS.name}), keep FROM ledger")
    for kind, names in KINDS.items():
        if there := [f"nullif(trim({name}), '')" for name in names if name in columns]:
            parts.append(f"SELECT '{kind}', coalesce({', '.join(there)}), keep FROM ledger")
    union = " UNION ALL ".join(parts)
    return f"SELECT kind, value, {_COUNTS} FROM ({union}) WHERE value IS NOT NULL GROUP BY ALL"
