"""Superseded: images of earlier datasets that have a copy here, listed if the newer are kept."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.paths import SUPERSEDED
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import export
from pairsieve.schemas.columns import Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COLUMNS = (
    Column("known_in", pa.string(), "", "The earlier dataset or file of hashes.", False),
    Column("known_uid", pa.string(), "", "uid of its superseded image."),
    Column("uid", pa.string(), "", "uid of the pair here whose image is nearest to it.", False),
    Column("distance", pa.int32(), "bits", "Between their pHashes; 0 for the same file.", False),
)


def begin(connection: "DuckDBPyConnection") -> None:
    """Make the table to which `add` adds."""
    connection.execute(
        "CREATE TEMP TABLE superseded_images "
        "(known_in VARCHAR, known_uid VARCHAR, row BIGINT, distance BIGINT)"
    )


def add(
    connection: "DuckDBPyConnection",
    name: str,
    uids: pa.ChunkedArray,
    rows: NDArray[np.int64],
    bits: NDArray[np.int64],
) -> None:
    """Add what is superseded of one earlier dataset: uid, row of the nearest here, bits; (n,)."""
    names = pa.array([name]).take(pa.array(np.zeros(len(rows), np.int64)))
    table = pa.table({"known_in": names, "known_uid": uids, "row": rows, "distance": bits})
    connection.register("superseded_batch", table)
    connection.execute("INSERT INTO superseded_images FROM superseded_batch")
    connection.unregister("superseded_batch")


def end(connection: "DuckDBPyConnection", store: Store, newer: bool) -> None:
    """Write the list, or delete an older one if it is not wanted."""
    if not newer:
        store.delete([SUPERSEDED])
        return
    query = (
        "SELECT known_in, known_uid, uid, distance FROM superseded_images JOIN images USING (row) "
        "ORDER BY known_in, known_uid, uid"
    )
    with store.writer(SUPERSEDED) as sink:
        export(connection, query, sink, COLUMNS)
