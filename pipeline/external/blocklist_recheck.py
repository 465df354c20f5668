"""Blocked: which gathered pairs are on the blocklist as it is now.

`gather` keeps out what is listed while it works; an entry may be added later. So `select` looks all
that is gathered up in the list of today, and commits the result, which holds until the list or the
pairs change. What the ledger has is enough: both URLs, the SHA-256 and the pHash.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import costs
from pairsieve.pipeline.dataset.commit import commit, current, fingerprint, replace, tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.paths import (
    BLOCKLIST_MARKER,
    content,
    marker_path,
    pool_blocks,
    task_name,
)
from pairsieve.pipeline.dataset.stages import BLOCKLIST
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.external import blocklist, blocklist_file
from pairsieve.pipeline.external.blocklist import BlocklistIndex
from pairsieve.pipeline.ledger import block_columns
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE, connect
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import (
    BLOCKED,
    FINAL_URL,
    HOST,
    OUTCOME,
    PERCEPTUAL_HASH,
    ROW,
    SHA256,
    URL,
    URL_HASH,
    arrow_schema,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNITS_AT_ONCE = 25  # whose URLs are in memory
COLUMNS_READ = [
    column.name for column in (OUTCOME, URL, HOST, URL_HASH, FINAL_URL, SHA256, PERCEPTUAL_HASH)
]
REDIRECTED = f"{FINAL_URL.name} IS NOT NULL AND {FINAL_URL.name} IS DISTINCT FROM {URL.name}"


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    units: int = BLOCK_UNITS,
    measured: Mapping[str, str] | None = None,
) -> Marker | None:
    """Look up every stored image in the recipe's blocklist and commit; None without one.

    The images are looked up in blocks of so many units, each a task that commits what it finds.
    With `measured`, folders as `ledger_files` takes them, the columns of blocks are made for it.

    Raises:
        BadOption: a file of the blocklist is not there, or a line in it is not an entry.
        Stopped: a task's process kept dying.
    """
    if recipe.blocklist is None:
        if old := store.marker(BLOCKLIST_MARKER):
            store.delete([BLOCKLIST_MARKER, *old.files])
        return None
    lists = [
        (file.location, file.bytes, file.version) for file in blocklist.sources(recipe.blocklist)
    ]
    files = ledger_files(store, measured, before=BLOCKLIST)
    gathered = [file.first or file.name for file in files.gathered]  # as pairs leave, it holds
    identity = fingerprint(lists, recipe.blocklist.max_distance, gathered)
    if done := current(store, BLOCKLIST_MARKER, identity):
        return done
    listed = pool_blocks(BLOCKLIST, fingerprint("keys", lists, recipe.blocklist.max_distance))
    keys = blocklist_file.committed(store, engine, recipe.blocklist, listed)
    if measured is not None:
        files = block_columns.run(store, engine, files, min(units, block_columns.COLUMN_UNITS))
    folder = pool_blocks(BLOCKLIST, identity)
    task = partial(_look_up, keys, folder)
    found = Pool(store, engine, files, units).run(task, folder)
    marker = Marker(
        sum(part.rows for part in found),
        {file: entry for part in found for file, entry in part.files.items()},
        {},
        {"fingerprint": identity} | costs.of_rounds(store, [pool_blocks(BLOCKLIST)]),
    )
    replace(store, BLOCKLIST_MARKER, marker)
    tidy(store, pool_blocks(BLOCKLIST), marker)
    return marker


def _look_up(keys: PartedFile, folder: str, block: Block) -> Marker:
    """Look up the stored images of a block and commit those that are listed."""
    index = blocklist_file.load(block.store, keys)
    entries: dict[int, str] = {}
    for table in block.tables(COLUMNS_READ, UNITS_AT_ONCE):
        with connect(block.store, threads=block.threads) as connection:
            connection.register("ledger", table)
            connection.execute(
                f"CREATE VIEW images AS SELECT * FROM ledger WHERE outcome = '{Outcome.OK}'"
            )
            entries |= listed_rows(connection, index)
    files = {}
    if entries:
        path = content(folder, task_name(block.number), ".parquet")
        with block.store.writer(path) as sink:
            _write(entries, sink)
        files[path] = block.entry(sink)
    marker = Marker(len(entries), files)
    return commit(block.store, marker_path(folder, task_name(block.number)), marker)


def listed_rows(connection: "DuckDBPyConnection", index: BlocklistIndex) -> dict[int, str]:
    """Return the entry for every row of `images` that is on the blocklist, by row.

    Of several that of the URL counts, then that of the final URL, of the file, of the pHash.
    """
    blocked: dict[int, str] = {}
    if index.has_hashes:
        query = f"{PERCEPTUAL_HASH.name} FROM images WHERE {PERCEPTUAL_HASH.name} IS NOT NULL"
        for rows, hashes in _batches(connection, query):
            entries = index.of_hashes(hashes.to_numpy())
            blocked |= {int(rows[position]): entry for position, entry in entries.items()}
    if len(index.sha256_starts):
        connection.register("starts", pa.table({"start": index.sha256_starts}))
        start = f"('0x' || substr({SHA256.name}, 1, 16))::UBIGINT"
        query = f"{SHA256.name} FROM images WHERE {start} IN (FROM starts)"
        blocked |= _entries(connection, query, index.of_sha256)
    if index.has_hosts or len(index.url_hashes):
        query = f"{FINAL_URL.name} FROM images WHERE {REDIRECTED}"
        blocked |= _entries(connection, query, index.of_url)
    if index.has_hosts:
        blocked |= _of_hosts(connection, index)
    if len(index.url_hashes):
        connection.register("url_hashes", pa.table({"hash": index.url_hashes}))
        query = f"{URL_HASH.name} FROM images WHERE {URL_HASH.name} IN (FROM url_hashes)"
        blocked |= _entries(connection, query, index.of_hash)
        # With a dot at its end a host is the same, and the hash is another.
        query = f"{URL.name} FROM images WHERE {HOST.name} LIKE '%.'"
        blocked |= _entries(connection, query, index.of_url)
    return dict(sorted(blocked.items()))


def _of_hosts(connection: "DuckDBPyConnection", index: BlocklistIndex) -> dict[int, str]:
    """Return the entries of hosts on which rows are."""
    hosts = connection.execute(f"SELECT DISTINCT {HOST.name} FROM images").fetchall()
    listed = {host: entry for (host,) in hosts if host and (entry := index.of_host(host))}
    connection.register("hosts", pa.table({"host": pa.array(listed, pa.string())}))
    query = f"{HOST.name} FROM images WHERE {HOST.name} IN (FROM hosts)"
    return _entries(connection, query, listed.get)


def _entries(
    connection: "DuckDBPyConnection", query: str, entry_of: Callable[[Any], str | None]
) -> dict[int, str]:
    """Return the entries, by row, of the values of a query that are on the list."""
    found: dict[int, str] = {}
    for rows, values in _batches(connection, query):
        for row, value in zip(rows, values.to_pylist(), strict=True):
            if entry := entry_of(value):
                found[int(row)] = entry
    return found


def _batches(
    connection: "DuckDBPyConnection", query: str
) -> Iterator[tuple[NDArray[np.int64], pa.ChunkedArray]]:
    """Yield rows and values of the one column that the rest of a `SELECT row, ` names."""
    for batch in connection.sql(f"SELECT {ROW.name}, {query}").to_arrow_reader(ROWS_AT_ONCE):
        table = pa.Table.from_batches([batch])
        yield table[0].to_numpy(), table[1]


def _write(entries: dict[int, str], sink: Any) -> None:
    import pyarrow.parquet as pq

    schema = arrow_schema((ROW, BLOCKED))
    columns = [pa.array(entries.keys(), ROW.type), pa.array(entries.values(), BLOCKED.type)]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), sink, compression="zstd")
