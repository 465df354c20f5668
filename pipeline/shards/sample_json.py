"""The JSON of samples: the columns that belong there, and the extra columns of the input.

It is written column by column: a dictionary per sample and `json.dumps` cost five times as much as
copying the sample's image.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.input.column_types import finite, without_times
from pairsieve.schemas.columns import Column

Texts = Iterator[str | None]


def sample_jsons(samples: pa.Table, columns: Iterable[Column]) -> list[bytes]:
    """Return the JSON of each sample: those of `columns` that belong there, and the extra columns.

    What is not among `columns`, pairsieve's own, is an extra column of the input. Missing values
    are left out. NaN and the infinities are null, because JSON (RFC 8259) has no word for them.
    """
    own = {column.name: column for column in columns}
    shown = sorted(name for name in samples.column_names if name not in own or own[name].in_sample)
    table = without_times(samples.select(shown))
    members = [
        _members(f"{_text(name)}: ", _texts(table[name], own.get(name)))
        for name in table.column_names
    ]
    if not members:
        return [b"{}"] * samples.num_rows
    return [
        f"{{{', '.join([one for one in sample if one is not None])}}}".encode()
        for sample in zip(*members, strict=True)
    ]


def _members(key: str, texts: Texts) -> list[str | None]:
    return [None if text is None else key + text for text in texts]


def _texts(values: pa.ChunkedArray, column: Column | None) -> Texts:
    """Yield each value of a column as JSON; None where there is none."""
    text = _writer(values.type, own=column is not None)
    return (None if value is None else text(value) for value in values.to_pylist())


def _writer(type: pa.DataType, own: bool) -> Callable[[Any], str]:
    """Return what writes a value of this type, pairsieve's own ones by the digits that they have.

    Hashes are 16 hex digits: JSON has no numbers of 64 bits without a sign, and readers fail.
    """
    types = pa.types
    if types.is_string(type) or types.is_large_string(type):
        return _text
    if own and types.is_uint64(type):
        return '"{:016x}"'.format
    if own and types.is_float32(type):
        return lambda value: _number(_rounded(value))
    if own and types.is_map(type):
        return lambda value: _any({key: _rounded(one) for key, one in value})
    if types.is_integer(type):
        return int.__repr__
    return _number if types.is_float32(type) or types.is_float64(type) else _any


_text = encode_basestring  # as `json.dumps` without `ensure_ascii`


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
