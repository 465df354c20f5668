"""The rows of the ledger that go into `stats.duckdb`: all of a small one, a sample of a large one.

The sample is drawn by a hash of uid and seed out of stretches of rows that are evenly spread over
the pool. So of a pool of any size the long texts of a bounded number of units are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.paths import content, task_name
from pairsieve.pipeline.ledger.block_table import Rows, completed
from pairsieve.pipeline.ledger.files import LedgerFiles, SliceFile
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.schemas.columns import (
    ATTEMPTS,
    CONTENT_TYPE,
    DETAIL,
    ETAG,
    FETCH_BYTES,
    FETCH_MS,
    FETCHED_AT,
    FINAL_URL,
    HTTP_STATUS,
    LAST_MODIFIED,
    OUTCOME,
    RETRY_LAYER,
    ROW,
    SHA256,
    SHARDED,
    TEXT,
    UID,
    URL,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAMPLE_ROWS = 200_000  # about so many rows of a ledger that is too large to be copied
STRETCH_ROWS = 10_000  # rows of a stretch, those of a unit by default
STRETCHES = 100  # a sample comes from at least so many, where there are, and from less than twice
FETCHES = (
    ROW, UID, URL, RETRY_LAYER, OUTCOME, DETAIL, HTTP_STATUS, FINAL_URL, CONTENT_TYPE, FETCH_BYTES,
    FETCH_MS, ATTEMPTS, FETCHED_AT, ETAG, LAST_MODIFIED,
)  # fmt: skip
FETCHED = [column.name for column in FETCHES]
DIFFERENT = {c.name for c in (UID, URL, TEXT, FINAL_URL, ETAG, SHA256)}  # in nearly every pair
ROWS, SUPERSEDED = "rows", "superseded"  # the tables with rows of the ledger
Spans = Mapping[str, Sequence[int]]  # unit -> its first and last row


def sampled(pairs: int, most: int, seed: int) -> str | None:
    """Return the condition on a row to be copied, at most about `most`; None where all are."""
    if pairs <= most:
        return None
    every = max(1, pairs // (STRETCHES * STRETCH_ROWS))
    share = min(1.0, min(most, SAMPLE_ROWS) * every / pairs)
    drawn = f"md5_number_lower({UID.name} || '{seed}') < {int(share * 2**64)}"
    return drawn if every == 1 else f"{ROW.name} // {STRETCH_ROWS} % {every} = 0 AND {drawn}"


def drawn(connection: "DuckDBPyConnection", condition: str) -> Rows:
    """Return the rows of the table `joined` for which a condition holds, in ascending order."""
    query = f"SELECT {ROW.name} FROM joined WHERE {condition} ORDER BY {ROW.name}"
    return np.asarray(connection.execute(query).fetchnumpy()[ROW.name], np.int64)


def copied(
    block: Block, table: pa.Table, only: Rows, spans: Spans, schema: pa.Schema
) -> tuple[pa.Table, pa.Table]:
    """Return some rows of a block with all columns, and the rows that they replaced.

    Args:
        block: The block.
        table: Some columns of all its rows, sorted.
        only: (n,), the rows, in ascending order.
        spans: Where the units of the block begin and end.
        schema: All columns.
    """
    if not len(only):
        return schema.empty_table(), schema.empty_table()
    there = table.take(pa.array(np.searchsorted(table[ROW.name].to_numpy(), only)))
    files = _of_units(block.files, {int(unit) for unit in _units(spans, only)})
    lacking = {*map(str.lower, schema.names)} - {*map(str.lower, table.column_names)}
    return completed(block.store, files, there, lacking, block.threads, FETCHED, only)


def _units(spans: Spans, only: Rows) -> list[str]:
    """Return the units that have one of some rows."""
    ends = np.searchsorted(only, [(first, last + 1) for first, last in spans.values()])
    return [unit for unit, (low, high) in zip(spans, ends.tolist(), strict=True) if low < high]


def _of_units(files: LedgerFiles, units: set[int]) -> LedgerFiles:
    """Return the files of a block without those of task slices of other units."""

    def inside(of: Sequence[SliceFile]) -> tuple[SliceFile, ...]:
        return tuple(file for file in of if file.unit in units)

    scores = {name: inside(of) for name, of in files.scores.items()}
    return replace(files, gathered=inside(files.gathered), scores=scores)


def put(block: Block, folder: str, name: str, rows: pa.Table) -> dict[str, dict[str, Any]]:
    """Write rows of the ledger; return the entry of the marker."""
    path = content(folder, task_name(block.number), f".{name}.parquet")
    plain = [field.name for field in rows.schema if _is_repeated(field)]
    with block.store.writer(path) as sink:
        pq.write_table(rows, sink, compression="lz4", use_dictionary=plain)
    return {path: sink.entry()}


def _is_repeated(field: pa.Field) -> bool:
    """Return whether a column is text of which many pairs have the same."""
    return pa.types.is_string(field.type) and field.name not in DIFFERENT


def aligned(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of a schema, in that order; null are those it lacks."""
    there = set(rows.column_names)
    columns = [
        rows[field.name] if field.name in there else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.table(columns, schema.names)


def unsharded(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns but those of shards, which are joined at last."""
    sharded = {column.name for column in SHARDED}
    return tuple(name for name in columns if name not in sharded)
