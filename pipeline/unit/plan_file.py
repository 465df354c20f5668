"""The plan as plan.json holds it: written once, read by everybody."""

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as option
from functools import lru_cache, partial
from typing import Any, Self

import pyarrow as pa

from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.paths import PLAN_FILE
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import parquet, staging
from pairsieve.pipeline.input.column_types import as_text
from pairsieve.pipeline.input.extra_columns import (
    IMAGE_LOCATION,
    PROBLEM,
    called,
    own_address,
    source_of,
)
from pairsieve.pipeline.input.formats import READERS, rows_of
from pairsieve.pipeline.input.partitions import of_folders
from pairsieve.pipeline.input.reader import SHOWN, Reader, Rows, chosen
from pairsieve.pipeline.ledger import left_out
from pairsieve.schemas.columns import ROW, TEXT, URL
from pairsieve.schemas.errors import BadOption, Stopped, nearest

VERSION = 4
NEAR_ROWS = 65_536  # rows of a file that are read at once for the sake of some of them

FileSlice = Sequence[int]  # file, first row, rows


@dataclass(frozen=True, slots=True)
class File:
    """An input file.

    Attributes:
        path: Where it lies.
        name: Its path below the input's folder.
        rows: Its rows.
        bytes: Its size.
        version: Time of change or entity tag: while it is the same, so is the content.
        content: Hash of the content; an object's entity tag.
    """

    path: str
    name: str
    rows: int
    bytes: int
    version: str
    content: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan.

    Attributes:
        dataset: Where it was read from or written to; not part of plan.json.
        pairs: Pairs of the input.
        fetch: Whether the input has URLs that may be fetched; not where it holds all its images.
        images: Whether it holds images.
        format: Format of the input files.
        measuring: The options that shape measured columns.
        files: The input files.
        staged: Name in the dataset and rows of each staged file; empty where it is read in place.
        units: Per unit its slices of the staged files, or of the input files where none is staged.
        schema: The extra columns.
        fingerprints: Of the input files by version ("input") and by "content", and of `measuring`
            ("gather").
        dialects: How the text files are written: in words, how many are so, and the first of them.
        skipped: Location and damage of each broken file that `input.on_bad_file` let be skipped.
        limit: Of a plan over a part: how many `pairs`, drawn by `seed` `of` how many, or the first.
        staged_entries: By the name of a staged file its size and checksum, as a marker has them.
        grown: The first unit of each later addition of input files.
        left_out: The measures that are left out.
    """

    dataset: str
    pairs: int
    fetch: bool
    images: bool
    format: str
    measuring: dict[str, Any]
    files: Sequence[File]
    staged: Sequence[tuple[str, int]]
    units: Sequence[Sequence[FileSlice]]
    schema: pa.Schema
    fingerprints: dict[str, str]
    skipped: Sequence[tuple[str, str]] = ()
    limit: dict[str, int | None] | None = None
    dialects: Sequence[tuple[str, int, str]] = ()
    staged_entries: Mapping[str, dict[str, Any]] = option(default_factory=dict)
    grown: Sequence[int] = ()
    left_out: Sequence[str] = ()

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

    def sentences(self) -> list[str]:
        """Return a sentence on each part of the input that was left out, if there are any."""
        of_input = self._limit_sentences() + self._grown_sentences() + self._skipped_sentences()
        return of_input + left_out.sentences(self.left_out)

    def _limit_sentences(self) -> list[str]:
        if self.limit is None:
            return []
        if self.limit["seed"] is None:
            return [f"Limited: the first {self.pairs:,} pairs of the input alone."]
        return [
            f"Limited: a sample of {self.pairs:,} of the input's {self.limit['of']:,} pairs alone, "
            f"seed {self.limit['seed']}."
        ]

    def _grown_sentences(self) -> list[str]:
        if not self.grown:
            return []
        pairs = sum(self.unit_rows(unit) for unit in range(self.grown[-1], len(self.units)))
        often = "once," if len(self.grown) == 1 else f"{len(self.grown):,} times, the last time"
        return [f"Input files were added {often} with {pairs:,} pairs."]

    @property
    def grown_rows(self) -> list[int]:
        """Return the first row of each later addition of input files."""
        return [unit * self.unit_pairs for unit in self.grown]

    def _skipped_sentences(self) -> list[str]:
        if not self.skipped:
            return []
        files = f"{len(self.skipped):,} files were" if len(self.skipped) > 1 else "1 file was"
        return [
            f"{files} not read to the end, as `input.on_bad_file` says; the first: "
            f"{self.skipped[0][1]}."
        ]

    @property
    def unit_pairs(self) -> int:
        """Return how many pairs every unit but the last has."""
        return int(self.measuring["input"]["unit_pairs"])

    def dumps(self) -> bytes:
        """Return plan.json: compact, the same bytes for the same plan."""
        absent = {"dataset"} | {name for name in ("grown", "left_out") if not getattr(self, name)}
        content = {name: getattr(self, name) for name in self.__slots__ if name not in absent}
        content["version"] = VERSION
        content["files"] = [asdict(file) for file in self.files]
        content["schema"] = base64.b64encode(self.schema.serialize()).decode()
        return checked_json.dumps(content, separators=(",", ":"))

    @classmethod
    def loads(cls, data: bytes, dataset: str) -> Self:
        """Return the plan that `dumps` wrote.

        Raises:
            BadOption: another version of pairsieve wrote it.
        """
        content = checked_json.loads(data)
        version = content.pop("version")
        if version != VERSION:
            raise BadOption(
                f"{dataset}/{PLAN_FILE}: has version {version}, this pairsieve reads {VERSION}; "
                "use another --dataset"
            )
        content["files"] = [File(**file) for file in content["files"]]
        for key in ("staged", "skipped", "dialects"):
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

    The columns are `row`, `url`, `text`, `PROBLEM`, `IMAGE_LOCATION` if the input holds images, and
    the extra ones; URL and text are as the input has them, null where there is
    none. A pair whose image the input may hold has the address of its row where it has no URL.

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
    one = (
        partial(_staged_slice, plan)
        if plan.staged
        else partial(_input_slice, plan, rows_of(plan.format, readers))
    )
    tables = [_taken(one, near) for near in _near(slices)]
    table = pa.concat_tables([_unit_schema(plan).empty_table(), *tables])
    start = unit * plan.unit_pairs + first
    numbers = pa.array(range(start, start + table.num_rows), ROW.type)
    return table.add_column(0, pa.field(ROW.name, ROW.type, False), numbers)


def _unit_schema(plan: Plan) -> pa.Schema:
    """Return the schema of `read_unit`, without `row`."""
    location = IMAGE_LOCATION if plan.images else ()
    told = [staging.SCHEMA.field(name) for name in (PROBLEM, *location)]
    own = [pa.field(URL.name, URL.type), pa.field(TEXT.name, TEXT.type), *told]
    return pa.schema([*own, *plan.schema])


def _within(slices: Sequence[FileSlice], first: int, rows: int) -> Iterator[FileSlice]:
    """Yield the part of `slices` that begins `first` rows in and has at most `rows` rows."""
    for file, start, count in slices:
        part = min(count - first, rows)
        if part > 0:
            yield file, start + first, part
            rows -= part
        first = max(0, first - count)


def _near(slices: Sequence[FileSlice]) -> Iterator[list[FileSlice]]:
    """Yield the slices in order, those of one file that lie near each other together.

    The rows of a sample are slices of their own; so a row group is not read once for each.
    """
    group: list[FileSlice] = []
    for file, first, rows in slices:
        if group and (group[0][0] != file or first + rows - group[0][1] > NEAR_ROWS):
            yield group
            group = []
        group.append((file, first, rows))
    if group:
        yield group


def _taken(
    read_slice: Callable[[int, int, int], pa.Table], slices: Sequence[FileSlice]
) -> pa.Table:
    """Return the rows of slices of one file, read at once."""
    (file, start, _), (_, last, rows) = slices[0], slices[-1]
    table = read_slice(file, start, last + rows - start)
    if len(slices) == 1:
        return table
    ranges = (range(first - start, first - start + rows) for _, first, rows in slices)
    return table.take(pa.array(itertools.chain.from_iterable(ranges), pa.int64()))


def _staged_slice(plan: Plan, index: int, first: int, rows: int) -> pa.Table:
    name, total = plan.staged[index]
    table = parquet.read(Store.at(plan.dataset).location(name), first, rows, total)
    schema = _unit_schema(plan)
    own = [table[name] for name in schema.names[: len(schema) - len(plan.schema)]]
    others = staging.expanded(table[staging.OTHERS], plan.schema)
    return pa.Table.from_arrays([*own, *others], schema=schema)


def _input_slice(plan: Plan, rows_of_file: Rows, index: int, first: int, rows: int) -> pa.Table:
    file = plan.files[index]
    options = plan.measuring["input"]
    table = rows_of_file.read(file.path, first, rows, file.rows, options.get("image"))
    problems: dict[int, str] = {}
    url = _urls(plan, table, file, first, problems)
    columns = [url, _texts(table[options["text"]], url, options, problems)]
    columns.append(staging.text_array([problems.get(row) for row in range(rows)]))
    if plan.images:
        numbers = pa.array(range(first, first + rows), pa.int64())
        columns += [pa.array([file.path] * rows), numbers, pa.nulls(rows, pa.int64())]
    of_file = of_folders(file.name)
    for field in plan.schema:
        name = source_of(field)
        if name in of_file:
            columns.append(pa.array([of_file[name]] * rows, field.type))
        elif name not in table.column_names:
            columns.append(pa.nulls(rows, field.type))
        elif name in options["as_text"]:
            column = parquet.plain(table[name], parquet.plain_type(table[name].type))
            columns.append(pa.chunked_array([as_text(c) for c in column.chunks], pa.string()))
        else:
            columns.append(parquet.plain(table[name], field.type))
    return pa.Table.from_arrays(columns, schema=_unit_schema(plan))


def _urls(
    plan: Plan, table: pa.Table, file: File, first: int, problems: dict[int, str]
) -> pa.ChunkedArray:
    """Return the URLs of rows; where the input may hold their images, an address for want of one.

    So two rows without a URL never pass for the same pair.
    """
    name = plan.measuring["input"]["url"]
    found = pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
    if name in table.column_names:
        found = _checked(table[name], name, problems)
    if not plan.images:
        return found
    urls = [
        url if url and url.strip() else own_address(plan.format, file.name, f"#{row}")
        for row, url in enumerate(found.to_pylist(), first)
    ]
    return pa.chunked_array([staging.text_array(urls)])


def _texts(
    column: pa.ChunkedArray,
    urls: pa.ChunkedArray,
    options: dict[str, Any],
    problems: dict[int, str],
) -> pa.ChunkedArray:
    """Return the texts of a column of texts, or one out of each of a column of lists of them."""
    name = options["text"]
    if not pa.types.is_nested(parquet.plain_type(column.type)):
        return _checked(column, name, problems)
    lists = parquet.plain(column, pa.list_(pa.binary())).to_pylist()
    pairs = zip(lists, urls.to_pylist(), strict=True)
    texts: list[str | None] = []
    for row, (captions, url) in enumerate(pairs):
        usable = [parquet.utf8(caption) for caption in captions or ()]
        texts.append(chosen(usable, options["caption"], url or ""))
        if texts[-1] is None and usable.count(None) > (captions or []).count(None):
            problems.setdefault(row, f"`{name}` holds no caption in UTF-8")
    return pa.chunked_array([staging.text_array(texts)])


def _checked(column: pa.ChunkedArray, name: str, problems: dict[int, str]) -> pa.ChunkedArray:
    """Return a column of URLs or texts, and note which are not UTF-8."""
    found, wrong = parquet.texts(column)
    for row, value in wrong.items():
        problems.setdefault(row, f"`{name}` is not UTF-8: {value[:SHOWN]}")
    return found
