"""What is known of the survivors of a selection before their images are read.

A record has the sample's key in the seeded order, where its image lies, its text and what else the
layout of the shards has of it. So the ledger is read once, whatever order samples are put in.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.checksums import STORED_AT
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.pipeline.samples import vectors
from pairsieve.pipeline.samples.durations import with_durations
from pairsieve.pipeline.samples.layout import ABOUT, MORE, MORE_FILES, Layout
from pairsieve.pipeline.samples.sample_tar import Bytes
from pairsieve.pipeline.samples.smaller import Smaller
from pairsieve.pipeline.shards.captions import Captions
from pairsieve.pipeline.shards.members import Members, rows_in
from pairsieve.pipeline.shards.split import Part
from pairsieve.schemas.columns import ROW, TEXT, UID, arrow_schema

ROWS_AT_ONCE = 10_000  # rows made into records together
HIGH, LOW = "key_high", "key_low"
SIZE = "size"  # of a sample in a shard, bytes
LOCATED = (ROW, UID, *STORED_AT)


@dataclass(frozen=True, slots=True)
class Content:
    """What samples hold, and by which seed they are put in order.

    Attributes:
        seed: The seed.
        layout: How they lie in a shard.
        captions: What is done to texts.
        durations: Types of the extra columns that are durations.
        part: Of which survivors they are; of all by default.
        members: The files of rows that are in shards already.
        smaller: Makes images smaller; None where they are as they are stored.
        vectors: Folder of the model whose vectors they have; None for none.
    """

    seed: int
    layout: Layout
    captions: Captions
    durations: Mapping[str, pa.DataType] = field(default_factory=dict)
    part: Part = Part()
    members: Members = ()
    smaller: Smaller | None = None
    vectors: str | None = None

    @property
    def record(self) -> pa.Schema:
        """Return the columns of a record."""
        return pa.schema(
            [
                *((name, pa.uint64()) for name in (HIGH, LOW)),
                *arrow_schema(LOCATED),
                (TEXT.name, pa.large_binary()),
                (ABOUT, self.layout.about_type),
                (SIZE, pa.int64()),
                (MORE, MORE_FILES),
            ]
        )

    def described(self, samples: pa.Table) -> pa.Array:
        """Return what samples say besides image and text, given their rows of the ledger."""
        samples = self.captions.masked(samples)
        return self.layout.describe(self.smaller.described(samples) if self.smaller else samples)

    def images(self, stored: Sequence[Bytes]) -> Sequence[Bytes]:
        """Return the images of samples as they are packed, (n,), given the stored ones."""
        return self.smaller.images(stored) if self.smaller else stored


def records(block: Block, content: Content) -> pa.Table:
    """Return the records of the survivors of a block, in no order."""
    tables = list(_read(block, content))
    return pa.concat_tables(tables).combine_chunks() if tables else content.record.empty_table()


def _read(block: Block, content: Content) -> Iterator[pa.Table]:
    hashed = f"md5({quoted(str(content.seed))} || ':' || uid)"
    keys = f"{_word(hashed, 1)} AS {HIGH}, {_word(hashed, 17)} AS {LOW}"
    known = vectors.read(block, content.vectors) if content.vectors else None
    with block.ledger(None) as connection:
        others = ""
        if content.members:
            rows = rows_in(block, content.members)
            connection.register("members", pa.table({ROW.name: rows}))
            others = " ANTI JOIN members USING (row)"
        query = f"SELECT {keys}, * FROM ledger{others} WHERE keep AND {content.part.where}"
        for batch in connection.sql(query).to_arrow_reader(ROWS_AT_ONCE):
            if batch.num_rows:
                yield _records(pa.Table.from_batches([batch]), content, known)


def _word(hashed: str, start: int) -> str:
    """Return the SQL of 64 bits of a hash as a number, from one of its hex digits on, from 1."""
    return f"('0x' || {hashed}[{start}:{start + 15}])::UBIGINT"


def _records(survivors: pa.Table, content: Content, known: vectors.Vectors | None) -> pa.Table:
    samples = with_durations(survivors.drop_columns([HIGH, LOW]), content.durations)
    more = content.captions.files(samples)
    if known:
        more = vectors.with_vectors(more, survivors[ROW.name].to_numpy(), known)
    table = survivors.select([HIGH, LOW, *(column.name for column in LOCATED)])
    table = table.append_column(TEXT.name, content.captions.trained_on(samples))
    table = table.append_column(ABOUT, content.described(samples)).append_column(MORE, more)
    table = table.append_column(SIZE, pa.array(content.layout.sizes(table)))
    return table.select(content.record.names).cast(content.record)


def seeded_order(samples: pa.Table) -> NDArray[np.int64]:
    """Return the indices of samples in the order of the MD5 of seed and uid, then of their rows."""
    return np.lexsort([samples[name].to_numpy() for name in (ROW.name, LOW, HIGH)])
