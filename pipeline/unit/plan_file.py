"""The plan as plan.json holds it: written once, read by everybody."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa

from pairsieve.pipeline.input.extra_columns import called, source_of
from pairsieve.schemas.errors import BadOption, nearest

PATH = "plan.json"
VERSION = 1

Slice = Sequence[int]  # file, first row, rows


@dataclass(frozen=True, slots=True)
class File:
    """An input file: where it was found, its rows, and what tells that it is still the same."""

    path: str
    rows: int
    bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan.

    Attributes:
        dataset: Where it was read from or written to; not part of plan.json.
        pairs: Pairs of the input.
        fetch: False when the input holds its images.
        format: Format of the input files.
        measuring: The options that shape measured columns.
        files: The input files.
        staged: Name in the dataset and rows of each staged file; empty for Parquet.
        units: Per unit its slices of the staged files, or of the input files where none is staged.
        schema: The travelling columns.
        fingerprints: Of the input files ("input") and of `measuring` ("gather").
    """

    dataset: str
    pairs: int
    fetch: bool
    format: str
    measuring: dict[str, Any]
    files: Sequence[File]
    staged: Sequence[tuple[str, int]]
    units: Sequence[Sequence[Slice]]
    schema: pa.Schema
    fingerprints: dict[str, str]

    def unit_rows(self, unit: int) -> int:
        """Return how many pairs a unit has."""
        return sum(rows for _, _, rows in self.units[unit])

    def column_of(self, name: str) -> str:
        """Return the name of the travelling column that is called `name` in the input.

        Raises:
            BadOption: there is none.
        """
        field = called(self.schema, name)
        if field is None:
            raise BadOption(
                f"image.blur_boxes: the input has no column `{name}` to travel along; "
                f"{nearest(name, [source_of(each) for each in self.schema])}"
            )
        return str(field.name)

    @property
    def unit_pairs(self) -> int:
        """Return how many pairs every unit but the last has."""
        return int(self.measuring["input"]["unit_pairs"])

    def dumps(self) -> bytes:
        """Return plan.json: compact, the same bytes for the same plan."""
        content = {name: getattr(self, name) for name in self.__slots__ if name != "dataset"}
        content["version"] = VERSION
        content["files"] = [asdict(file) for file in self.files]
        content["schema"] = base64.b64encode(self.schema.serialize()).decode()
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def loads(cls, data: bytes, dataset: str) -> Self:
        """Return the plan that `dumps` wrote.

        Raises:
            BadOption: another version of pairsieve wrote it.
        """
        content = json.loads(data)
        version = content.pop("version")
        if version != VERSION:
            raise BadOption(
                f"{dataset}/{PATH}: has version {version}, this pairsieve reads {VERSION}; use "
                "another --dataset"
            )
        content["files"] = [File(**file) for file in content["files"]]
        content["staged"] = [(name, rows) for name, rows in content["staged"]]
        schema = pa.py_buffer(base64.b64decode(content.pop("schema")))
        return cls(dataset=dataset, schema=pa.ipc.read_schema(schema), **content)
