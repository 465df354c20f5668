"""Superseded: images of earlier datasets that have a copy here, listed if the newer are kept."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Found:
    """Superseded images of one earlier dataset, (n,) each.

    Attributes:
        uids: Theirs.
        earlier: Their rows in the hash export.
        rows: Of the image here that is nearest to each, of those that were looked at.
        ranks: How near; the least is nearest.
        bits: Between the pHashes.
    """

    uids: pa.ChunkedArray
    earlier: NDArray[np.int64]
    rows: NDArray[np.int64]
    ranks: NDArray[np.int64]
    bits: NDArray[np.int64]


def begin(connection: "DuckDBPyConnection") -> None:
    """Make the table to which `add` adds."""
    connection.execute(
        "CREATE TEMP TABLE superseded_images (known_in VARCHAR, known_uid VARCHAR, earlier BIGINT, "
        "row BIGINT, rank BIGINT, distance BIGINT)"
    )


def add(connection: "DuckDBPyConnection", name: str, found: Found) -> None:
    """Add what is superseded of one earlier dataset; the same may be added again, of other rows."""
    names = pa.array([name]).take(pa.array(np.zeros(len(found.rows), np.int64)))
    table = pa.table(
        {
            "known_in": names,
            "known_uid": found.uids,
            "earlier": found.earlier,
            "row": found.rows,
            "rank": found.ranks,
            "distance": found.bits,
        }
    )
    connection.register("superseded_batch", table)
    connection.execute("INSERT INTO superseded_images FROM superseded_batch")
    connection.unregister("superseded_batch")


def end(connection: "DuckDBPyConnection", store: Store, newer: bool) -> None:
    """Write the list, or delete an older one if it is not wanted."""
    if not newer:
        store.delete([SUPERSEDED])
        return
    query = (
        "SELECT known_in, known_uid, uid, distance FROM (FROM superseded_images "
        "QUALIFY row_number() OVER (PARTITION BY known_in, earlier ORDER BY rank, row) = 1) "
        "JOIN images USING (row) ORDER BY known_in, known_uid, uid"
    )
    with store.writer(SUPERSEDED) as sink:
        export(connection, query, sink, COLUMNS)
