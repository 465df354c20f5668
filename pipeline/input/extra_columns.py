"""Extra columns: what the input says of a pair besides URL and text, kept to the ledger.

Their names never clash with pairsieve's own or with each other, their types are those of all files
together. Both are settled while planning, so every unit has the same columns.
"""

from typing import NamedTuple

import pyarrow as pa

from pairsieve.schemas.columns import COLUMNS, ROW, TEXT, URL
from pairsieve.schemas.errors import BadOption

IMAGE_LOCATION = ("pairsieve_file", "pairsieve_offset", "pairsieve_bytes")
RESERVED = (ROW.name, URL.name, TEXT.name, *IMAGE_LOCATION)  # pairsieve's own of a unit
_SOURCE, _JSON = b"source", b"json"  # metadata: name in the input; present if written as JSON


class ImageLocation(NamedTuple):
    """Where the input holds the image of a pair: in which file, if it has one, and its bytes."""

    file: str | None
    offset: int
    length: int


Kinds = dict[str, set[str]]  # kinds of JSON value seen, by name in the input
Types = dict[str, tuple[pa.DataType, str]]  # type, and the file it is from, by name in the input


def of_types(types: Types) -> pa.Schema:
    """Return the extra columns of files that are read in place."""
    return _schema({name: (type, False) for name, (type, _) in types.items()})


def of_kinds(kinds: Kinds) -> pa.Schema:
    """Return the extra columns of staged records; mixed and nested values as JSON text."""
    return _schema({name: _type(seen) for name, seen in kinds.items()})


def source_of(field: pa.Field) -> str:
    """Return the name that an extra column has in the input."""
    name: str = field.metadata[_SOURCE].decode("utf-8", "surrogatepass")
    return name


def called(schema: pa.Schema, source: str) -> pa.Field | None:
    """Return the extra column that is called `source` in the input, None if there is none."""
    return next((field for field in schema if source_of(field) == source), None)


def is_json(field: pa.Field) -> bool:
    """Return True when the values of an extra column are written as JSON text."""
    return _JSON in field.metadata


def image_locations(table: pa.Table) -> list[ImageLocation] | None:
    """Return where the images of a unit's pairs lie, None if the input holds none."""
    if not set(IMAGE_LOCATION) <= set(table.column_names):
        return None
    columns = (table[name].to_pylist() for name in IMAGE_LOCATION)
    return [ImageLocation(*location) for location in zip(*columns, strict=True)]


def widen(types: Types, field: pa.Field, location: str) -> None:
    """Note the type of a column in one more file; it may widen, but never change a value.

    Raises:
        BadOption: the types of two files do not go together.
    """
    known, where = types.setdefault(field.name, (field.type, location))
    if known == field.type or pa.types.is_null(field.type):
        return
    if pa.types.is_null(known):
        types[field.name] = (field.type, location)
        return
    families = (pa.types.is_signed_integer, pa.types.is_unsigned_integer, pa.types.is_floating)
    if not any(family(known) and family(field.type) for family in families):
        raise BadOption(
            f"input.path: column `{field.name}` is {known} in {where} and {field.type} in "
            f"{location}; make the types agree, or leave one out with a narrower glob"
        )
    if field.type.bit_width > known.bit_width:
        types[field.name] = (field.type, location)


def escaped(text: str) -> str:
    """Return `text` with lone surrogates escaped with backslashes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _type(kinds: set[str]) -> tuple[pa.DataType, bool]:
    """Return the Arrow type for values of these kinds, and True if they are written as JSON."""
    if kinds <= {"int", "long"}:
        return pa.int64(), False
    if kinds <= {"int", "float"}:
        return pa.float64(), False
    if kinds == {"bool"}:
        return pa.bool_(), False
    return pa.string(), kinds != {"str"}


def _schema(types: dict[str, tuple[pa.DataType, bool]]) -> pa.Schema:
    """Return the columns under names of their own; DuckDB does not tell upper from lower case."""
    own = {name.lower() for name in (*RESERVED, *(column.name for column in COLUMNS))}
    taken = set(own)
    fields = []
    for source, (type, as_json) in types.items():
        name = escaped(source).replace("\0", "\\x00") or "column"
        name = base = f"input_{name}" if name.lower() in own else name
        count = 1
        while name.lower() in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name.lower())
        metadata = {_SOURCE: source.encode("utf-8", "surrogatepass")}
        if as_json:
            metadata[_JSON] = b"1"
        shown = pa.string() if pa.types.is_null(type) else type
        fields.append(pa.field(name, shown, True, metadata))
    return pa.schema(fields)
