"""What is known of the survivors of a selection before their images are read.

A record has the sample's key in the seeded order, where its image lies, its text and its JSON. So
the ledger is read once, whatever order the samples are put in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.checksums import STORED_AT
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.pipeline.shards.captions import Captions
from pairsieve.pipeline.shards.durations import with_durations
from pairsieve.pipeline.shards.members import Members, rows_in
from pairsieve.pipeline.shards.sample_json import sample_jsons
from pairsieve.pipeline.shards.sample_tar import sample_bytes
from pairsieve.pipeline.shards.split import Part
from pairsieve.schemas.columns import (
    IMAGE_BYTES,
    ROW,
    TEXT,
    UID,
    Column,
    arrow_schema,
)

ROWS_AT_ONCE = 10_000  # rows made into records together
HIGH, LOW, JSON = "key_high", "key_low", "json"
SIZE = "size"  # of a sample in a tar, bytes
MORE = "more"  # further files of a sample: suffix and content
LOCATED = (ROW, UID, *STORED_AT)
RECORD = pa.schema(
    [
        *((name, pa.uint64()) for name in (HIGH, LOW)),
        *arrow_schema(LOCATED),
        (TEXT.name, pa.large_binary()),
        (JSON, pa.large_binary()),
        (SIZE, pa.int64()),
        (MORE, pa.map_(pa.string(), pa.large_binary())),
    ]
)


@dataclass(frozen=True, slots=True)
class Content:
    """What samples hold, and by which seed they are put in order.

    Attributes:
        seed: The seed.
        format: Of the stored images; the suffix of their names.
        columns: pairsieve's own columns, of which the JSON has those that belong there.
        shown: Names of those that the JSON has besides uid and text; None for all.
        captions: What is done to texts.
        durations: Types of the extra columns that are durations.
        part: Of which survivors they are; of all by default.
        members: The files of rows that are in shards already.
    """

    seed: int
    format: str
    columns: tuple[Column, ...]
    captions: Captions
    shown: frozenset[str] | None = None
    durations: Mapping[str, pa.DataType] = field(default_factory=dict)
    part: Part = Part()
    members: Members = ()

    def of_json(self, samples: pa.Table) -> pa.Table:
        """Return samples with the columns that their JSON has."""
        if self.shown is None:
            return samples
        kept = {UID.name, TEXT.name, *self.shown}
        return samples.select([name for name in samples.column_names if name in kept])


def records(block: Block, content: Content) -> pa.Table:
    """Return the records of the survivors of a block, in no order."""
    tables = list(_read(block, content))
    return pa.concat_tables(tables).combine_chunks() if tables else RECORD.empty_table()


def _read(block: Block, content: Content) -> Iterator[pa.Table]:
    hashed = f"md5({quoted(str(content.seed))} || ':' || uid)"
    keys = f"{_word(hashed, 1)} AS {HIGH}, {_word(hashed, 17)} AS {LOW}"
    with block.ledger(None) as connection:
        others = ""
        if content.members:
            rows = rows_in(block, content.members)
            connection.register("members", pa.table({ROW.name: rows}))
            others = " ANTI JOIN members USING (row)"
        query = f"SELECT {keys}, * FROM ledger{others} WHERE keep AND {content.part.where}"
        for batch in connection.sql(query).to_arrow_reader(ROWS_AT_ONCE):
            if batch.num_rows:
                yield _records(pa.Table.from_batches([batch]), content)


def _word(hashed: str, start: int) -> str:
    """Return the SQL of 64 bits of a hash as a number, from one of its hex digits on, from 1."""
    return f"('0x' || {hashed}[{start}:{start + 15}])::UBIGINT"


def _records(survivors: pa.Table, content: Content) -> pa.Table:
    samples = with_durations(survivors.drop_columns([HIGH, LOW]), content.durations)
    jsons = sample_jsons(content.of_json(content.captions.masked(samples)), content.columns)
    texts = content.captions.trained_on(samples)
    table = survivors.select([HIGH, LOW, *(column.name for column in LOCATED)])
    table = table.append_column(TEXT.name, texts)
    table = table.append_column(JSON, jsons)
    more = content.captions.files(samples)
    table = table.append_column(SIZE, pa.array(_sizes(table, more)))
    return table.append_column(MORE, more).cast(RECORD)


def seeded_order(samples: pa.Table) -> NDArray[np.int64]:
    """Return the indices of samples in the order of the MD5 of seed and uid, then of their rows."""
    return np.lexsort([samples[name].to_numpy() for name in (ROW.name, LOW, HIGH)])


def _sizes(table: pa.Table, more: pa.Array) -> NDArray[np.int64]:
    """Return how many bytes the sample of each record has in a tar, (n,)."""
    lengths = (
        table[IMAGE_BYTES.name],
        pa.compute.binary_length(table[TEXT.name]),
        pa.compute.binary_length(table[JSON]),
    )
    columns = [np.asarray(each.to_numpy(), np.int64) for each in lengths]
    sizes = np.asarray(sample_bytes(*columns), np.int64)
    if more.null_count < len(more):
        files = (sample_bytes(*(len(body) for _, body in one or ())) for one in more.to_pylist())
        sizes = sizes + np.fromiter(files, np.int64, len(more))
    return sizes
