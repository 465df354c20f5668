"""Some columns of the ledger of one block, put together by row in memory.

Every part is sorted by row, or nearly, so that each of its columns is taken to its place: a join by
a hash table costs three times as much.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger import column_files
from pairsieve.pipeline.ledger.files import CAPTIONS, LedgerFiles, ResultFile, SliceFile
from pairsieve.pipeline.ledger.verdicts import VERDICTS
from pairsieve.schemas.columns import CAPTIONED, EMBEDDED, GATHERED, ROW, Column

AnyFile = SliceFile | ResultFile
Names = dict[str, str]  # column of a file -> column of the ledger
Rows = NDArray[np.int64]  # (n,), rows of the ledger
Wanted = Callable[[pa.Field], bool]  # whether a column is to be read


def block_table(
    store: Store,
    files: LedgerFiles,
    columns: Collection[str],
    threads: int | None,
    only: Rows | None = None,
) -> pa.Table:
    """Return `row` and those of `columns` that the ledger has, a row per pair, sorted by row.

    Args:
        store: The dataset.
        files: The files of the block; of verdicts the columns are those of their files.
        columns: Names, in any case, of which those that the ledger lacks are passed over.
        threads: How many to read with; None for as many as there are processors.
        only: As for `block_tables`.
    """
    return block_tables(store, files, columns, threads, only=only)[0]


def named(names: Collection[str]) -> Wanted:
    """Return what wants the columns of these names, which are in lower case."""
    return lambda field: field.name.lower() in names


def block_tables(
    store: Store,
    files: LedgerFiles,
    columns: Collection[str],
    threads: int | None,
    superseded: Collection[str] = (),
    only: Rows | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Return what `block_table` does, and the rows that retry layers replaced, as gathered.

    These have columns of `gather` alone, `superseded` among them, and are sorted by row and layer.
    With `only`, (n,), in ascending order, those rows alone.
    """
    wanted = {name.lower() for name in columns} | {ROW.name}
    if not files.columns:
        return joined(store, files, named(wanted | {*superseded}), threads, only)
    table, others = column_files.read(store, files.columns, wanted, threads)
    if only is not None:
        table = table.filter(_is_in(table[ROW.name].to_numpy(), only))
    lacking = wanted & (others | _of_parts(files))
    return completed(store, files, table, lacking, threads, superseded, only)


def _of_parts(files: LedgerFiles) -> set[str]:
    """Return the names of the columns of each part but the gathered one."""
    return {name for names, _, _ in _parts(files) for name in names.values()}


def completed(
    store: Store,
    files: LedgerFiles,
    table: pa.Table,
    lacking: Collection[str],
    threads: int | None,
    superseded: Collection[str] = (),
    only: Rows | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Return a table with further columns, and what `block_tables` does beside.

    Args:
        store: The dataset.
        files: The files of the block that hold the table's rows.
        table: `row` and some columns, sorted by row.
        lacking: Names of the further columns, in lower case.
        threads: How many to read with.
        superseded: As for `block_tables`.
        only: Likewise; the rows of the table.
    """
    replaced = table.slice(0, 0)
    if of_gather := {*({*lacking} - _of_parts(files)), *superseded}:
        of_gather |= {ROW.name}
        more, replaced = _gathered(store, files.gathered, named(of_gather), threads, only)
        for field in more.schema:
            if field.name.lower() in lacking and field.name not in table.column_names:
                table = table.append_column(field, more[field.name])
    return _with_parts(store, files, table, named(lacking), threads, only), replaced


def joined(
    store: Store,
    files: LedgerFiles,
    wanted: Wanted,
    threads: int | None,
    only: Rows | None = None,
) -> tuple[pa.Table, pa.Table]:
    """Return what `block_tables` does, of the columns that are `wanted`, `row` among them."""
    table, superseded = _gathered(store, files.gathered, wanted, threads, only)
    return _with_parts(store, files, table, wanted, threads, only), superseded


def _with_parts(
    store: Store,
    files: LedgerFiles,
    table: pa.Table,
    wanted: Wanted,
    threads: int | None,
    only: Rows | None,
) -> pa.Table:
    """Return a table of gathered columns with those of the other parts that it has not yet."""
    rows = table[ROW.name].to_numpy()
    span = (int(rows[0]), int(rows[-1])) if files.units and len(rows) else None
    for names, of, declared in _parts(files):
        fields = {
            column.name: pa.field(names[column.name], column.type)
            for column in declared
            if names[column.name] not in table.column_names
        }
        chosen = {own: field for own, field in fields.items() if wanted(field)}
        if not chosen:
            continue
        part = _read(store, of, named({ROW.name, *chosen}), threads, only, span)
        order = places_of(part[ROW.name].to_numpy(), rows) if of else None
        for own, field in chosen.items():
            there = order is not None and own in part.column_names
            taken = part[own].take(order) if there else pa.nulls(len(rows), field.type)
            table = table.append_column(field.name, taken)
    return table


def _parts(files: LedgerFiles) -> Iterator[tuple[Names, Sequence[AnyFile], Sequence[Column]]]:
    """Yield the columns of each part but the gathered one: names, files, and what they are."""
    of_models: Mapping[str, Sequence[AnyFile]] = {CAPTIONS: (), **files.scores}
    for model, scores in of_models.items():
        if model == CAPTIONS:
            yield {column.name: column.name for column in CAPTIONED}, scores, CAPTIONED
            continue
        suffix = f"_{model}" if model else ""
        names = {column.name: f"{column.name}{suffix}" for column in EMBEDDED}
        yield names, scores, EMBEDDED
    for result in files.results:
        columns = VERDICTS[1:] if result.view == SELECT.view else result.columns
        names = {column.name: f"{column.name}{result.suffix}" for column in columns}
        yield names, result.files, columns


def _gathered(
    store: Store,
    files: Sequence[SliceFile],
    wanted: Wanted,
    threads: int | None,
    only: Rows | None,
) -> tuple[pa.Table, pa.Table]:
    """Return columns of the pairs, of each its latest retry layer, and those that it replaced."""
    layers = sorted({0, *(file.layer for file in files)})
    tables = [
        _read(store, [file for file in files if file.layer == layer], wanted, threads, only)
        for layer in layers
    ]
    first = tables[0][ROW.name].to_numpy()
    order = np.argsort(first, kind="stable") if np.any(first[1:] < first[:-1]) else None
    rows = first if order is None else first[order]
    latest = np.arange(len(rows)) if order is None else order
    begin = len(rows)
    for table in tables[1:]:
        again = table[ROW.name].to_numpy()
        latest[np.searchsorted(rows, again)] = begin + np.arange(len(again))
        begin += len(again)
    if order is None and begin == len(rows):
        return tables[0], tables[0].slice(0, 0)
    whole = pa.concat_tables(tables, promote_options="default")
    replaced = np.delete(np.arange(begin), latest)
    numbers = np.concatenate([table[ROW.name].to_numpy() for table in tables])[replaced]
    replaced = replaced[np.argsort(numbers, kind="stable")]
    return whole.take(pa.array(latest)), whole.take(pa.array(replaced))


def places_of(part: Rows, rows: Rows) -> pa.Array:
    """Return where each of `rows` stands in `part`, (n,); null where it does not."""
    order = np.argsort(part, kind="stable") if np.any(part[1:] < part[:-1]) else None
    found = part if order is None else part[order]
    places = np.searchsorted(found, rows)
    inside = np.minimum(places, max(0, len(found) - 1))
    missing = found[inside] != rows if len(found) else np.ones(len(rows), bool)
    return pa.array(inside if order is None or not len(found) else order[inside], mask=missing)


def _read(
    store: Store,
    of: Sequence[AnyFile],
    wanted: Wanted,
    threads: int | None,
    only: Rows | None,
    span: tuple[int, int] | None = None,
) -> pa.Table:
    """Return columns of Parquet files, one after the other; empty columns without any file.

    Of a result the row groups are read that have rows of the `span`; with `only`, those rows stay.
    """

    def read(file: AnyFile) -> pa.Table:
        table = _read_file(store, file, wanted, span)
        return table if only is None else table.filter(_is_in(table[ROW.name].to_numpy(), only))

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        tables = list(pool.map(read, of))
    if not tables:
        fields = [pa.field(column.name, column.type) for column in GATHERED]
        return pa.schema([field for field in fields if wanted(field)]).empty_table()
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def _is_in(rows: Rows, only: Rows) -> pa.Array:
    """Return whether each of some rows is among others, which are in ascending order."""
    places = np.searchsorted(only, rows)
    there = np.zeros(len(rows), bool)
    inside = places < len(only)
    there[inside] = only[places[inside]] == rows[inside]
    return pa.array(there)


def _read_file(
    store: Store,
    file: AnyFile,
    wanted: Wanted,
    span: tuple[int, int] | None,
) -> pa.Table:
    over_pool = isinstance(file, ResultFile) and file.units is None
    with _open(store, file, whole=not over_pool) as source:
        parquet: Any = pq.ParquetFile(source, pre_buffer=True)
        names = [field.name for field in parquet.schema_arrow if wanted(field)]
        groups = list(range(parquet.num_row_groups))
        if span and isinstance(file, ResultFile):
            groups = [group for group in groups if _overlaps(parquet.metadata, group, span)]
        table = parquet.read_row_groups(groups, columns=names, use_threads=False)
    for index, field in enumerate(table.schema):
        if field.type != (type := stored_type(field.type)):
            table = table.set_column(index, field.name, table.column(index).cast(type))
    return table


def stored_type(type: pa.DataType) -> pa.DataType:
    """Return the type that a column of a file has in the ledger: DuckDB reads times as numbers."""
    return pa.int64() if pa.types.is_duration(type) else type


def _open(store: Store, file: AnyFile, whole: bool) -> BinaryIO:
    """Return a file; one that is read `whole` is compared with its checksum."""
    if not whole or file.sha256 is None:
        return store.reader(file.name)
    return checksums.read(store, file.name, {"sha256": file.sha256})


def _overlaps(metadata: Any, group: int, span: tuple[int, int]) -> bool:
    """Return whether a row group may have rows of the span."""
    place = metadata.schema.names.index(ROW.name)
    rows = metadata.row_group(group).column(place).statistics
    return rows is None or not rows.has_min_max or rows.min <= span[1] and span[0] <= rows.max
