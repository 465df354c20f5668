"""Types of extra columns: which can be kept to the shards, and what holds those of two files.

The ledger is Parquet that DuckDB reads, the samples are JSON; what either has no form for is named
here. Two types become one only where every value of both stays what it is.
"""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

BEYOND = "<value out of range"  # how Arrow writes a time that it cannot
TIME_UNITS = ("s", "ms", "us")  # a nanosecond type holds only the years 1677 to 2262


def unkept(type: pa.DataType) -> pa.DataType | None:
    """Return the type, at any depth, that cannot be kept; None where all can."""
    types = pa.types
    if types.is_nested(type):
        parts = [type.field(index).type for index in range(type.num_fields)]
        return next((found for part in parts if (found := unkept(part))), None)
    half = types.is_float16(type) or types.is_decimal256(type)
    return type if half or is_bytes(type) or types.is_interval(type) else None


def is_bytes(type: pa.DataType) -> bool:
    """Return whether the values are bytes."""
    types = pa.types
    return bool(
        types.is_binary(type)
        or types.is_large_binary(type)
        or types.is_binary_view(type)
        or types.is_fixed_size_binary(type)
    )


def common(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds every value of both as it is; None where there is none."""
    types = pa.types
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    for family, unite in (
        (types.is_integer, _integers),
        (types.is_floating, _wider),
        (types.is_timestamp, _timestamps),
        (_is_list, _lists),
        (types.is_struct, _structs),
        (types.is_map, _maps),
    ):
        if family(one) and family(other):
            return unite(one, other)
    return None


def as_text(array: pa.Array) -> pa.Array:
    """Return the values as text: bytes as base64, what is nested as JSON, (n,)."""
    if is_bytes(array.type):
        values = array.to_pylist()
        return pa.array([v and base64.b64encode(v).decode() for v in values], pa.string())
    if not pa.types.is_nested(array.type):
        return array.cast(pa.string())
    values = array.to_pylist()
    return pa.array([v if v is None else json_text(v, _plain) for v in values], pa.string())


def in_microseconds(type: pa.DataType) -> pa.DataType:
    """Return the type with its times in microseconds, as DuckDB reads those in seconds anyway."""
    if pa.types.is_timestamp(type) and type.unit in ("s", "ms"):
        return pa.timestamp("us", type.tz)
    return _mapped(type, in_microseconds)


def cast_what_fits(array: pa.Array, type: pa.DataType) -> pa.Array:
    """Return the array as `type`, null where a value does not fit: a year beyond 290,000, (n,)."""
    try:
        return array.cast(type)
    except pa.ArrowInvalid:
        rows = [array.slice(index, 1) for index in range(len(array))]
        return pa.concat_arrays([_cast_or_null(row, type) for row in rows])


def _cast_or_null(row: pa.Array, type: pa.DataType) -> pa.Array:
    try:
        return row.cast(type)
    except pa.ArrowInvalid:
        return pa.nulls(1, type)


def without_times(table: pa.Table) -> pa.Table:
    """Return the table with dates and times, at any depth, as text, in UTC if anywhere.

    Python's classes hold only the years 1 to 9999, and fewer in other time zones. What Arrow has no
    text for is null.
    """
    for index, field in enumerate(table.schema):
        text = field.with_type(_timeless(field.type))
        if text.type == field.type:
            continue
        column = table.column(index).cast(_utc(field.type)).cast(text.type)
        if _is_time(field.type):
            column = pc.if_else(pc.starts_with(column, BEYOND), None, column)
        table = table.set_column(index, text, column)
    return table


def finite(value: Any) -> Any:
    """Return a value with null for each number in it, at any depth, that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return value


def json_text(value: Any, default: Callable[[Any], str] = str) -> str:
    """Return a value as JSON text, `null` if it is nested too deep to be written.

    `default` gives the text of what JSON has no form for.
    """
    try:
        return json.dumps(finite(value), ensure_ascii=False, default=default)
    except (RecursionError, TypeError, ValueError):
        return "null"


def _timeless(type: pa.DataType) -> pa.DataType:
    return pa.string() if _is_time(type) else _mapped(type, _timeless)


def _utc(type: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(type):
        return pa.timestamp(type.unit, "UTC") if type.tz else type
    return _mapped(type, _utc)


def _mapped(type: pa.DataType, change: Any) -> pa.DataType:
    """Return a type with its parts changed."""
    types = pa.types
    if types.is_struct(type):
        return pa.struct([field.with_type(change(field.type)) for field in type])
    if types.is_map(type):
        return pa.map_(change(type.key_type), change(type.item_type))
    if types.is_fixed_size_list(type):
        return pa.list_(change(type.value_type), type.list_size)
    if types.is_large_list(type):
        return pa.large_list(change(type.value_type))
    return pa.list_(change(type.value_type)) if types.is_list(type) else type


def _is_time(type: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_timestamp(type) or types.is_date(type) or types.is_time(type))


def _is_list(type: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(type) or types.is_large_list(type) or types.is_fixed_size_list(type))


def _integers(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    signed = [pa.types.is_signed_integer(type) for type in (one, other)]
    if all(signed) or not any(signed):
        return _wider(one, other)
    negative, positive = (one, other) if signed[0] else (other, one)
    bits = max(negative.bit_width, 2 * positive.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(bits)


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    return max(one, other, key=lambda type: type.bit_width)


def _timestamps(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if (one.tz is None) != (other.tz is None):
        return None
    zone = one.tz if one.tz == other.tz else "UTC"  # the same instants
    if one.unit == other.unit:
        return pa.timestamp(one.unit, zone)
    if not {one.unit, other.unit} <= set(TIME_UNITS):
        return None
    return pa.timestamp(max(one.unit, other.unit, key=TIME_UNITS.index), zone)


def _lists(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    part = common(one.value_type, other.value_type)
    return part and pa.list_(part)


def _structs(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    fields: dict[str, pa.DataType | None] = {field.name: field.type for field in one}
    for field in other:
        before = fields.get(field.name, pa.null())
        fields[field.name] = before and common(before, field.type)
    if None in fields.values():
        return None
    return pa.struct(list(fields.items()))


def _maps(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    parts = common(one.key_type, other.key_type), common(one.item_type, other.item_type)
    return pa.map_(*parts) if all(parts) else None


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
