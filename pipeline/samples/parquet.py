"""Samples as Parquet, as Hugging Face's `datasets` reads it: a row each, the image a struct.

`image` has the bytes and a name, which `datasets` decodes when the schema says that it is an image.
What the ledger knows of a sample are columns with their own types. Row groups have the same rows
whatever the batches in which samples come, so the bytes of a shard depend on its samples alone.

Source: `datasets.Features.from_arrow_schema` for the key `huggingface` of the schema; the format of
`image` is that of `datasets.Image`.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.samples.layout import ABOUT, MORE, VECTOR
from pairsieve.pipeline.samples.sample_tar import Bytes
from pairsieve.schemas.columns import CAPTIONS, IMAGE_BYTES, IMAGE_EMBEDDING, TEXT, UID

SUFFIX = ".parquet"
GROUP_ROWS = 128  # of a row group: with images of 90 kB some 12 MB
IMAGE, ORIGINAL = "image", "original_text"
IMAGE_BODY = f"{IMAGE}.bytes"
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
WAITING_TYPE = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])  # over 2 GiB, too
FEATURES = json.dumps({"info": {"features": {IMAGE: {"_type": "Image"}}}})
FURTHER = {  # columns made of further files of a sample
    CAPTIONS.name: pa.list_(pa.string()),
    IMAGE_EMBEDDING.name: pa.list_(pa.float16()),
}


@dataclass(frozen=True, slots=True)
class ParquetLayout:
    """A row per sample: image, text, and what the ledger knows, a column each.

    Attributes:
        format: Of the images; the suffix of their names.
        fields: The columns besides image and text, `ORIGINAL` and those of `FURTHER` included.
    """

    suffix: ClassVar[str] = SUFFIX
    format: str
    fields: tuple[pa.Field, ...]

    @property
    def about_type(self) -> pa.DataType:
        """Return a struct of the columns that the ledger has."""
        return pa.struct([field for field in self.fields if field.name not in FURTHER])

    @property
    def schema(self) -> pa.Schema:
        """Return the columns of a shard."""
        first = [pa.field(IMAGE, IMAGE_TYPE), pa.field(TEXT.name, pa.string())]
        return pa.schema([*first, *self.fields], {"huggingface": FEATURES})

    def describe(self, samples: pa.Table) -> pa.Array:
        """Return the columns of each sample as a struct; null where the ledger has no column."""
        arrays = []
        for field in self.about_type.fields:
            name = TEXT.name if field.name == ORIGINAL else field.name
            there = name in samples.column_names
            column = samples[name].combine_chunks() if there else pa.nulls(len(samples))
            arrays.append(column.cast(field.type))
        return pa.StructArray.from_arrays(arrays, fields=[*self.about_type.fields])

    def sizes(self, records: pa.Table) -> NDArray[np.int64]:
        """Return how many bytes image and text of each sample have, (n,)."""
        sizes: NDArray[np.int64] = (
            records[IMAGE_BYTES.name].to_numpy() + pc.binary_length(records[TEXT.name]).to_numpy()
        )
        return sizes

    @contextmanager
    def writing(self, sink: HashingWriter) -> Iterator["ParquetWriter"]:
        """Give what writes a Parquet file, and end it."""
        with opened(sink, self.schema) as written:
            writer = ParquetWriter(written, self)
            yield writer
            writer.flush()


class ParquetWriter:
    """Writes samples to a Parquet file, row group by row group."""

    def __init__(self, written: pq.ParquetWriter, layout: ParquetLayout) -> None:
        """Write samples of this layout."""
        self._written, self._layout = written, layout
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, records: pa.Table, images: Sequence[Bytes]) -> list[int]:
        """Write some samples; return the row of each."""
        first = self._rows
        self._waiting.append(self._table(records, images))
        self._rows += len(records)
        whole = pa.concat_tables(self._waiting)
        while len(whole) >= GROUP_ROWS:
            self._write_group(whole[:GROUP_ROWS])
            whole = whole[GROUP_ROWS:]
        self._waiting = [whole]
        return list(range(first, self._rows))

    def flush(self) -> None:
        """Write what is left."""
        if self._waiting and len(rest := pa.concat_tables(self._waiting)):
            self._write_group(rest)

    def _write_group(self, rows: pa.Table) -> None:
        self._written.write_table(rows.combine_chunks().cast(self._layout.schema))

    def _table(self, records: pa.Table, images: Sequence[Bytes]) -> pa.Table:
        """Return some samples as rows of the file."""
        names = [f"{uid}.{self._layout.format}" for uid in records[UID.name].to_pylist()]
        bodies = pa.array([bytes(image) for image in images], pa.large_binary())
        about = records[ABOUT].combine_chunks()
        columns: dict[str, Any] = {
            IMAGE: pa.StructArray.from_arrays([bodies, pa.array(names)], fields=[*WAITING_TYPE]),
            TEXT.name: records[TEXT.name].cast(pa.large_string()),
        }
        files = [dict(one or ()) for one in records[MORE].to_pylist()]
        for field in self._layout.fields:
            if field.name in FURTHER:
                columns[field.name] = pa.array(
                    [_further(field.name, one) for one in files], field.type
                )
            else:
                columns[field.name] = about.field(field.name)
        return pa.table(columns)


def _further(column: str, files: Mapping[str, bytes]) -> Any:
    """Return the value of a column that is made of further files of a sample."""
    if column == CAPTIONS.name:
        return [body.decode() for suffix, body in files.items() if suffix != VECTOR]
    return np.load(io.BytesIO(files[VECTOR])) if VECTOR in files else None


@contextmanager
def opened(sink: Any, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Give what writes row groups of samples; images are neither compressed nor summed up."""
    leaves = [path for path in _leaves(schema) if path != IMAGE_BODY]
    with pq.ParquetWriter(
        sink,
        schema,
        compression=dict.fromkeys(leaves, "zstd"),
        use_dictionary=leaves,
        write_statistics=leaves,
        write_page_checksum=True,
    ) as writer:
        yield writer


def _leaves(schema: pa.Schema) -> list[str]:
    """Return the paths of the columns as Parquet counts them."""
    empty = io.BytesIO()
    pq.write_table(schema.empty_table(), empty)
    parquet = pq.ParquetFile(empty).schema
    return [parquet.column(index).path for index in range(len(parquet))]


def plain(type: pa.DataType) -> pa.DataType:
    """Return the type that `datasets` has for one of Arrow's: maps are lists of key and value."""
    types = pa.types
    if types.is_map(type):
        return pa.list_(
            pa.struct([("key", plain(type.key_type)), ("value", plain(type.item_type))])
        )
    if types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type):
        return pa.list_(plain(type.value_type))
    if types.is_struct(type):
        return pa.struct([(field.name, plain(field.type)) for field in type.fields])
    return plain(type.value_type) if types.is_dictionary(type) else type
