"""Staging: pairs that cannot be read in place, written once into Parquet files of the dataset.

So a unit is read without what lies before it, a resume does not depend on a file staying as it was,
and everything after has one reader. Row groups end where units end. The extra columns are kept as
one JSON object per pair, because the types of its values are known only when the last was seen;
`expanded` makes columns of it.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.dataset.paths import attempt, staged
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.column_types import json_text
from pairsieve.pipeline.input.extra_columns import (
    IMAGE_LOCATION,
    PROBLEM,
    Kinds,
    escaped,
    is_json,
    source_of,
)
from pairsieve.pipeline.input.reader import Record
from pairsieve.schemas.columns import TEXT, URL
from pairsieve.schemas.errors import BadOption

Entry = dict[str, Any]  # bytes and sha256 of a file

UNITS_PER_FILE = 100
GROUP_CHARS = 16 << 20  # a row group ends early when it holds this much text: bounds memory
MAX_KEYS = 1000  # names of extra columns
OTHERS = "others"
SCHEMA = pa.schema(
    [(URL.name, pa.string()), (TEXT.name, pa.string()), (OTHERS, pa.string())]
    + list(zip(IMAGE_LOCATION, (pa.string(), pa.int64(), pa.int64()), strict=True))
    + [(PROBLEM, pa.string())]
)

_KIND = {bool: "bool", float: "float", str: "str"}
_EXACT = 1 << 53  # up to here every integer is a float too


def stage(
    store: Store, records: Iterable[Record], unit_pairs: int
) -> tuple[list[tuple[str, int]], dict[str, Entry], Kinds]:
    """Write the records; return (name, rows) per file, its entries, the extra columns' kinds.

    A file's entry is its size and checksum, as a marker would have it, by its name in the dataset.

    Raises:
        BadOption: the records bring more than `MAX_KEYS` names.
    """
    token = attempt()
    kinds: Kinds = {}
    files: list[tuple[str, int]] = []
    entries: dict[str, Entry] = {}
    groups = _row_groups(records, unit_pairs, kinds)
    name = ""
    try:
        for group in groups:
            name = staged(token, len(files))
            parts = itertools.chain([group], groups)
            rows, entries[name] = _write(store, name, parts, unit_pairs * UNITS_PER_FILE)
            files.append((name, rows))
    except BaseException:
        store.delete([name, *(done for done, _ in files)] if name else [])
        raise
    return files, entries, kinds


def expanded(others: pa.ChunkedArray, schema: pa.Schema) -> list[pa.Array]:
    """Return the extra columns of `schema`, (n,) each, out of n staged JSON objects."""
    objects = [json.loads(text) for text in others.to_pylist()]
    columns = []
    for field in schema:
        name = source_of(field)
        values = [each.get(name) for each in objects]
        if is_json(field):
            values = [_json_text(value) for value in values]
        text = field.type == pa.string()
        columns.append(text_array(values) if text else pa.array(values, field.type))
    return columns


def text_array(values: list[str | None]) -> pa.Array:
    """Return strings as Arrow takes them: lone surrogates escaped with backslashes."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([value and escaped(value) for value in values], pa.string())


def _row_groups(records: Iterable[Record], unit_pairs: int, kinds: Kinds) -> Iterator[pa.Table]:
    """Yield the records as tables that never cross the end of a unit."""
    rows: list[tuple[Record, str]] = []
    left, chars = unit_pairs, 0
    for record in records:
        others = _as_json(record.others, kinds)
        rows.append((record, others))
        chars += len(others) + len(record.url or "") + len(record.text or "")
        left -= 1
        if not left or chars >= GROUP_CHARS:
            yield _group(rows)
            rows.clear()
            left, chars = left or unit_pairs, 0
    if rows:
        yield _group(rows)


def _group(rows: list[tuple[Record, str]]) -> pa.Table:
    images = [record.image or (None, None, None) for record, _ in rows]
    arrays = [
        text_array([record.url for record, _ in rows]),
        text_array([record.text for record, _ in rows]),
        pa.array([others for _, others in rows], pa.string()),
        text_array([file for file, _, _ in images]),
        pa.array([offset for _, offset, _ in images], pa.int64()),
        pa.array([size for _, _, size in images], pa.int64()),
        text_array([record.problem for record, _ in rows]),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _write(store: Store, name: str, groups: Iterable[pa.Table], limit: int) -> tuple[int, Entry]:
    """Write row groups until there are `limit` rows; return how many there are, and the entry."""
    import pyarrow.parquet as pq

    rows = 0
    with (
        store.writer(name) as sink,
        pq.ParquetWriter(sink, SCHEMA, compression="zstd", use_dictionary=False) as writer,
    ):
        for group in groups:
            writer.write_table(group, row_group_size=group.num_rows)
            rows += group.num_rows
            if rows >= limit:
                break
    return rows, sink.entry()


def _as_json(others: dict[str, Any], kinds: Kinds) -> str:
    """Return `others` as JSON and note the kinds of its values.

    What is nested becomes a list of its JSON text, so that no reader has to go deep again.
    """
    flat = {}
    for name, value in others.items():
        if value is None:
            continue
        kind = _KIND.get(type(value)) or _other_kind(value)
        if kind not in kinds.setdefault(name, set()):
            kinds[name].add(kind)
            _check_names(kinds)
        flat[name] = [json_text(value)] if kind == "nested" else value
    return json.dumps(flat)


def _other_kind(value: Any) -> str:
    if not isinstance(value, int):
        return "nested"
    if -_EXACT <= value <= _EXACT:
        return "int"
    return "long" if -(1 << 63) <= value < 1 << 63 else "big"


def _check_names(kinds: Kinds) -> None:
    if len(kinds) > MAX_KEYS:
        raise BadOption(
            f"input: more than {MAX_KEYS} different names of values beside URL and text, such as "
            f"{', '.join(repr(name[:40]) for name in list(kinds)[-3:])}; nest them in one value"
        )


def _json_text(value: Any) -> str | None:
    if value is None:
        return None
    return value[0] if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
