"""Superseded: images of earlier datasets that have a copy here, listed if the newer are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import SUPERSEDED, marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import connect, export
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.schemas.columns import Column

COLUMNS = (
    Column("known_in", pa.string(), "", "The earlier dataset or file of hashes.", False),
    Column("known_uid", pa.string(), "", "uid of its superseded image."),
    Column("uid", pa.string(), "", "uid of the pair here whose image is nearest to it.", False),
    Column("distance", pa.int32(), "bits", "Between their pHashes; 0 for the same file.", False),
)
# What is found of some images here: the columns; which file of hashes it was and which row of it;
# the row here, and how near that is, the least is nearest.
FOUND = pa.schema(
    [
        *((column.name, column.type) for column in COLUMNS),
        *((name, pa.int64()) for name in ("file", "earlier", "row", "rank")),
    ]
)


@dataclass(frozen=True, slots=True)
class List:
    """The list that a task makes of what others have found, which may name an image twice."""

    store: Store
    folder: str
    found: Sequence[str]
    threads: int | None

    def write(self, number: int) -> Marker:
        """Write the list, of each image the nearest here alone, and commit."""
        files = ", ".join(quoted(self.store.location(file)) for file in self.found)
        names = ", ".join(column.name for column in COLUMNS)
        query = (
            f"SELECT {names} FROM (FROM read_parquet([{files}]) "
            "QUALIFY row_number() OVER (PARTITION BY file, earlier ORDER BY rank, row) = 1) "
            "ORDER BY known_in, known_uid, uid, distance"
        )
        with (
            connect(self.store, threads=self.threads) as connection,
            self.store.writer(SUPERSEDED) as sink,
        ):
            export(connection, query, sink, COLUMNS)
        path = marker_path(self.folder, task_name(number))
        return commit(self.store, path, Marker(0, {}))
