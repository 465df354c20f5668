"""Bins of histograms: which are drawn of a measured number, found from a part of the pool.

A bin is as wide as a round number; the outermost 1 % on either side share the end bins, so one
value far out does not flatten the rest. Where the 1 % are is found from some units, evenly spread
over the pool; what is counted in the bins is exact.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, unit_files
from pairsieve.pipeline.stats.partials import committed
from pairsieve.schemas.columns import (
    CLUSTER,
    COLUMNS,
    IMAGE_BYTES,
    IMAGE_CHECKSUM,
    IMAGE_OFFSET,
    ROW,
    SHARD_OFFSET,
    STORED_HEIGHT,
    STORED_WIDTH,
    Column,
)

BINS = 30  # about this many bins per histogram
RANGE_UNITS = 32  # units, evenly spread over the pool, that set the range of a histogram
LOCATIONS = (
    ROW, CLUSTER, STORED_WIDTH, STORED_HEIGHT, IMAGE_OFFSET, IMAGE_BYTES, IMAGE_CHECKSUM,
    SHARD_OFFSET,
)  # fmt: skip
RANGES = "ranges"  # in the marker: (low, high) by column


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a number: `step` wide, the first and the last in multiples of it."""

    step: float
    first: int
    last: int

    def index(self, value: str) -> str:
        """Return the bin of a value as SQL; the end bins hold what lies beyond."""
        return f"least(greatest(floor({value} / {self.step!r}), {self.first}), {self.last})::BIGINT"


def measured_numbers(other_scores: tuple[Column, ...] = ()) -> tuple[Column, ...]:
    """Return the columns worth a histogram: numbers with a unit that say something of a pair.

    `other_scores` are the columns that further models measured.
    """
    return tuple(
        column
        for column in (*COLUMNS, *other_scores)
        if column.unit
        and column not in LOCATIONS
        and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
    )


def find_bins(
    store: Store, engine: Engine, files: LedgerFiles, numbers: tuple[Column, ...], folder: str
) -> dict[str, Bins]:
    """Return the bins of those numbers that the units looked at have; one task finds them."""
    task = partial(_look, store, files, numbers, folder, engine.task_threads)
    rounds.run(store, engine, folder, task, rounds.numbered([None]))
    (marker,) = store.markers(folder).values()
    ranges = marker.extra[RANGES]
    return {c.name: bins_of(c, *ranges[c.name]) for c in numbers if c.name in ranges}


def bins_of(column: Column, low: float, high: float) -> Bins:
    """Return the bins of a column between two of its values."""
    step = _round_step((high - low) / BINS, pa.types.is_integer(column.type))
    return Bins(step, math.floor(low / step), math.floor(high / step))


def spread(units: list[int]) -> list[int]:
    """Return at most `RANGE_UNITS` of these, as far apart as can be."""
    count = min(RANGE_UNITS, len(units))
    return [units[number * len(units) // count] for number in range(count)]


def _look(
    store: Store,
    files: LedgerFiles,
    numbers: tuple[Column, ...],
    folder: str,
    threads: int | None,
    item: tuple[int, None],
) -> Marker:
    """Find the ranges in some units and commit them."""
    names = [column.name for column in numbers]
    units = spread(sorted({file.unit for file in files.gathered}))
    tables = [block_table(store, unit_files(files, unit), names, threads) for unit in units]
    ranges = dict(_ranges(pa.concat_tables(tables, promote_options="default"))) if tables else {}
    return committed(store, (folder, item[0]), Marker(0, {}, {}, {RANGES: ranges}))


def _ranges(table: pa.Table) -> Iterator[tuple[str, list[float]]]:
    """Yield column, 1st and 99th percentile of each number of a table that is measured."""
    for name in table.column_names:
        values = table[name].drop_null().to_numpy().astype(np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            yield name, np.quantile(values, (0.01, 0.99), method="inverted_cdf").tolist()


def _round_step(width: float, whole: bool) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `width`."""
    if width <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width * 0.999)
    return max(step, 1.0) if whole else step
