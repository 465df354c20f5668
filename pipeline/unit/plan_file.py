"""The plan as plan.json holds it: written once, read by everybody."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Self

import pyarrow as pa

from pairsieve.pipeline.dataset.paths import PLAN_FILE
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import parquet, staging
from pairsieve.pipeline.input.captions import chosen
from pairsieve.pipeline.input.column_types import as_text
from pairsieve.pipeline.input.extra_columns import IMAGE_LOCATION, PROBLEM, called, source_of
from pairsieve.pipeline.input.formats import READERS, rows_of
from pairsieve.pipeline.input.reader import Reader, Rows
from pairsieve.schemas.columns import ROW, TEXT, URL
from pairsieve.schemas.errors import BadOption, Stopped, nearest

VERSION = 4

FileSlice = Sequence[int]  # file, first row, rows


@dataclass(frozen=True, slots=True)
class File:
    """An input file: where it lies, its rows, and a version that shows whether it has changed."""

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
        staged: Name in the dataset and rows of each staged file; empty where it is read in place.
        units: Per unit its slices of the staged files, or of the input files where none is staged.
        schema: The extra columns.
        fingerprints: Of the input files ("input") and of `measuring` ("gather").
        skipped: Location and damage of each broken file that `input.on_bad_file` let be skipped.
    """

    dataset: str
    pairs: int
    fetch: bool
    format: str
    measuring: dict[str, Any]
    files: Sequence[File]
    staged: Sequence[tuple[str, int]]
    units: Sequence[Sequence[FileSlice]]
    schema: pa.Schema
    fingerprints: dict[str, str]
    skipped: Sequence[tuple[str, str]] = ()

    def unit_rows(self, unit: int) -> int:
        """Return how many pairs a unit has."""
        return sum(rows for _, _, rows in self.units[unit])

    def column_of(self, name: str) -> str:
        """Return the name of the extra column that is called `name` in the input.

        Raises:
            BadOption: there is none.
        """
        field = called(self.schema, name)
        if field is None:
            raise BadOption(
                f"image.blur_boxes: the input has no column `{name}` beside URL and text; "
                f"{nearest(name, [source_of(each) for each in self.schema])}"
            )
        return str(field.name)

    def skipped_sentences(self) -> list[str]:
        """Return a sentence on the broken input files that were skipped, if there were any."""
        if not self.skipped:
            return []
        others = f" and {len(self.skipped) - 1:,} more" if len(self.skipped) > 1 else ""
        return [f"Not read to its end, as `input.on_bad_file` says: {self.skipped[0][1]}{others}."]

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
                f"{dataset}/{PLAN_FILE}: has version {version}, this pairsieve reads {VERSION}; "
                "use another --dataset"
            )
        content["files"] = [File(**file) for file in content["files"]]
        for key in ("staged", "skipped"):
            content[key] = [tuple(entry) for entry in content[key]]
        schema = pa.py_buffer(base64.b64decode(content.pop("schema")))
        return cls(dataset=dataset, schema=pa.ipc.read_schema(schema), **content)


def read(store: Store) -> Plan:
    """Return the dataset's plan.

    Raises:
        BadOption: there is none.
        Stopped: it is damaged.
    """
    try:
        return Plan.loads(store.read(PLAN_FILE), store.url)
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise Stopped(
            f"{store.location(PLAN_FILE)}: damaged: {error}; put a copy back, or use another "
            "--dataset"
        ) from error
    except FileNotFoundError as error:
        message = f"{store.url}: no dataset here yet; `pairsieve plan` or `run` makes one"
        raise BadOption(message) from error


def sha256_of(store: Store) -> str:
    """Return the SHA-256 of the dataset's plan.json, which tells this plan from any other."""
    return hashlib.sha256(store.read(PLAN_FILE)).hexdigest()


@lru_cache(maxsize=1)
def read_once(store: Store, sha256: str) -> Plan:
    """Return the plan whose plan.json has this SHA-256; the last one is kept.

    So a process that works through unit after unit parses it once. A plan never changes, and the
    checksum is part of what it is kept by: one made later under the same path is another one.

    Raises:
        Stopped: plan.json is another one by now.
    """
    data = store.read(PLAN_FILE)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Stopped(f"{store.location(PLAN_FILE)}: another plan was put there meanwhile")
    return Plan.loads(data, store.url)


def staged_files(store: Store) -> list[str]:
    """Return the names of the staged files that the plan names; none without a plan."""
    return [name for name, _ in read(store).staged] if store.exists(PLAN_FILE) else []


def read_unit(
    plan: Plan,
    unit: int,
    first: int = 0,
    rows: int | None = None,
    readers: tuple[Reader, ...] = READERS,
) -> pa.Table:
    """Return pairs of a unit.

    The columns are `row`, `url`, `text`, `PROBLEM` if it was staged, `IMAGE_LOCATION` if the input
    holds images, and the extra ones; URL and text are as the input has them, null where there is
    none.

    Args:
        plan: The plan.
        unit: Which unit, from 0.
        first: First pair of it, from 0.
        rows: How many; None for all that follow.
        readers: The table of input formats.

    Raises:
        Stopped: an input file is gone or has another number of rows than when it was planned.
    """
    slices = list(_within(plan.units[unit], first, plan.pairs if rows is None else rows))
    if plan.staged:
        tables = [_staged_slice(plan, *file_slice) for file_slice in slices]
    else:
        rows_of_file = rows_of(plan.format, readers)
        tables = [_input_slice(plan, rows_of_file, *file_slice) for file_slice in slices]
    table = pa.concat_tables([_unit_schema(plan).empty_table(), *tables])
    start = unit * plan.unit_pairs + first
    numbers = pa.array(range(start, start + table.num_rows), ROW.type)
    return table.add_column(0, pa.field(ROW.name, ROW.type, False), numbers)


def _unit_schema(plan: Plan) -> pa.Schema:
    """Return the schema of `read_unit`, without `row`."""
    location = () if plan.fetch else IMAGE_LOCATION
    of_staged = [PROBLEM, *location] if plan.staged else []
    staged = [staging.SCHEMA.field(name) for name in of_staged]
    own = [pa.field(URL.name, URL.type), pa.field(TEXT.name, TEXT.type), *staged]
    return pa.schema([*own, *plan.schema])


def _within(slices: Sequence[FileSlice], first: int, rows: int) -> Iterator[FileSlice]:
    """Yield the part of `slices` that begins `first` rows in and has at most `rows` rows."""
    for file, start, count in slices:
        part = min(count - first, rows)
        if part > 0:
            yield file, start + first, part
            rows -= part
        first = max(0, first - count)


def _staged_slice(plan: Plan, index: int, first: int, rows: int) -> pa.Table:
    name, total = plan.staged[index]
    table = parquet.read(Store.at(plan.dataset).location(name), first, rows, total)
    schema = _unit_schema(plan)
    own = [table[name] for name in schema.names[: len(schema) - len(plan.schema)]]
    others = staging.expanded(table[staging.OTHERS], plan.schema)
    return pa.Table.from_arrays([*own, *others], schema=schema)


def _input_slice(plan: Plan, rows_of_file: Rows, index: int, first: int, rows: int) -> pa.Table:
    file = plan.files[index]
    table = rows_of_file.read(file.path, first, rows, file.rows)
    options = plan.measuring["input"]
    url = parquet.plain(table[options["url"]], pa.string())
    texts = _texts(table[options["text"]], url, options["caption"])
    columns = [url, texts]
    for field in plan.schema:
        name = source_of(field)
        if name not in table.column_names:
            columns.append(pa.nulls(rows, field.type))
        elif name in options["as_text"]:
            column = parquet.plain(table[name], parquet.plain_type(table[name].type))
            columns.append(pa.chunked_array([as_text(c) for c in column.chunks], pa.string()))
        else:
            columns.append(parquet.plain(table[name], field.type))
    return pa.Table.from_arrays(columns, schema=_unit_schema(plan))


def _texts(column: pa.ChunkedArray, urls: pa.ChunkedArray, rule: str) -> pa.ChunkedArray:
    """Return the texts of a column of texts, or one out of each of a column of lists of them."""
    type = parquet.plain_type(column.type)
    if not pa.types.is_nested(type):
        return parquet.plain(column, pa.string())
    lists = parquet.plain(column, pa.list_(pa.string())).to_pylist()
    pairs = zip(lists, urls.to_pylist(), strict=True)
    texts = [chosen(captions or (), rule, url or "") for captions, url in pairs]
    return pa.chunked_array([staging.text_array(texts)])
