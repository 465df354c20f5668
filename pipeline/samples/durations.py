"""Durations of the input: their unit, and how they are written in the JSON of samples."""

from collections.abc import Mapping

import pyarrow as pa


def with_durations(table: pa.Table, durations: Mapping[str, pa.DataType]) -> pa.Table:
    """Return a table with the unit of its durations, which DuckDB reads as numbers."""
    for name, type in durations.items():
        numbers = table[name].cast(pa.int64())
        table = table.set_column(table.column_names.index(name), name, numbers.cast(type))
    return table


def durations_as_text(table: pa.Table) -> pa.Table:
    """Return a table with durations as ISO 8601 has them in seconds, `PT1.5S`."""
    for index, field in enumerate(table.schema):
        if pa.types.is_duration(field.type):
            numbers = table.column(index).cast(pa.int64()).to_pylist()
            text = [None if n is None else seconds(n, field.type.unit) for n in numbers]
            table = table.set_column(index, field.name, pa.array(text, pa.string()))
    return table


def seconds(count: int, unit: str) -> str:
    """Return so many of a unit of Arrow's as ISO 8601, to the last digit."""
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    whole, part = divmod(abs(count), 10**digits)
    fraction = f".{part:0{digits}d}".rstrip("0") if part else ""
    return f"{'-' * (count < 0)}PT{whole}{fraction}S"
