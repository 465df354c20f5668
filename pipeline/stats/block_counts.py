"""What is counted of one block of the ledger, and the rows of it that go into `stats.duckdb`.

Every table here adds up: the counts of the pool are the sums, the lowest and the highest of those
of its blocks. What needs pairs of other blocks, such as hosts and clusters, is left in the order in
which the next round takes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.request_rates import REQUESTS
from pairsieve.pipeline.ledger.block_table import block_tables
from pairsieve.pipeline.ledger.column_files import is_held
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS, decoded
from pairsieve.pipeline.stats import bound_counts, copied_rows
from pairsieve.pipeline.stats.bound_counts import Binned
from pairsieve.pipeline.stats.copied_rows import FETCHED, ROWS, SUPERSEDED
from pairsieve.pipeline.stats.counted_bins import counted
from pairsieve.pipeline.stats.histogram_bins import Bins
from pairsieve.pipeline.stats.page import TEXT_SHOWN
from pairsieve.pipeline.stats.partials import OF_BLOCK, committed, source, written
from pairsieve.pipeline.unit.fetch_diagnosis import STEPS_S
from pairsieve.schemas.columns import (
    ATTEMPTS,
    CLUSTER,
    DETAIL,
    DUPLICATE_DISTANCE,
    DUPLICATE_OF,
    EVAL_DISTANCE,
    EVAL_OVERLAP,
    EVAL_SET,
    FETCH_BYTES,
    FETCH_MS,
    FETCHED_AT,
    HOST,
    HTTP_STATUS,
    KEEP,
    LANGUAGE,
    OUTCOME,
    ROW,
    SHA256,
    UID,
    Column,
    arrow_schema,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STEPS = 60  # at most this many steps of time
SAMPLES_SHOWN = 12  # pairs of a rule that the page may show
NEAR_SHOWN = 4  # pairs of an evaluation set that the page shows
COUNTED = (  # besides the measured numbers
    ROW, UID, HOST, OUTCOME, HTTP_STATUS, DETAIL, FETCHED_AT, LANGUAGE, KEEP, FAILING_BITS,
    FETCH_BYTES, FETCH_MS, ATTEMPTS, EVAL_SET, EVAL_DISTANCE, EVAL_OVERLAP, CLUSTER, SHA256,
    DUPLICATE_DISTANCE, DUPLICATE_OF,
)  # fmt: skip
FIRST, LAST, UNITS = "first", "last", "units"  # in the marker: rows of the block and of its units


@dataclass(frozen=True)
class Counting:
    """What a task needs to know besides its block.

    Attributes:
        folder: Of the round.
        schema: All columns of the ledger but those of shards, in order, and the bits of verdicts.
        numbers: The measured numbers, and their bins where these are known.
        rules: The names behind the bits of a verdict.
        evaluated: The condition on `failing` that a rule on evaluation sets dropped the pair.
        seed: Of the samples.
        sampled: The condition on `uid` for a row to be copied; None for all rows.
        partitions: Of the hosts.
        bounds: The thresholds to count around.
        quotas: The rules on how many survive.
    """

    folder: str
    schema: pa.Schema
    numbers: tuple[tuple[Column, Bins | None], ...]
    rules: tuple[str, ...]
    evaluated: str
    seed: int
    sampled: str | None
    partitions: int
    bounds: tuple[Binned, ...] = ()
    quotas: tuple[str, ...] = ()

    @property
    def reads(self) -> list[str]:
        """Return the columns that are counted."""
        numbers = [number.name for number, _ in self.numbers]
        bounded = {name for bound, _ in self.bounds for name in bound.reads}
        return [*(column.name for column in COUNTED), *numbers, *sorted(bounded)]


@dataclass(frozen=True)
class BlockItem:
    """A block, the files of the requests of its units, and how many pairs each of them has."""

    block: Block
    requests: Sequence[str]
    pairs: Mapping[int, int]


def step_of(ends: str) -> str:
    """Return the query of the shortest `step`, s, of which `STEPS` hold what lies between two ends.

    `ends` is the query of `earliest` and `latest`, ms. Each step is a multiple of the one before,
    so what is counted by one adds up to the next.
    """
    return (
        f"SELECT list_filter({list(STEPS_S)}, lambda s: s * {STEPS - 1} > (latest - earliest) / "
        f"1000 OR s = {STEPS_S[-1]})[1] AS step FROM ({ends})"
    )


def count_block(counting: Counting, item: BlockItem) -> Marker:
    """Count a block and commit it."""
    block = item.block
    table, superseded = _read(counting, block)
    places = _places(item, table)
    task = (counting.folder, block.number)
    with connect(block.store, threads=block.threads) as connection:
        _attach(connection, block.store, counting, table, item.requests)
        marker = written(connection, block.store, task, OF_BLOCK, _queries(counting))
        if counting.sampled:
            only = copied_rows.drawn(connection, counting.sampled)
    rows = table
    if counting.sampled:
        rows, superseded = copied_rows.copied(block, table, only, places[UNITS], counting.schema)
    marker.files.update(_put(counting, block, rows, superseded))
    return committed(block.store, task, Marker(table.num_rows, marker.files, {}, places))


def _read(counting: Counting, block: Block) -> tuple[pa.Table, pa.Table]:
    """Return the rows of a block with the columns that are needed at first, and those replaced.

    Where all rows are copied these are all columns, else those counted and what is read with them.
    """
    names, superseded = [*counting.schema.names], FETCHED
    if counting.sampled:
        names = counting.reads
        if block.files.columns:
            names += [field.name for field in counting.schema if is_held(field)]
        superseded = []
    return block_tables(block.store, block.files, names, block.threads, superseded)


def _put(
    counting: Counting, block: Block, rows: pa.Table, superseded: pa.Table
) -> dict[str, dict[str, Any]]:
    """Write the rows that are copied, and those replaced; return the entries of the marker."""
    fetches = pa.schema([counting.schema.field(name) for name in FETCHED])
    copies = {ROWS: (rows, counting.schema), SUPERSEDED: (superseded, fetches)}
    entries: dict[str, dict[str, Any]] = {}
    for name, (table, schema) in copies.items():
        entries |= copied_rows.put(block, counting.folder, name, copied_rows.aligned(table, schema))
    return entries


def _attach(
    connection: "DuckDBPyConnection",
    store: Store,
    counting: Counting,
    table: pa.Table,
    requests: Sequence[str],
) -> None:
    """Define `ledger` and `requests` of the block."""
    connection.register("joined", table)
    connection.register("binned", counted(table, counting.numbers))
    of_bounds = bound_counts.counted(
        connection, counting.bounds, counting.rules, counting.quotas, table.column_names
    )
    for name, of_bound in zip(("bounded", "near"), of_bounds, strict=True):
        connection.register(name, of_bound)
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


def _queries(counting: Counting) -> Mapping[str, str]:
    """Return the query of every table of a block."""
    counts = "count(*) AS pairs, count(*) FILTER (keep) AS kept"
    spent = (
        "coalesce(sum(fetch_bytes), 0)::BIGINT AS bytes, "
        "coalesce(sum(fetch_ms), 0)::BIGINT AS milliseconds, "
        "coalesce(sum(attempts), 0)::BIGINT AS attempts"
    )
    near = "eval_distance NULLS LAST, eval_overlap DESC NULLS LAST, row"
    return {
        "answers": f"SELECT hash(host) % {counting.partitions} AS partition, host, outcome, "
        f"http_status, {counts}, {spent} FROM ledger GROUP BY ALL ORDER BY ALL",
        "requests": f"SELECT hash(host) % {counting.partitions} AS partition, host, second, "
        "sum(requests)::BIGINT AS requests FROM requests GROUP BY ALL",
        "times": _times(),
        "examples": "SELECT outcome, min(row) AS row, min_by(detail, row) AS detail FROM (SELECT "
        f"outcome, row, substr(detail, 1, {TEXT_SHOWN + 1}) AS detail FROM ledger "
        "WHERE detail IS NOT NULL) GROUP BY outcome ORDER BY outcome",
        "languages": f"SELECT language, {counts} FROM ledger GROUP BY ALL ORDER BY language",
        "concepts": f"SELECT length(concept_pairs::VARCHAR)::INT AS digits, {counts} FROM ledger "
        "WHERE concept_pairs IS NOT NULL GROUP BY ALL ORDER BY digits",
        "bins": "FROM binned ORDER BY name, bin, lowest",
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
        "bounds": "FROM bounded ORDER BY threshold, bin",
        "nearest": "FROM near ORDER BY ALL",
        "overlaps": bound_counts.overlaps(len(counting.rules)),
    }


def copied() -> str:
    """Return the columns of what is known of a pair in a cluster, as SQL."""
    return "cluster, row, sha256, keep, duplicate_distance, duplicate_of IS NOT NULL AS copy, host"


def _times() -> str:
    ends = "SELECT min(ms) AS earliest, max(ms) AS latest FROM fetched"
    return (
        "WITH fetched AS (SELECT epoch_ms(fetched_at) AS ms, outcome, http_status FROM ledger) "
        "SELECT ms // (step * 1000) * step AS start, outcome, http_status, count(*) AS pairs, "
        f"min(ms) AS earliest, max(ms) AS latest FROM fetched, ({step_of(ends)}) "
        "GROUP BY ALL ORDER BY ALL"
    )


def _places(item: BlockItem, table: pa.Table) -> dict[str, Any]:
    """Return the first and the last row of the block and of each of its units."""
    rows = table[ROW.name].to_numpy()
    spans, begin = {}, 0
    for unit, pairs in sorted(item.pairs.items()):
        spans[str(unit)] = rows[[begin, begin + pairs - 1]].tolist()
        begin += pairs
    ends = rows[[0, -1]].tolist() if len(rows) else [0, -1]
    return {FIRST: ends[0], LAST: ends[1], UNITS: spans}
