"""What is counted of one block of the ledger, and the rows of it that go into `stats.duckdb`.

Every table here adds up: the counts of the pool are the sums, the lowest and the highest of those
of its blocks. What needs pairs of other blocks, such as hosts and clusters, is left in the order in
which the next round takes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.request_rates import REQUESTS
from pairsieve.pipeline.ledger.block_table import Rows, block_table, block_tables
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS, decoded
from pairsieve.pipeline.stats.histogram_bins import Bins, finite
from pairsieve.pipeline.stats.page import TEXT_SHOWN
from pairsieve.pipeline.stats.partials import OF_BLOCK, committed, source, written
from pairsieve.pipeline.unit.fetch_diagnosis import STEPS_S
from pairsieve.schemas.columns import (
    ATTEMPTS,
    CLUSTER,
    CONTENT_TYPE,
    DETAIL,
    DUPLICATE_DISTANCE,
    DUPLICATE_OF,
    ETAG,
    EVAL_DISTANCE,
    EVAL_OVERLAP,
    EVAL_SET,
    FETCH_BYTES,
    FETCH_MS,
    FETCHED_AT,
    FINAL_URL,
    HOST,
    HTTP_STATUS,
    KEEP,
    LANGUAGE,
    LAST_MODIFIED,
    OUTCOME,
    RETRY_LAYER,
    ROW,
    SHA256,
    SHARDED,
    TEXT,
    UID,
    URL,
    Column,
    arrow_schema,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STEPS = 60  # at most this many steps of time
SAMPLES_SHOWN = 12  # pairs of a rule that the page may show
NEAR_SHOWN = 4  # pairs of an evaluation set that the page shows
FETCHES = (
    ROW, UID, URL, RETRY_LAYER, OUTCOME, DETAIL, HTTP_STATUS, FINAL_URL, CONTENT_TYPE, FETCH_BYTES,
    FETCH_MS, ATTEMPTS, FETCHED_AT, ETAG, LAST_MODIFIED,
)  # fmt: skip
COUNTED = (  # besides the measured numbers
    ROW, UID, HOST, OUTCOME, HTTP_STATUS, DETAIL, FETCHED_AT, LANGUAGE, KEEP, FAILING_BITS,
    EVAL_SET, EVAL_DISTANCE, EVAL_OVERLAP, CLUSTER, SHA256, DUPLICATE_DISTANCE, DUPLICATE_OF,
)  # fmt: skip
FETCHED = [column.name for column in FETCHES]
DIFFERENT = {c.name for c in (UID, URL, TEXT, FINAL_URL, ETAG, SHA256)}  # in nearly every pair
ROWS, SUPERSEDED = "rows", "superseded"  # the tables with rows of the ledger
FIRST, LAST, UNITS = "first", "last", "units"  # in the marker: rows of the block and of its units


@dataclass(frozen=True)
class Counting:
    """What a task needs to know besides its block.

    Attributes:
        folder: Of the round.
        columns: All columns of the ledger but those of shards, in order.
        numbers: The measured numbers, and their bins where these are known.
        rules: The names behind the bits of a verdict.
        evaluated: The condition on `failing` that a rule on evaluation sets dropped the pair.
        seed: Of the samples.
        sampled: The condition on `uid` for a row to be copied; None for all rows.
        partitions: Of the hosts.
    """

    folder: str
    columns: tuple[str, ...]
    numbers: tuple[tuple[Column, Bins | None], ...]
    rules: tuple[str, ...]
    evaluated: str
    seed: int
    sampled: str | None
    partitions: int


def step_of(ends: str) -> str:
    """Return the query of the shortest `step`, s, of which `STEPS` hold what lies between two ends.

    `ends` is the query of `earliest` and `latest`, ms. Each step is a multiple of the one before,
    so what is counted by one adds up to the next.
    """
    return (
        f"SELECT list_filter({list(STEPS_S)}, lambda s: s * {STEPS - 1} > (latest - earliest) / "
        f"1000 OR s = {STEPS_S[-1]})[1] AS step FROM ({ends})"
    )


def count_block(counting: Counting, item: tuple[Block, Sequence[str]]) -> Marker:
    """Count a block, with these files of requests, and commit it."""
    block, requests = item
    superseded = None
    if counting.sampled:
        counted = [c.name for c in (*COUNTED, *(number for number, _ in counting.numbers))]
        table = block_table(block.store, block.files, counted, block.threads)
    else:
        table, superseded = _rows(counting, block, None)
    task = (counting.folder, block.number)
    with connect(block.store, threads=block.threads) as connection:
        _attach(connection, block.store, counting, table, requests)
        marker = written(connection, block.store, task, OF_BLOCK, _queries(counting, table))
        kept = (
            (table, superseded) if superseded is not None else _sampled(connection, counting, block)
        )
    for name, rows in zip((ROWS, SUPERSEDED), (kept[0], kept[1].select(FETCHED)), strict=True):
        marker.files.update(_put(block, counting.folder, name, rows))
    marker.extra.update(_places(block, table))
    return committed(block.store, task, Marker(table.num_rows, marker.files, {}, marker.extra))


def _sampled(
    connection: "DuckDBPyConnection", counting: Counting, block: Block
) -> tuple[pa.Table, pa.Table]:
    """Return the rows of a block that are copied, with all columns, and those replaced of them."""
    query = f"SELECT {ROW.name} FROM joined WHERE {counting.sampled} ORDER BY {ROW.name}"
    return _rows(counting, block, connection.execute(query).fetchnumpy()[ROW.name])


def _rows(counting: Counting, block: Block, only: Rows | None) -> tuple[pa.Table, pa.Table]:
    """Return rows of a block with all columns, and those that were replaced: of `only` these."""
    columns = (*counting.columns, FAILING_BITS.name)
    return block_tables(block.store, block.files, columns, block.threads, FETCHED, only)


def _attach(
    connection: "DuckDBPyConnection",
    store: Store,
    counting: Counting,
    table: pa.Table,
    requests: Sequence[str],
) -> None:
    """Define `ledger` and `requests` of the block."""
    connection.register("joined", table)
    connection.execute(f"CREATE VIEW ledger AS {with_verdict('joined', counting.rules)}")
    if requests:
        connection.execute(f"CREATE VIEW requests AS FROM {source(store, requests)}")
    else:
        connection.from_arrow(arrow_schema(REQUESTS).empty_table()).create_view("requests")


def with_verdict(table: str, rules: Sequence[str]) -> str:
    """Return the query of a table whose verdict is in bits as one with the names of rules."""
    bits = FAILING_BITS.name
    return (
        f"SELECT * EXCLUDE ({bits}) REPLACE (CASE WHEN {bits} IS NOT NULL THEN failing END AS "
        f"failing) FROM (SELECT *, {decoded(rules)} FROM {table})"
    )


def _queries(counting: Counting, table: pa.Table) -> Mapping[str, str]:
    """Return the query of every table of a block."""
    counts = "count(*) AS pairs, count(*) FILTER (keep) AS kept"
    near = "eval_distance NULLS LAST, eval_overlap DESC NULLS LAST, row"
    return {
        "answers": f"SELECT hash(host) % {counting.partitions} AS partition, host, outcome, "
        f"http_status, {counts} FROM ledger GROUP BY ALL ORDER BY ALL",
        "requests": f"SELECT hash(host) % {counting.partitions} AS partition, host, second, "
        "sum(requests)::BIGINT AS requests FROM requests GROUP BY ALL ORDER BY ALL",
        "times": _times(),
        "examples": "SELECT outcome, min(row) AS row, min_by(detail, row) AS detail FROM (SELECT "
        f"outcome, row, substr(detail, 1, {TEXT_SHOWN + 1}) AS detail FROM ledger "
        "WHERE detail IS NOT NULL) GROUP BY outcome ORDER BY outcome",
        "languages": f"SELECT language, {counts} FROM ledger GROUP BY ALL ORDER BY language",
        "concepts": f"SELECT length(concept_pairs::VARCHAR)::INT AS digits, {counts} FROM ledger "
        "WHERE concept_pairs IS NOT NULL GROUP BY ALL ORDER BY digits",
        "bins": " UNION ALL ".join(_bins(counting, table)) or _NO_BINS,
        "samples": "SELECT first_failing, unnest(min_by({'rank': rank, 'row': row}, rank, "
        f"{SAMPLES_SHOWN}), recursive := true) FROM (SELECT first_failing, row, "
        f"hash(uid, row, {counting.seed}) AS rank FROM ledger "
        "WHERE keep OR first_failing IS NOT NULL) GROUP BY first_failing ORDER BY ALL",
        "evaluated": f"SELECT eval_set, {counts}, count(eval_distance) AS near, "
        f"count(*) FILTER ({counting.evaluated}) AS dropped, max(eval_overlap) AS max_overlap, "
        "(list({'row': row, 'distance': eval_distance, 'overlap': eval_overlap} "
        f"ORDER BY {near}) FILTER ({counting.evaluated} OR eval_distance IS NOT NULL))"
        f"[:{NEAR_SHOWN}] AS shown FROM ledger WHERE eval_set IS NOT NULL GROUP BY ALL "
        "ORDER BY eval_set",
        "copies": f"SELECT {copied()} FROM ledger WHERE cluster IS NOT NULL AND cluster <> row "
        "ORDER BY cluster, row",
    }


def copied() -> str:
    """Return the columns of what is known of a pair in a cluster, as SQL."""
    return "cluster, row, sha256, keep, duplicate_distance, duplicate_of IS NOT NULL AS copy"


def _times() -> str:
    ends = "SELECT min(ms) AS earliest, max(ms) AS latest FROM fetched"
    return (
        "WITH fetched AS (SELECT epoch_ms(fetched_at) AS ms, outcome, http_status FROM ledger) "
        "SELECT ms // (step * 1000) * step AS start, outcome, http_status, count(*) AS pairs, "
        f"min(ms) AS earliest, max(ms) AS latest FROM fetched, ({step_of(ends)}) "
        "GROUP BY ALL ORDER BY ALL"
    )


_NO_BINS = (
    "SELECT '' AS name, 0 AS bin, 0 AS pairs, 0 AS kept, 0.0 AS lowest, 0.0 AS highest LIMIT 0"
)


def _bins(counting: Counting, table: pa.Table) -> Iterator[str]:
    """Yield the query of the bins of each number that is measured in the block."""
    there = set(table.column_names)
    for column, bins in counting.numbers:
        if column.name in there and table[column.name].null_count < table.num_rows:
            index = bins.index("v") if bins else "NULL::BIGINT"
            yield (
                f"(SELECT '{column.name}' AS name, {index} AS bin, count(*) AS pairs, "
                "count(*) FILTER (keep) AS kept, min(v) AS lowest, max(v) AS highest "
                f"FROM (SELECT keep, {finite(column)} AS v FROM joined) WHERE v IS NOT NULL "
                f"GROUP BY {index if bins else 'v'} ORDER BY bin, lowest)"
            )


def _put(block: Block, folder: str, name: str, rows: pa.Table) -> dict[str, dict[str, Any]]:
    """Write rows of the ledger; return the entry of the marker."""
    path = content(folder, task_name(block.number), f".{name}.parquet")
    plain = [field.name for field in rows.schema if _is_repeated(field)]
    with block.store.writer(path) as sink:
        pq.write_table(rows, sink, compression="lz4", use_dictionary=plain)
    return {path: sink.entry()}


def _is_repeated(field: pa.Field) -> bool:
    """Return whether a column is text of which many pairs have the same."""
    return pa.types.is_string(field.type) and field.name not in DIFFERENT


def _places(block: Block, table: pa.Table) -> dict[str, Any]:
    """Return the first and the last row of the block and of each of its units."""
    rows = table[ROW.name]
    spans: dict[str, list[int]] = {}
    for file in block.files.gathered:
        with block.store.reader(file.name) as source:
            span = _span(pq.ParquetFile(source).metadata) if not file.layer else []
        if span:
            known = spans.get(str(file.unit), span)
            spans[str(file.unit)] = [min(known[0], span[0]), max(known[1], span[1])]
    ends = [rows[0].as_py(), rows[-1].as_py()] if len(rows) else [0, -1]
    return {FIRST: ends[0], LAST: ends[1], UNITS: spans}


def _span(metadata: Any) -> list[int]:
    """Return the first and the last row of a ledger part; nothing where it has none."""
    place = metadata.schema.names.index(ROW.name)
    groups = [metadata.row_group(group).column(place) for group in range(metadata.num_row_groups)]
    known = [group.statistics for group in groups if group.statistics]
    return [min(s.min for s in known), max(s.max for s in known)] if known else []


def unsharded(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns but those of shards, which are joined at last."""
    sharded = {column.name for column in SHARDED}
    return tuple(name for name in columns if name not in sharded)
