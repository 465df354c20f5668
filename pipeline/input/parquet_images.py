"""Images in a column of Parquet files: bytes, or the struct `{bytes, path}` of Hugging Face.

The bytes are read only while images are gathered, a batch of a row group at a time, and in memory
are the pages that hold it (Measured: of a row group of 600 MB, 500 MB where pyarrow's writer made
pages of 100 MB; 900 MB were the row group buffered whole). Whatever else reads the file leaves them
out. What the struct holds beside them becomes extra columns, such as
`image.path`.

Source: https://huggingface.co/docs/datasets/image_dataset, feature `Image`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pairsieve.pipeline.input.column_types import is_bytes
from pairsieve.pipeline.input.files import open_file
from pairsieve.schemas.errors import BadOption, Stopped, nearest

BYTES = "bytes"  # field of the struct
BATCH_BYTES = 16 << 20  # of images decoded together, by their mean in the row group
BATCH_ROWS = 256  # at most
PAGE_BUFFER = 1 << 20  # bytes read at once


def check_column(schema: pa.Schema, location: str, name: str) -> None:
    """Refuse a column that holds no images; `schema` is the file's own.

    Raises:
        BadOption: it is not there, not unique, or holds something else.
    """
    count = schema.names.count(name)
    if count == 0:
        raise BadOption(
            f"input.image: {location} has no column `{name}`; {nearest(name, schema.names)}"
        )
    if count > 1:
        raise BadOption(f"input.image: {location} has the column `{name}` {count} times")
    type = schema.field(name).type
    if not holds_images(type):
        raise BadOption(
            f"input.image: column `{name}` of {location} is {type}, neither bytes nor a struct "
            "with the field `bytes`"
        )


def holds_images(type: pa.DataType) -> bool:
    """Return whether a column of this type can hold images."""
    type = _storage(type)
    if not pa.types.is_struct(type):
        return is_bytes(type)
    names = [field.name for field in type]
    return names.count(BYTES) == 1 and is_bytes(_storage(type.field(BYTES).type))


def without_bytes(schema: pa.Schema, name: str) -> pa.Schema:
    """Return the schema of a file whose column of images holds no bytes; gone if it is empty."""
    fields = []
    for other in dict.fromkeys(
        schema.names
    ):  # columns of one name stand together, as they are read
        for index in schema.get_all_field_indices(other):
            field = schema.field(index)
            if other != name:
                fields.append(field)
            elif rest := _beside_bytes(field.type):
                fields.append(field.with_type(pa.struct(rest)))
    return pa.schema(fields)


def leaves(schema: pa.Schema, name: str) -> list[str]:
    """Return the paths of all columns of a file but the images' bytes, as a reader takes them."""
    paths: list[str] = []
    for other in dict.fromkeys(schema.names):
        parts = _beside_bytes(schema.field(name).type) if other == name else None
        paths += [other] if parts is None else [f"{name}.{part.name}" for part in parts]
    return paths


def flat_schema(schema: pa.Schema, name: str) -> pa.Schema:
    """Return what `without_bytes` gives with the fields of the struct as columns."""
    fields: list[pa.Field] = []
    for field in without_bytes(schema, name):
        parts = _beside_bytes(field.type) if field.name == name else None
        fields += (
            [field] if parts is None else [part.with_name(f"{name}.{part.name}") for part in parts]
        )
    return pa.schema(fields)


def flat(table: pa.Table, name: str) -> pa.Table:
    """Return a table with the fields of the images' struct as columns."""
    columns: list[pa.ChunkedArray] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        columns += column.flatten() if field.name == name else [column]
    return pa.Table.from_arrays(columns, schema=flat_schema(table.schema, name))


def images(location: str, rows: Sequence[int], name: str) -> Iterator[pa.Buffer | None]:
    """Yield the bytes of the images of `rows`, None where there are none.

    Row groups that hold none of the rows are not read.

    Args:
        location: Full path or URL.
        rows: Rows of the file, from 0, in ascending order.
        name: The column.

    Raises:
        Stopped: the file is gone or broken.
    """
    import pyarrow.parquet as pq

    try:
        with (
            open_file(location) as file,
            pq.ParquetFile(file, buffer_size=PAGE_BUFFER, pre_buffer=False) as parquet,
        ):
            yield from _images(parquet, rows, name)
    except FileNotFoundError as error:
        raise Stopped(f"{location}: was there when the input was planned and is gone") from error
    except (OSError, pa.ArrowException) as error:
        raise Stopped(f"{location}: cannot be read: {error}; mend it or start anew") from error


def _images(parquet: Any, rows: Sequence[int], name: str) -> Iterator[pa.Buffer | None]:
    struct = pa.types.is_struct(_storage(parquet.schema_arrow.field(name).type))
    path = f"{name}.{BYTES}" if struct else name
    start = done = 0
    for group in range(parquet.metadata.num_row_groups):
        metadata = parquet.metadata.row_group(group)
        end = start + metadata.num_rows
        wanted = done
        while wanted < len(rows) and rows[wanted] < end:
            wanted += 1
        if wanted > done:
            batches = parquet.iter_batches(
                _batch_rows(metadata, path), row_groups=[group], columns=[path], use_threads=False
            )
            yield from _of_group(batches, [row - start for row in rows[done:wanted]], struct)
        start, done = end, wanted


def _batch_rows(group: Any, path: str) -> int:
    """Return how many rows of a row group are decoded together."""
    chunks = (group.column(index) for index in range(group.num_columns))
    size = int(next(c.total_uncompressed_size for c in chunks if c.path_in_schema == path))
    rows = int(group.num_rows)
    return max(1, min(BATCH_ROWS, BATCH_BYTES * rows // max(1, size)))


def _of_group(batches: Any, rows: list[int], struct: bool) -> Iterator[pa.Buffer | None]:
    """Yield the images of rows of one row group, and read no further than the last."""
    start = done = 0
    for batch in batches:
        column = _storage_array(batch.column(0))
        if struct:
            column = _storage_array(pc.struct_field(column, BYTES))
        while done < len(rows) and rows[done] < start + len(column):
            yield column[rows[done] - start].as_buffer()
            done += 1
        start += len(column)
        if done == len(rows):
            return


def _beside_bytes(type: pa.DataType) -> list[pa.Field]:
    type = _storage(type)
    return [field for field in type if field.name != BYTES] if pa.types.is_struct(type) else []


def _storage(type: pa.DataType) -> pa.DataType:
    """Return the type that holds the values: of an extension's storage, a dictionary's values."""
    if isinstance(type, pa.BaseExtensionType):
        return _storage(type.storage_type)
    return _storage(type.value_type) if pa.types.is_dictionary(type) else type


def _storage_array(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _storage_array(array.storage)
    if pa.types.is_dictionary(array.type):
        return _storage_array(array.dictionary_decode())
    return array
