"""stats.duckdb: the whole ledger and what is counted from it, in one file that needs nothing else.

The rows are copied into the schema `data`, so the file still answers when the dataset is moved; in
input order, because neighbours compress well together. Of pairs with retry layers, what the
earlier fetches gave is kept apart. What people use are the views beside it. The file is written in
a format that DuckDB 1.2 and later can open.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.fetch.diagnosis import STEPS_S
from pairsieve.pipeline.fetch.request_rates import HOST_RATES, PER_HOST
from pairsieve.pipeline.ledger.sql import quoted, rows
from pairsieve.schemas.columns import (
    ATTEMPTS,
    CLUSTER,
    COLUMNS,
    CONTENT_TYPE,
    DETAIL,
    ETAG,
    FETCH_BYTES,
    FETCH_MS,
    FETCHED_AT,
    FINAL_URL,
    HTTP_STATUS,
    IMAGE_BYTES,
    IMAGE_CHECKSUM,
    IMAGE_OFFSET,
    LAST_MODIFIED,
    OUTCOME,
    RETRY_LAYER,
    ROW,
    SHARD_OFFSET,
    STORED_HEIGHT,
    STORED_WIDTH,
    UID,
    URL,
    Column,
    arrow_schema,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STORAGE = "v1.2.0"  # the oldest DuckDB that opens the file
RANGE_ROWS = 1_000_000  # rows, spread by hash, that set the range of a histogram
LOCATIONS = (
    ROW, CLUSTER, STORED_WIDTH, STORED_HEIGHT, IMAGE_OFFSET, IMAGE_BYTES, IMAGE_CHECKSUM,
    SHARD_OFFSET,
)  # fmt: skip
BINS = 30  # about this many bins per histogram

FUNNEL = (
    Column("position", pa.int32(), "", "Index in the order; 0 is fetch and decode.", False),
    Column("rule", pa.string(), "", "Name of the rule, or `outcome`.", False),
    Column("entered", pa.int64(), "pairs", "Pairs that passed every rule before.", False),
    Column("dropped", pa.int64(), "pairs", "Of these, how many this rule said no to.", False),
    Column("only_this", pa.int64(), "pairs", "Pairs that this rule alone said no to.", False),
    Column("unmeasured", pa.int64(), "pairs", "Dropped because a score is missing.", False),
    Column("left", pa.int64(), "pairs", "Pairs left after this rule.", False),
)
MEASURES = (
    Column("name", pa.string(), "", "Column of the ledger.", False),
    Column("unit", pa.string(), "", "Unit or range of its values.", False),
    Column("doc", pa.string(), "", "What the value is.", False),
    Column("measured", pa.int64(), "pairs", "Pairs that have the value.", False),
    Column("unmeasured", pa.int64(), "pairs", "Pairs that do not.", False),
    Column("lowest", pa.float64(), "", "Lowest value."),
    Column("highest", pa.float64(), "", "Highest value."),
)
HISTOGRAMS = (
    Column("name", pa.string(), "", "Column of the ledger.", False),
    Column("bin", pa.int32(), "", "Index of the bin, from 0; all but the ends are equally wide."),
    Column("low", pa.float64(), "", "Lower edge, part of the bin.", False),
    Column("high", pa.float64(), "", "Upper edge, part of the next bin.", False),
    Column("pairs", pa.int64(), "pairs", "Pairs whose value is in the bin.", False),
    Column("kept", pa.int64(), "pairs", "Of these, how many are kept.", False),
)
FETCHES = (
    ROW, UID, URL, RETRY_LAYER, OUTCOME, DETAIL, HTTP_STATUS, FINAL_URL, CONTENT_TYPE, FETCH_BYTES,
    FETCH_MS, ATTEMPTS, FETCHED_AT, ETAG, LAST_MODIFIED,
)  # fmt: skip
TABLES = {
    "ledger": COLUMNS,
    "superseded": FETCHES,
    "funnel": FUNNEL,
    "measures": MEASURES,
    "histograms": HISTOGRAMS,
    "politeness": HOST_RATES,
}

FETCHED = ", ".join(column.name for column in FETCHES)
STEPS = 60  # at most this many steps of time
# The shortest step, s, of which STEPS hold the time from the first to the last fetch.
STEP = (
    f"SELECT coalesce(min(s) FILTER (s * {STEPS - 1} > span), max(s)) AS seconds FROM "
    f"(SELECT unnest({list(STEPS_S)}) AS s), (SELECT (max(epoch_ms(fetched_at)) - "
    "min(epoch_ms(fetched_at))) / 1000 AS span FROM data.ledger)"
)


# View -> what a row is, its query.
VIEWS = {
    "ledger": ("One row per input pair, in input order.", "SELECT * FROM data.ledger"),
    "funnel": ("One row per rule, in the order applied.", "SELECT * FROM data.funnel"),
    "outcomes": (
        "One row per outcome of fetch and decode that occurred.",
        "SELECT outcome, count(*) AS pairs FROM data.ledger GROUP BY ALL "
        "ORDER BY pairs DESC, outcome",
    ),
    "fetches": (
        "One row per pair and retry layer that fetched it: what `ledger` has, and earlier ones.",
        f"SELECT {FETCHED} FROM data.ledger UNION ALL SELECT {FETCHED} FROM data.superseded",
    ),
    "measures": ("One row per number that is measured.", "SELECT * FROM data.measures"),
    "histograms": (
        "One row per bin of each measured number; the end bins also hold what lies beyond.",
        "SELECT * FROM data.histograms",
    ),
    "hosts": (
        "One row per host name in the URLs.",
        "SELECT host, count(*) AS pairs, "
        "count(*) FILTER (outcome = 'ok') AS ok, count(*) FILTER (keep) AS kept "
        "FROM data.ledger GROUP BY ALL ORDER BY pairs DESC, host",
    ),
    "host_outcomes": (
        "One row per host name in the URLs and outcome that occurred there.",
        "SELECT host, outcome, count(*) AS pairs FROM data.ledger "
        "GROUP BY ALL ORDER BY pairs DESC, host, outcome",
    ),
    "statuses": (
        "One row per HTTP status that was the last answer.",
        "SELECT http_status, count(*) AS pairs FROM data.ledger WHERE http_status IS NOT NULL "
        "GROUP BY ALL ORDER BY pairs DESC, http_status",
    ),
    "outcomes_over_time": (
        "One row per step of time (UTC), outcome and HTTP status of what was fetched in it.",
        "SELECT epoch_ms(epoch_ms(fetched_at) // (seconds * 1000) * seconds * 1000) AS start, "
        f"seconds, outcome, http_status, count(*) AS pairs FROM data.ledger, ({STEP}) "
        "WHERE fetched_at IS NOT NULL GROUP BY ALL "
        "ORDER BY start, pairs DESC, outcome, http_status",
    ),
    "politeness": (
        "One row per host that was requested, the one that saw the highest rate first.",
        "SELECT * FROM data.politeness ORDER BY peak_per_s DESC, per_s DESC, host",
    ),
    "languages": (
        "One row per language of the texts.",
        "SELECT language, count(*) AS pairs, count(*) FILTER (keep) AS kept "
        "FROM data.ledger GROUP BY ALL ORDER BY pairs DESC, language",
    ),
    "duplicates": (
        "One row per cluster of copies of one image, the largest first.",
        "SELECT cluster, count(*) AS pairs, count(*) FILTER (keep) AS kept, "
        "count(DISTINCT sha256) AS files, max(duplicate_distance) AS max_distance "
        "FROM data.ledger WHERE cluster IS NOT NULL GROUP BY ALL HAVING count(*) > 1 "
        "ORDER BY pairs DESC, cluster",
    ),
    "evaluation_sets": (
        "One row per evaluation set that has an image which is nearest to one of a pair.",
        "SELECT eval_set, count(*) AS pairs, count(eval_distance) AS near, "
        "max(eval_overlap) AS max_overlap, count(*) FILTER (keep) AS kept "
        "FROM data.ledger WHERE eval_set IS NOT NULL GROUP BY ALL ORDER BY eval_set",
    ),
}


def build(
    connection: "DuckDBPyConnection",
    file: Path,
    funnel: list[dict[str, Any]],
    other_scores: tuple[Column, ...] = (),
) -> None:
    """Write the database `file` and leave it attached to `connection` as `stats`, in use.

    Args:
        connection: In memory, with the views of `ledger.attach` and `politeness.attach`.
        file: Where to write; nothing may be there.
        funnel: One entry per rule with the columns of FUNNEL.
        other_scores: Columns of the ledger that further models measured.
    """
    connection.execute(f"ATTACH {quoted(str(file))} AS stats (STORAGE_VERSION '{STORAGE}')")
    connection.execute("CREATE SCHEMA stats.data")
    connection.execute("CREATE TABLE stats.data.ledger AS SELECT * FROM memory.ledger ORDER BY row")
    connection.execute(
        f"CREATE TABLE stats.data.superseded AS SELECT {FETCHED} FROM memory.superseded "
        "ORDER BY row, retry_layer"
    )
    connection.execute(f"CREATE TABLE stats.data.politeness AS {PER_HOST}")
    connection.execute("USE stats")
    _table(connection, "funnel", funnel)
    numbers = measured_numbers(other_scores)
    _table(connection, "measures", list(_measures(connection, numbers)))
    _table(connection, "histograms", list(_histograms(connection, numbers)))
    for name, (doc, query) in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query}")
        connection.execute(f"COMMENT ON VIEW {name} IS {quoted(doc)}")
    for table, columns in TABLES.items():
        for column in (*columns, *other_scores) if table == "ledger" else columns:
            doc = f"{column.doc} [{column.unit}]" if column.unit else column.doc
            connection.execute(f'COMMENT ON COLUMN data.{table}."{column.name}" IS {quoted(doc)}')


def finish(connection: "DuckDBPyConnection") -> None:
    """Write out and let go of the database that `build` left attached."""
    connection.execute("CHECKPOINT stats")
    connection.execute("USE memory")
    connection.execute("DETACH stats")


def measured_numbers(other_scores: tuple[Column, ...] = ()) -> tuple[Column, ...]:
    """Return the columns worth a histogram: numbers with a unit that say something of a pair.

    `other_scores` are the columns that further models measured.
    """
    return tuple(
        column
        for column in (*COLUMNS, *other_scores)
        if column.unit
        and column not in LOCATIONS
        and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    )


def _table(connection: "DuckDBPyConnection", name: str, content: list[dict[str, Any]]) -> None:
    """Create `data.<name>` with the columns declared for it."""
    table = pa.Table.from_pylist(content, schema=arrow_schema(TABLES[name]))
    connection.register("content", table)
    connection.execute(f"CREATE TABLE data.{name} AS SELECT * FROM content")
    connection.unregister("content")


def _measures(
    connection: "DuckDBPyConnection", numbers: tuple[Column, ...]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `data.measures`."""
    for column in numbers:
        (row,) = rows(
            connection,
            f"SELECT count(v) AS measured, count(*) - count(v) AS unmeasured, "
            f"min(v) AS lowest, max(v) AS highest FROM ({_values(column)})",
        )
        yield {"name": column.name, "unit": column.unit, "doc": column.doc, **row}


def _histograms(
    connection: "DuckDBPyConnection", numbers: tuple[Column, ...]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `data.histograms`.

    A bin is as wide as a round number; the outermost 1 % on either side share the end bins, so one
    value far out does not flatten the rest.
    """
    for column in numbers:
        values = _values(column)
        measured = rows(connection, f"SELECT count(v) AS pairs FROM ({values})")[0]["pairs"]
        if not measured:
            continue
        low, high = connection.execute(
            f"SELECT quantile_disc(v, 0.01), quantile_disc(v, 0.99) FROM ({values}) "
            f"WHERE v IS NOT NULL AND hash(row) % {max(1, measured // RANGE_ROWS)} = 0"
        ).fetchall()[0]
        step = _round_step((high - low) / BINS, pa.types.is_integer(column.type))
        first, last = math.floor(low / step), math.floor(high / step)
        counted = connection.execute(
            f"SELECT least(greatest(floor(v / {step!r}), {first}), {last})::BIGINT AS bin, "
            f"count(*), count(*) FILTER (keep), min(v), max(v) "
            f"FROM ({values}) WHERE v IS NOT NULL GROUP BY ALL"
        ).fetchall()
        bins = {index: rest for index, *rest in counted}
        for index in range(first, last + 1):
            pairs, kept, lowest, highest = bins.get(index, (0, 0, math.inf, -math.inf))
            yield {
                "name": column.name,
                "bin": index - first,
                "low": min(round(index * step, 10), lowest),
                "high": max(round((index + 1) * step, 10), highest),
                "pairs": pairs,
                "kept": kept,
            }


def _values(column: Column) -> str:
    """Return the query of `row`, `keep` and the finite values `v` of a column, else null."""
    return (
        f'SELECT row, keep, CASE WHEN isfinite("{column.name}"::DOUBLE) '
        f'THEN "{column.name}"::DOUBLE END AS v FROM data.ledger'
    )


def _round_step(width: float, whole: bool) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `width`."""
    if width <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width * 0.999)
    return max(step, 1.0) if whole else step
