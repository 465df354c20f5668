"""Blocked: which gathered pairs are on the blocklist as it is now.

`gather` keeps out what is listed while it works; an entry may be added later. So `select` asks the
list of today about all that is gathered, and commits the answer, which holds until the list or the
pairs change. What the ledger holds is enough: both URLs, the SHA-256 and the pHash.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import current, fingerprint, replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import BLOCKLIST_MARKER, result
from pairsieve.pipeline.dataset.stages import BLOCKLIST
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.external import blocklist
from pairsieve.pipeline.external.blocklist import Listed
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE, attach, connect, inputs
from pairsieve.pipeline.ledger.sql import host_of
from pairsieve.schemas.columns import (
    BLOCKED,
    FINAL_URL,
    PERCEPTUAL_HASH,
    ROW,
    SHA256,
    URL,
    arrow_schema,
)
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A host that is written in no other way, but for a dot at its end: a name, no kind of number.
USUAL_HOST = r"([a-z0-9_-]+\.)*[a-z][a-z0-9_-]*\.?"


def run(recipe: Recipe, store: Store) -> Marker | None:
    """Ask the recipe's blocklist about every stored image and commit; None without one.

    Raises:
        BadOption: a file of the blocklist is not there, or a line in it is not an entry.
    """
    if recipe.blocklist is None:
        if old := store.marker(BLOCKLIST_MARKER):
            store.delete([BLOCKLIST_MARKER, *old.files])
        return None
    files = [
        (file.location, file.bytes, file.version) for file in blocklist.sources(recipe.blocklist)
    ]
    wanted = fingerprint(files, recipe.blocklist.max_distance, inputs(store, {}))
    if done := current(store, BLOCKLIST_MARKER, wanted):
        return done
    listed = blocklist.load(recipe.blocklist)
    assert listed is not None
    with connect(store) as connection:
        attach(connection, store)
        connection.execute(
            f"CREATE VIEW images AS SELECT * FROM gathered WHERE outcome = '{Outcome.OK}'"
        )
        found = _found(connection, listed)
    path = result(BLOCKLIST.folder)
    with store.writer(path) as sink:
        _write(found, sink)
    marker = Marker(len(found), {path: sink.entry()}, {}, {"fingerprint": wanted})
    replace(store, BLOCKLIST_MARKER, marker)
    return marker


def _found(connection: "DuckDBPyConnection", listed: Listed) -> dict[int, str]:
    """Return the entry for every row whose image is stored and listed, by row."""
    found: dict[int, str] = {}
    if listed.has_hashes:
        query = f"{PERCEPTUAL_HASH.name} FROM images WHERE {PERCEPTUAL_HASH.name} IS NOT NULL"
        for rows, hashes in _batches(connection, query):
            entries = listed.of_hashes(hashes.to_numpy())
            found |= {rows[place]: entry for place, entry in entries.items()}
    connection.register("starts", pa.table({"start": listed.sha256_starts}))
    start = f"('0x' || substr({SHA256.name}, 1, 16))::UBIGINT"
    query = f"{SHA256.name} FROM images WHERE {start} IN (FROM starts)"
    for rows, hashes in _batches(connection, query):
        for row, sha256 in zip(rows, hashes.to_pylist(), strict=True):
            if entry := listed.of_sha256(sha256):
                found[row] = entry
    hosts = pa.array(_suspicious_hosts(connection, listed), pa.string())
    connection.register("suspicious", pa.table({"host": hosts}))
    for column in (FINAL_URL, URL):
        suspicious = f"{host_of(column.name)} IN (FROM suspicious)"
        query = f"{column.name} FROM images WHERE {suspicious}"
        for rows, urls in _batches(connection, query):
            for row, url in zip(rows, urls.to_pylist(), strict=True):
                if entry := listed.of_url(url):
                    found[row] = entry
    return dict(sorted(found.items()))


def _suspicious_hosts(connection: "DuckDBPyConnection", listed: Listed) -> list[str]:
    """Return the hosts, as URLs write them, that may be on the list; any odd one is."""
    query = " UNION ".join(
        f"SELECT {host_of(c.name)} AS host FROM images" for c in (URL, FINAL_URL)
    )
    odd = f"NOT regexp_full_match(host, '{USUAL_HOST}')"
    hosts = connection.execute(f"SELECT host, {odd} FROM ({query}) WHERE host IS NOT NULL")
    return [host for host, is_odd in hosts.fetchall() if is_odd or listed.suspicious(host)]


def _batches(
    connection: "DuckDBPyConnection", query: str
) -> Iterator[tuple[list[int], pa.ChunkedArray]]:
    """Yield rows and values of the one column that the rest of a `SELECT row, ` asks for."""
    for batch in connection.sql(f"SELECT {ROW.name}, {query}").to_arrow_reader(ROWS_AT_ONCE):
        table = pa.Table.from_batches([batch])
        yield table[0].to_pylist(), table[1]


def _write(found: dict[int, str], sink: Any) -> None:
    import pyarrow.parquet as pq

    schema = arrow_schema((ROW, BLOCKED))
    columns = [pa.array(found.keys(), ROW.type), pa.array(found.values(), BLOCKED.type)]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), sink, compression="zstd")
