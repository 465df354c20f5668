"""The JSON of samples: the columns that belong there, and the extra columns of the input.

It is written column by column, by Arrow where its text is Python's: a dictionary per sample and
`json.dumps` cost five times as much as copying the sample's image.
"""

import json
import math
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pairsieve.pipeline.input.column_types import finite, without_times
from pairsieve.pipeline.samples.durations import durations_as_text
from pairsieve.schemas.columns import Column

ESCAPED = r'["\\\x00-\x1f]'  # what a JSON string cannot have as it is
TEXT = pa.large_string()


def sample_jsons(samples: pa.Table, columns: Iterable[Column]) -> pa.LargeBinaryArray:
    """Return the JSON of each sample: those of `columns` that belong there, and the extra columns.

    What is not among `columns`, pairsieve's own, is an extra column of the input. Missing values
    are left out. NaN and the infinities are null, because JSON (RFC 8259) has no word for them.
    """
    own = {column.name: column for column in columns}
    shown = sorted(name for name in samples.column_names if name not in own or own[name].in_sample)
    table = without_times(durations_as_text(samples.select(shown)))
    members = [
        _joined(f"{encode_basestring(name)}: ", _texts(values, own=name in own), "")
        for name, column in zip(table.column_names, table.columns, strict=True)
        if (values := column.combine_chunks()).null_count < len(values)
    ]
    if not members:
        return pa.array([b"{}"] * samples.num_rows, pa.large_binary())
    inside = pc.binary_join_element_wise(*members, pa.scalar(", ", TEXT), null_handling="skip")
    return _joined("{", inside, "}").cast(pa.large_binary())


def _joined(before: str, texts: pa.Array, after: str) -> pa.Array:
    """Return the texts between two others; null where they are."""
    parts = pa.scalar(before, TEXT), texts, pa.scalar(after, TEXT), pa.scalar("", TEXT)
    return pc.binary_join_element_wise(*parts)


def _texts(values: pa.Array, own: bool) -> pa.Array:
    """Return each value of a column as JSON; null where there is none."""
    type, types = values.type, pa.types
    if types.is_string(type) or types.is_large_string(type):
        return _strings(values.cast(TEXT))
    if types.is_boolean(type) or (types.is_integer(type) and not (own and types.is_uint64(type))):
        return values.cast(TEXT)
    if own and types.is_float32(type) and pc.all(pc.is_finite(values)).as_py():
        numbers = [None if v is None else repr(float(f"{v:.7g}")) for v in values.to_pylist()]
        return pa.array(numbers, TEXT)
    text = _writer(type, own)
    return pa.array([None if v is None else text(v) for v in values.to_pylist()], TEXT)


def _strings(values: pa.Array) -> pa.Array:
    """Return texts as JSON strings; Python writes those that need more than quotes."""
    plain = _joined('"', values, '"')
    escaped = pc.match_substring_regex(values, ESCAPED)
    if not pc.any(escaped).as_py():
        return plain
    written = [encode_basestring(text) for text in values.filter(escaped).to_pylist()]
    return pc.replace_with_mask(plain, escaped.fill_null(False), pa.array(written, TEXT))


def _writer(type: pa.DataType, own: bool) -> Callable[[Any], str]:
    """Return what writes a value of this type, pairsieve's own ones by the digits that they have.

    Hashes are 16 hex digits: JSON has no numbers of 64 bits without a sign, and readers fail.
    """
    types = pa.types
    if own and types.is_uint64(type):
        return '"{:016x}"'.format
    if own and types.is_float32(type):
        return lambda value: _number(_rounded(value))
    if own and types.is_map(type) and types.is_integer(type.item_type):
        return lambda value: _any(dict(value))
    if own and types.is_map(type):
        return lambda value: _any({key: _rounded(one) for key, one in value})
    return _number if types.is_float32(type) or types.is_float64(type) else _any


def _number(value: float) -> str:
    return float.__repr__(value) if math.isfinite(value) else "null"


def _rounded(value: float) -> float:
    """Return a float32 by the digits that it has."""
    return float(f"{value:.7g}")


def _any(value: Any) -> str:
    return json.dumps(
        finite(value), ensure_ascii=False, sort_keys=True, default=_other, allow_nan=False
    )


def _other(value: Any) -> str:
    """Return a value that JSON has no form for: the bytes of an expected hash, a decimal."""
    return value.hex() if isinstance(value, bytes) else str(value)
