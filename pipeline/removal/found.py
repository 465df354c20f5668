"""Which pairs are meant: every block of the ledger is looked through for what was named."""

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, marker_path, task_name
from pairsieve.pipeline.external.blocklist import BlocklistIndex
from pairsieve.pipeline.external.blocklist_recheck import COLUMNS_READ, listed_rows
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.unit.forgotten import UID_KIND, Keys, as_numbers
from pairsieve.schemas.columns import (
    CLUSTER,
    IMAGE_FILE,
    OUTCOME,
    ROW,
    TEXT,
    UID,
    arrow_schema,
)
from pairsieve.schemas.outcomes import Outcome

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNITS_FOUND = "units_found"  # in the marker of a block
COPY_TEXTS = (ROW, CLUSTER, TEXT)


def count(pool: Pool, keys: Keys) -> tuple[int, int]:
    """Return how many pairs are meant, and how many of them have a stored image."""
    counts = [counted for _, counted in pool.each(partial(_count, keys), pool.blocks)]
    return sum(pairs for pairs, _ in counts), sum(images for _, images in counts)


def find(pool: Pool, keys: Keys, folder: str, unit_pairs: int) -> list[Marker]:
    """Commit row and uid of the pairs that are meant, block by block; return the markers."""
    return pool.run(partial(_find, keys, folder, unit_pairs), folder)


def texts(pool: Pool, folder: str, found: list[Marker]) -> list[Marker]:
    """Commit the texts of the pairs that were found in clusters, block by block.

    They may stand among the captions of their keeper.
    """
    files = [next(iter(marker.files), None) for marker in found]
    return pool.run(partial(_texts, folder, files), folder)


def _count(keys: Keys, block: Block) -> tuple[int, int]:
    with block.ledger([*COLUMNS_READ, UID.name, IMAGE_FILE.name]) as connection:
        _select(connection, keys)
        query = f"SELECT count(*), count({IMAGE_FILE.name}) FROM ledger SEMI JOIN found USING (row)"
        ((pairs, images),) = connection.execute(query).fetchall()
    return int(pairs), int(images)


def _find(keys: Keys, folder: str, unit_pairs: int, block: Block) -> Marker:
    with block.ledger([*COLUMNS_READ, UID.name, IMAGE_FILE.name]) as connection:
        _select(connection, keys)
        query = f"SELECT row, uid, {IMAGE_FILE.name} FROM ledger SEMI JOIN found USING (row)"
        found = connection.sql(f"{query} ORDER BY row").to_arrow_table()
    table = found.select([ROW.name, UID.name]).cast(arrow_schema((ROW, UID)))
    files = {}
    if table.num_rows:
        path = content(folder, task_name(block.number), ".parquet")
        with block.store.writer(path) as sink:
            pq.write_table(table, sink, compression="zstd")
        files[path] = block.entry(sink)
    units = sorted({row // unit_pairs for row in table[ROW.name].to_pylist()})
    images = table.num_rows - found[IMAGE_FILE.name].null_count
    marker = Marker(table.num_rows, files, {"images": images}, {UNITS_FOUND: units})
    return commit(block.store, marker_path(folder, task_name(block.number)), marker)


def _texts(folder: str, files: list[str | None], block: Block) -> Marker:
    entries = {}
    if file := files[block.number]:
        with block.ledger([CLUSTER.name, TEXT.name]) as connection:
            connection.register("found", rows_of(block, file))
            query = (
                f"SELECT row, {CLUSTER.name}, {TEXT.name} FROM ledger SEMI JOIN found USING (row) "
                f"WHERE {CLUSTER.name} IS NOT NULL"
            )
            table = connection.sql(query).to_arrow_table().cast(arrow_schema(COPY_TEXTS))
        path = content(folder, task_name(block.number), ".parquet")
        with block.store.writer(path) as sink:
            pq.write_table(table, sink, compression="zstd")
        entries[path] = sink.entry()
    marker = Marker(0, entries)
    return commit(block.store, marker_path(folder, task_name(block.number)), marker)


def rows_of(block: Block, file: str) -> pa.Table:
    """Return row and uid of the pairs that were found in a block."""
    with block.store.reader(file) as source:
        return pq.read_table(source)


def _select(connection: "DuckDBPyConnection", keys: Keys) -> None:
    """Make the table `found` of the rows of `ledger` that are meant."""
    connection.execute(
        "CREATE VIEW images AS SELECT * FROM ledger "
        f"WHERE {OUTCOME.name} IS DISTINCT FROM '{Outcome.FORGOTTEN}'"
    )
    named = list(listed_rows(connection, BlocklistIndex.of_keys({"": as_numbers(keys)})))
    connection.register("named", pa.table({ROW.name: pa.array(named, pa.int64())}))
    uids = [key for kind, key in keys if kind == UID_KIND]
    connection.register("uids", pa.table({UID.name: pa.array(uids, pa.string())}))
    connection.execute(
        "CREATE TABLE found AS SELECT row FROM images SEMI JOIN uids USING (uid) "
        "UNION SELECT row FROM named"
    )
