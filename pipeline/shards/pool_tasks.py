"""The work on one shard of the whole pool: its samples in order, their images from everywhere."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.shards.images import scattered
from pairsieve.pipeline.shards.pool_order import Slice, read
from pairsieve.pipeline.shards.records import JSON, MORE, Content
from pairsieve.pipeline.shards.sample_tar import sample_parts, tar_bytes
from pairsieve.pipeline.shards.shard_parts import Samples, ShardsOf
from pairsieve.schemas.columns import ROW, TEXT, UID

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
        with self.store.writer(self.shards.tar(shard)) as tar:
            samples = self._write(read(self.store, parts), tar)
            tar.write(bytes(tar_bytes(tar.size) - tar.size))
        return self.shards.commit(self.store, shard, tar.entry(), samples)

    def _write(self, tables: Iterable[pa.Table], tar: HashingWriter) -> Samples:
        """Write the samples to a tar; return them and where each begins."""
        rows: list[int] = []
        uids: list[str] = []
        offsets: list[int] = []
        for table in tables:
            for first in range(0, table.num_rows, SAMPLES_AT_ONCE):
                some = table.slice(first, SAMPLES_AT_ONCE)
                rows += some[ROW.name].to_pylist()
                uids += some[UID.name].to_pylist()
                offsets += self._write_some(some, tar)
        return Samples(rows, uids, offsets)

    def _write_some(self, samples: pa.Table, tar: HashingWriter) -> list[int]:
        columns = (samples[name].to_pylist() for name in (UID.name, TEXT.name, JSON, MORE))
        images = scattered(self.store, samples)
        offsets = []
        for image, uid, text, json, more in zip(images, *columns, strict=True):
            offsets.append(tar.size)
            files = (self.content.format, image), text, json, more or ()
            tar.write(b"".join(sample_parts(uid, *files)))
        return offsets
