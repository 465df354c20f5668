"""What the blocklist said of pairs: their rows leave."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.removal.replacement import Replacement
from pairsieve.pipeline.removal.rows import read_rows
from pairsieve.schemas.columns import ROW


@dataclass(frozen=True, slots=True)
class BlockedTask:
    """Prepares what was looked up in the blocklist without the pairs.

    Attributes:
        store: The dataset.
        folder: Of the round.
    """

    store: Store
    folder: str

    def __call__(self, item: tuple[int, str, dict[str, Any], tuple[str, ...]]) -> Marker:
        """Prepare one file, given with the files of the rows that leave it, and commit it."""
        number, name, entry, found = item
        table = pq.read_table(checksums.read(self.store, name, entry))
        gone = np.isin(table[ROW.name].to_numpy(), read_rows(self.store, found))
        new = Replacement(int(gone.sum()))
        if gone.any():
            path = content(name.rpartition("/")[0], task_name(number), ".parquet")
            with self.store.writer(path) as sink:
                pq.write_table(table.filter(pa.array(~gone)), sink, compression="zstd")
            new.succeed(name, entry, path, sink.entry())
        return new.commit(self.store, self.folder, number)
