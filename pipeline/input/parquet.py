"""Parquet files as input: what their footers tell, and rows of them without reading the rest.

The columns come out plain: dictionaries and extension types decoded, and text that is not UTF-8
escaped with backslashes (Arrow's Parquet reader does not check it, everything after does). A URL or
text that is not UTF-8 is none, as in text files.
"""

from typing import Any, BinaryIO

import pyarrow as pa

from pairsieve.pipeline.input import parquet_images
from pairsieve.pipeline.input.column_types import cast_what_fits, in_microseconds
from pairsieve.pipeline.input.files import InputFile, open_file
from pairsieve.pipeline.input.reader import BadFile, Reader, Rows
from pairsieve.schemas.errors import Stopped

BATCH_ROWS = 1024  # decoded together; bounds what is read beyond the rows that are needed
COLUMN_BUFFER = 4 << 20  # bytes read at once of each column


def footer(file: InputFile, image: str | None = None) -> tuple[int, pa.Schema]:
    """Return the number of rows, and the schema with plain types and distinct names.

    Of the column `image`, if it is given, what it holds beside the bytes.

    Raises:
        BadFile: it is not a readable Parquet file.
        BadOption: the column `image` holds no images.
    """
    import pyarrow.parquet as pq

    try:
        with open_file(file.location) as stream:
            metadata = pq.read_metadata(stream)
            schema = metadata.schema.to_arrow_schema()
    except (OSError, pa.ArrowException) as error:
        raise BadFile(f"{file.location}: not a readable Parquet file: {error}") from error
    if image is not None:
        parquet_images.check_column(schema, file.location, image)
        schema = parquet_images.flat_schema(schema, image)
    names = distinct(schema.names)
    fields = [
        pa.field(name, plain_type(type)) for name, type in zip(names, schema.types, strict=True)
    ]
    return metadata.num_rows, pa.schema(fields)


def read(location: str, first: int, rows: int, total: int, image: str | None = None) -> pa.Table:
    """Return `rows` rows from row `first` on, reading only the row groups they lie in.

    Args:
        location: Full path or URL.
        first: First row, from 0.
        rows: How many; the file has them.
        total: Rows that the file had when it was planned.
        image: The column of images, whose bytes are not read.

    Raises:
        Stopped: the file is gone, broken, or has another number of rows now.
    """
    try:
        with open_file(location) as file:
            table = _read(file, location, (first, rows), total, image)
    except FileNotFoundError as error:
        raise Stopped(f"{location}: was there when the input was planned and is gone") from error
    except (OSError, pa.ArrowException) as error:
        raise Stopped(f"{location}: cannot be read: {error}; mend it or start anew") from error
    if image is not None:
        table = parquet_images.flat(table, image)
    return table.rename_columns(distinct(table.column_names))


def plain_type(type: pa.DataType) -> pa.DataType:
    """Return the type of what `plain` makes of a column of that type."""
    if pa.types.is_dictionary(type):
        return plain_type(type.value_type)
    if isinstance(type, pa.BaseExtensionType):
        return plain_type(type.storage_type)
    if is_text(type):
        return pa.string()
    if pa.types.is_large_binary(type) or pa.types.is_binary_view(type):
        return pa.binary()
    return type


def is_text(type: pa.DataType) -> bool:
    """Return True for the types of text."""
    types = pa.types
    return bool(types.is_string(type) or types.is_large_string(type) or types.is_string_view(type))


def plain(column: pa.ChunkedArray, type: pa.DataType) -> pa.ChunkedArray:
    """Return `column` as `type`: its plain type, or a wider one."""
    return pa.chunked_array([_plain(chunk, type) for chunk in column.chunks], type=type)


def texts(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """Return URLs or texts, null where one is not UTF-8; and those, escaped, by row."""
    wrong: dict[int, str] = {}
    chunks, start = [], 0
    for chunk in column.chunks:
        chunks.append(_texts(chunk, wrong, start))
        start += len(chunk)
    return pa.chunked_array(chunks, pa.string()), wrong


def _texts(array: pa.Array, wrong: dict[int, str], start: int) -> pa.Array:
    """Return one chunk, whose first row is `start`, and note in `wrong` what is not UTF-8."""
    if isinstance(array, pa.ExtensionArray):
        return _texts(array.storage, wrong, start)
    if pa.types.is_dictionary(array.type):
        return _texts(array.dictionary_decode(), wrong, start)
    try:
        found = array.cast(pa.string())
        found.validate(full=True)
    except pa.ArrowInvalid:
        values: list[str | None] = []
        for row, value in enumerate(array.cast(pa.large_binary()).to_pylist(), start):
            values.append(utf8(value))
            if value is not None and values[-1] is None:
                wrong[row] = value.decode("utf-8", "backslashreplace")
        return pa.array(values, pa.string())
    return found


def utf8(value: bytes | None) -> str | None:
    """Return bytes as text; None where they are not UTF-8."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def distinct(names: list[str]) -> list[str]:
    """Return `names` with `_2`, `_3` ... behind those that stood there before."""
    taken: set[str] = set(names)
    seen: set[str] = set()
    unique_names = []
    for name in names:
        unique, count = name, 1
        while unique in seen or (count > 1 and unique in taken):
            count += 1
            unique = f"{name}_{count}"
        seen.add(unique)
        unique_names.append(unique)
    return unique_names


def _read(
    file: BinaryIO, location: str, span: tuple[int, int], total: int, image: str | None
) -> pa.Table:
    """Return the rows of `span`, (first, count), of an open file."""
    import pyarrow.parquet as pq

    first, rows = span
    with pq.ParquetFile(file, buffer_size=COLUMN_BUFFER, pre_buffer=False) as parquet:
        if parquet.metadata.num_rows != total:
            raise Stopped(
                f"{location}: had {total} rows when it was planned, has "
                f"{parquet.metadata.num_rows} now; put the old file back"
            )
        groups, skip = _groups(parquet.metadata, first, rows)
        schema, columns = parquet.schema_arrow, None
        if image is not None:
            columns = parquet_images.leaves(schema, image)
            schema = parquet_images.without_bytes(schema, image)
        batches = parquet.iter_batches(
            BATCH_ROWS, row_groups=groups, columns=columns, use_threads=False
        )
        return pa.Table.from_batches(_slices(batches, skip, rows), schema=schema)


def _groups(metadata: Any, first: int, rows: int) -> tuple[list[int], int]:
    """Return the row groups that hold the rows, and how many rows of the first to skip."""
    groups: list[int] = []
    skip = start = 0
    for group in range(metadata.num_row_groups):
        end = start + metadata.row_group(group).num_rows
        if start < first + rows and end > first:
            skip = skip if groups else first - start
            groups.append(group)
        start = end
    return groups, skip


def _slices(batches: Any, skip: int, rows: int) -> list[pa.RecordBatch]:
    """Return `rows` rows after the first `skip`, and read no further."""
    parts: list[pa.RecordBatch] = []
    for batch in batches if rows else ():
        part = batch.slice(skip, rows)
        skip = max(0, skip - batch.num_rows)
        rows -= part.num_rows
        if part.num_rows:
            parts.append(part)
        if not rows:
            break
    return parts


def _plain(array: pa.Array, type: pa.DataType) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage, type)
    if pa.types.is_dictionary(array.type):
        return _plain(array.dictionary_decode(), type)
    try:
        plain_array = array.cast(type)
        plain_array.validate(full=True)
    except pa.ArrowInvalid:
        if in_microseconds(array.type) != array.type:
            return cast_what_fits(array, type)
        raw = array.cast(_bytes_type(array.type))
        return pa.array([_escaped(value, type) for value in raw.to_pylist()], type)
    return plain_array


def _bytes_type(type: pa.DataType) -> pa.DataType:
    """Return `type` with binary wherever it has text."""
    if is_text(type):
        return pa.large_binary()
    if pa.types.is_map(type):
        return pa.map_(_bytes_type(type.key_type), _bytes_type(type.item_type))
    if pa.types.is_list(type) or pa.types.is_large_list(type):
        return pa.large_list(_bytes_type(type.value_type))
    if pa.types.is_struct(type):
        return pa.struct([(field.name, _bytes_type(field.type)) for field in type])
    return type


def _escaped(value: Any, type: pa.DataType) -> Any:
    """Return `value` with text instead of bytes where `type` has text."""
    if isinstance(value, bytes) and is_text(type):
        return value.decode("utf-8", "backslashreplace")
    if value is None or not pa.types.is_nested(type):
        return value
    if pa.types.is_struct(type):
        return {field.name: _escaped(value[field.name], field.type) for field in type}
    if pa.types.is_map(type):
        types = type.key_type, type.item_type
        return [tuple(map(_escaped, pair, types)) for pair in value]
    return [_escaped(each, type.value_type) for each in value]


PARQUET = Reader("parquet", (".parquet", ".pq"), Rows(footer, read, parquet_images.images))
