"""Extra columns: what the input says of a pair besides URL and text, kept to the ledger.

Their names never clash with pairsieve's own or with each other, their types are those of all files
together. Both are settled while planning, so every unit has the same columns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import pyarrow as pa

from pairsieve.pipeline.input.column_types import (
    common,
    in_microseconds,
    is_bytes,
    json_text,
    unkept,
)
from pairsieve.pipeline.input.parquet_images import holds_images
from pairsieve.schemas.columns import COLUMNS, ROW, TEXT, URL
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import HASHES

IMAGE_LOCATION = ("pairsieve_file", "pairsieve_offset", "pairsieve_bytes")
PROBLEM = "pairsieve_problem"  # why a pair has no URL, no text or no image, if its file tells
RESERVED = (ROW.name, URL.name, TEXT.name, *IMAGE_LOCATION, PROBLEM)  # pairsieve's own of a unit
_SOURCE, _JSON = b"source", b"json"  # metadata: name in the input; present if written as JSON


class ImageLocation(NamedTuple):
    """Where the input holds the image of a pair: in which file, if it has one, and where in it.

    Attributes:
        file: Location of the file; None where the pair has no image.
        offset: First byte; or the row, of a file that is read in place.
        length: Bytes; None of a file that is read in place.
    """

    file: str | None
    offset: int
    length: int | None


def own_address(format: str, name: str, place: str) -> str:
    """Return the address of a pair that has no URL: where in which file of the input it is."""
    return f"{format}:{name}{place}"


Kinds = dict[str, set[str]]  # kinds of JSON value seen, by name in the input
Types = dict[str, tuple[pa.DataType, str]]  # type, and the file it is from, by name in the input


@dataclass(frozen=True, slots=True)
class Kept:
    """Which extra columns are kept, and how.

    Attributes:
        columns: `all`, `none`, or names.
        leave_out: Names that are not kept.
        as_text: Names that are kept as text.
        needed: Names that something else in the recipe reads: always kept.
        hashes: Those of them that hold expected hashes, which may be bytes.
    """

    columns: str | tuple[str, ...]
    leave_out: frozenset[str]
    as_text: frozenset[str]
    needed: frozenset[str]
    hashes: frozenset[str]

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """Return what the recipe says.

        Raises:
            BadOption: it leaves out what it needs.
        """
        options = recipe.input
        hashes = frozenset(name for key in HASHES if (name := getattr(options, key)))
        needed = hashes | ({recipe.image.blur_boxes} if recipe.image.blur_boxes else set())
        for key in ("leave_out", "as_text"):
            if both := needed & set(getattr(options, key)):
                raise BadOption(f"input.{key}: column `{min(both)}` is read by another key")
        return cls(
            options.columns,
            frozenset(options.leave_out),
            frozenset(options.as_text),
            needed,
            hashes,
        )

    def keeps(self, name: str) -> bool:
        """Return whether the column is kept."""
        if name in self.needed:
            return True
        listed = self.columns == "all" or (self.columns != "none" and name in self.columns)
        return listed and name not in self.leave_out

    def values(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON values of a pair that are kept, as they are kept, by column."""
        if self.columns == "all" and not self.leave_out and not self.as_text:
            return values
        return {name: self._value(name, values[name]) for name in values if self.keeps(name)}

    def _value(self, name: str, value: Any) -> Any:
        if name not in self.as_text or value is None or isinstance(value, str):
            return value
        return json_text(value)

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse names that no file of the input has; `known` are those that it has.

        Raises:
            BadOption: naming the nearest.
        """
        names = set(known)
        listed = () if isinstance(self.columns, str) else self.columns
        for key, named in (
            ("columns", listed),
            ("leave_out", self.leave_out),
            ("as_text", self.as_text),
        ):
            for name in sorted(set(named) - names):
                raise BadOption(
                    f"input.{key}: the input has no column `{name}` beside URL and text; "
                    f"{nearest(name, sorted(names))}"
                )

    def check_types(self, types: "Types") -> None:
        """Refuse columns whose values neither the ledger nor JSON has a form for.

        Raises:
            BadOption: naming them all, and what to do.
        """
        refused = {
            name: found
            for name, (type, _) in types.items()
            if (found := unkept(type)) and not (name in self.hashes and is_bytes(type))
        }
        if refused:
            names = ", ".join(refused)
            told = ", ".join(f"`{name}` holds {type}" for name, type in refused.items())
            images = [name for name in refused if holds_images(types[name][0])]
            hint = f"; if it holds the images, `input.image: {images[0]}`" if images else ""
            raise BadOption(
                f"input: column {told}: neither DuckDB nor JSON has a form for it; say "
                f"`input.leave_out: [{names}]`, or `input.as_text: [{names}]` to keep it as text"
                f"{hint}"
            )


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
    widened = common(known, field.type)
    if widened is None:
        raise BadOption(
            f"input.path: column `{field.name}` is {known} in {where} and {field.type} in "
            f"{location}; make the types agree, say `input.leave_out: [{field.name}]` or "
            f"`input.as_text: [{field.name}]`, or leave a file out with a narrower glob"
        )
    if widened != known:
        types[field.name] = (widened, location)


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
        shown = pa.string() if pa.types.is_null(type) else in_microseconds(type)
        fields.append(pa.field(name, shown, True, metadata))
    return pa.schema(fields)
