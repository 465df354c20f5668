"""The work on one shard of the whole pool: its samples in order, their images from everywhere."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.samples.layout import SampleWriter
from pairsieve.pipeline.shards.images import scattered
from pairsieve.pipeline.shards.pool_order import Slice, read
from pairsieve.pipeline.shards.records import Content
from pairsieve.pipeline.shards.shard_parts import Samples, ShardsOf
from pairsieve.schemas.columns import ROW, UID

SAMPLES_AT_ONCE = 256  # samples whose images are read together


@dataclass(frozen=True, slots=True)
class Packer:
    """Makes shards of the whole pool.

    Attributes:
        store: The dataset.
        shards: Which shards.
        content: What samples hold.
    """

    store: Store
    shards: ShardsOf
    content: Content

    def __call__(self, item: tuple[int, list[Slice]]) -> Marker:
        """Make a shard, given its number and samples, and commit it."""
        shard, parts = item
        with (
            self.store.writer(self.shards.file(shard)) as sink,
            self.content.layout.writing(sink) as writer,
        ):
            samples = self._write(read(self.store, parts), writer)
        return self.shards.commit(self.store, shard, sink.entry(), samples)

    def _write(self, tables: Iterable[pa.Table], writer: SampleWriter) -> Samples:
        """Write the samples of a shard; return them and where each begins."""
        rows: list[int] = []
        uids: list[str] = []
        offsets: list[int] = []
        for table in tables:
            for first in range(0, table.num_rows, SAMPLES_AT_ONCE):
                some = table.slice(first, SAMPLES_AT_ONCE)
                rows += some[ROW.name].to_pylist()
                uids += some[UID.name].to_pylist()
                offsets += writer.write(some, self.content.images(scattered(self.store, some)))
        return Samples(rows, uids, offsets)
