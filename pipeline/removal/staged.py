"""The staged input files: URL, text and all else of the pairs leave them.

Input files that are read in place are the user's, and nothing is written to them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import attempt, staged
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import staging
from pairsieve.pipeline.removal.replacement import NEW, Replacement, with_files
from pairsieve.pipeline.removal.rows import read_rows
from pairsieve.pipeline.unit.plan_file import Plan

NOTHING = "{}"  # the JSON of a pair without extra columns


class Stretch(NamedTuple):
    """Rows of the ledger that lie one after the other in a staged file."""

    row: int
    first: int
    rows: int


@dataclass(frozen=True, slots=True)
class StagedTask:
    """Prepares staged files without the pairs.

    Attributes:
        store: The dataset.
        folder: Of the round.
        files: Name and rows of each staged file.
        entries: Their sizes and checksums.
        found: The files of rows that leave.
    """

    store: Store
    folder: str
    files: Sequence[tuple[str, int]]
    entries: dict[str, dict[str, object]]
    found: tuple[str, ...]

    def __call__(self, item: tuple[int, list[Stretch]]) -> Marker:
        """Prepare one staged file and commit it."""
        number, stretches = item
        rows = read_rows(self.store, self.found)
        name, total = self.files[number]
        gone = np.zeros(total, bool)
        for stretch in stretches:
            own = rows[(rows >= stretch.row) & (rows < stretch.row + stretch.rows)]
            gone[own - stretch.row + stretch.first] = True
        new = Replacement(int(gone.sum()))
        path = staged(attempt(), number)
        with (
            self.store.reader(name) as source,
            self.store.writer(path) as sink,
            pq.ParquetWriter(
                sink, staging.SCHEMA, compression="zstd", use_dictionary=False
            ) as writer,
        ):
            old, first = pq.ParquetFile(source), 0
            for group in range(old.num_row_groups):
                table = old.read_row_group(group)
                empty = _emptied(table, gone[first : first + len(table)])
                writer.write_table(empty, row_group_size=max(1, len(table)))
                first += len(table)
        new.succeed(name, self.entries.get(name, {}), path, sink.entry())
        return new.commit(self.store, self.folder, number)


def _emptied(table: pa.Table, gone: NDArray[np.bool_]) -> pa.Table:
    empty = table.take(pa.array(np.arange(len(gone)), mask=gone))
    index = table.schema.get_field_index(staging.OTHERS)
    others = pa.compute.fill_null(empty[staging.OTHERS], NOTHING)
    return empty.set_column(index, table.schema.field(index), others)


def stretches(plan: Plan, units: Sequence[int]) -> dict[int, list[Stretch]]:
    """Return where the rows of some units lie, by the number of the staged file."""
    found: dict[int, list[Stretch]] = {}
    for unit in units if plan.staged else ():
        for file, stretch in _of_unit(plan, unit):
            found.setdefault(file, []).append(stretch)
    return found


def _of_unit(plan: Plan, unit: int) -> Iterator[tuple[int, Stretch]]:
    row = unit * plan.unit_pairs
    for file, first, rows in plan.units[unit]:
        yield file, Stretch(row, first, rows)
        row += rows


def planned_without(plan: Plan, prepared: Sequence[Marker]) -> Plan:
    """Return the plan over the new staged files."""
    new = {old: name for one in prepared for old, name in one.extra[NEW].items()}
    names = [(new.get(name, name), rows) for name, rows in plan.staged]
    return replace(plan, staged=names, staged_entries=with_files(plan.staged_entries, prepared))
