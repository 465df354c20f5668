"""The columns of every block, joined once and kept: what `select` makes before it judges.

It is made from what was gathered, scored and grouped, and says so: a block of which something else
is there by now is joined anew, the others are not. Nothing depends on it but the time that it
saves: who finds it outdated joins the ledger.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import costs
from pairsieve.pipeline.dataset.commit import commit, damaged, fingerprint, tidy
from pairsieve.pipeline.dataset.commit import replace as put
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    COLUMNS_MARKER,
    content,
    marker_path,
    pool_blocks,
    task_name,
)
from pairsieve.pipeline.dataset.stages import COLUMNS, GROUP
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger import column_files
from pairsieve.pipeline.ledger.block_table import joined, stored_type
from pairsieve.pipeline.ledger.files import CAPTIONS, UNITS, ColumnFile, LedgerFiles, blocks
from pairsieve.pipeline.ledger.ledger import check_further

VERSION = 1  # of what is held
COLUMN_UNITS = 25  # of a file; blocks of any multiple read it, those of `report` among them
OF, PARTS, EACH = "of", "parts", "each"  # in the marker: of a file, of a file, of all
Entry = dict[str, Any]  # of a file in a marker


def run(store: Store, engine: Engine, files: LedgerFiles, units: int = COLUMN_UNITS) -> LedgerFiles:
    """Return the files of a ledger with those of its columns, made where they are not there.

    Each is made by a task that commits it, of so many units.

    Raises:
        BadOption: a further model's column is called as one of the input.
        Stopped: a task's process kept dying, or a file is not what was committed.
    """
    parts = dict(_parts(files, units))
    entries = {path: entry for path, entry in _entries(store, units) if entry[OF] in parts}
    lacking = parts.keys() - {entry[OF] for entry in entries.values()}
    if lacking:
        _check_names(store, files)
        folder = pool_blocks(COLUMNS, fingerprint(list(parts), units))
        items = rounds.numbered((of, part) for of, part in parts.items() if of in lacking)
        task = partial(_write, store, folder, engine.task_threads)
        rounds.run(store, engine, folder, task, items)
        for marker in store.markers(folder).values():
            entries |= marker.files
        spent = costs.of_rounds(store, [folder])
        made = Marker(0, entries, {}, {EACH: units} | spent)
        put(store, COLUMNS_MARKER, made)
        tidy(store, pool_blocks(COLUMNS), made)
    return _with(files, entries)


def current(store: Store, files: LedgerFiles) -> LedgerFiles:
    """Return the files of a ledger with those of its columns, if these are there and of the same.

    Raises:
        Stopped: the marker is damaged.
    """
    marker = store.marker(COLUMNS_MARKER)
    if marker is None:
        return files
    units = marker.extra[EACH]
    entries = dict(_entries(store, units))
    of = {entry[OF] for entry in entries.values()}
    return _with(files, entries) if of == {of for of, _ in _parts(files, units)} else files


def _check_names(store: Store, files: LedgerFiles) -> None:
    """Refuse a further model whose column is called as one of the input; BadOption."""
    with store.reader(files.gathered[0].name) as source:
        names = pq.read_schema(source).names
    check_further(names, (name for name in files.scores if name not in ("", CAPTIONS)))


def _entries(store: Store, units: int) -> Iterator[tuple[str, Entry]]:
    """Yield the files that are there, each of so many units."""
    marker = store.marker(COLUMNS_MARKER)
    if marker and marker.extra[EACH] == units:
        gone = {name for name, _ in damaged(store, [marker])}
        yield from ((name, entry) for name, entry in marker.files.items() if name not in gone)


def _with(files: LedgerFiles, entries: dict[str, Entry]) -> LedgerFiles:
    columns = [
        ColumnFile(name, entry["bytes"], entry[PARTS], (entry[UNITS][0], entry[UNITS][1]))
        for name, entry in entries.items()
    ]
    return replace(files, columns=tuple(sorted(columns, key=lambda file: file.units)))


def _parts(files: LedgerFiles, units: int) -> Iterator[tuple[str, LedgerFiles]]:
    """Yield the files of so many units each, behind what stands for their content."""
    grouped = tuple(result for result in files.results if result.view == GROUP.view)
    for part in blocks(replace(files, results=grouped, columns=()), units):
        scored = {name: [file.name for file in of] for name, of in part.scores.items() if of}
        gathered = [file.name for file in part.gathered]
        of_pool = [file.name for result in part.results for file in result.files]
        yield fingerprint(VERSION, gathered, scored, of_pool), part


def _write(
    store: Store, folder: str, threads: int | None, item: tuple[int, tuple[str, LedgerFiles]]
) -> Marker:
    """Join the columns of a part and commit them."""
    number, (of, part) = item
    columns: dict[str, pa.Field] = {}

    def wanted(field: pa.Field) -> bool:
        columns.setdefault(field.name, pa.field(field.name, stored_type(field.type)))
        return column_files.is_held(field)

    table, _ = joined(store, part, wanted, threads)
    path = content(folder, task_name(number), ".bin")
    sink, parts = column_files.write(store, path, table, columns.values())
    assert part.units
    entry = sink.entry() | {UNITS: list(part.units), PARTS: parts, OF: of}
    marker = Marker(table.num_rows, {path: entry})
    return commit(store, marker_path(folder, task_name(number)), marker)
