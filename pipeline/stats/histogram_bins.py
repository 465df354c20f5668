"""Bins of histograms: which are drawn of a measured number, found from a part of the pool.

A bin is as wide as a round number, and where values span decades, as wide in their logarithms; the
outermost 1 % on either side share the end bins, so one value far out does not flatten the rest.
Where the 1 % are is found from some units, evenly spread over the pool; what is counted in the bins
is exact.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, unit_files
from pairsieve.pipeline.ledger.ledger import connect
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

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BINS = 30  # about this many bins per histogram
RANGE_UNITS = 32  # units, evenly spread over the pool, that set the range of a histogram
LOCATIONS = (
    ROW, CLUSTER, STORED_WIDTH, STORED_HEIGHT, IMAGE_OFFSET, IMAGE_BYTES, IMAGE_CHECKSUM,
    SHARD_OFFSET,
)  # fmt: skip
RANGES = "ranges"  # in the marker: (low, high) by name
DECADES = 100  # from so many times the lowest value on, bins are of logarithms
LOG_STEPS = (0.05, 0.1, 0.2, 0.5, 1.0)  # decades
ROUNDING = 1e-9  # of a step: so 0.7 is not below the seventh multiple of 0.1
WHOLE_STEP = 0.2  # decades: with less, no whole number would lie in some bins below 10


@dataclass(frozen=True, slots=True)
class Measure:
    """What bins are found of: a number of each pair, by name.

    Attributes:
        name: A column of the ledger, or a threshold.
        value: SQL of the number over the ledger; None for that of the column.
        reads: The columns that this reads.
        whole: Whether it is a whole number.
        at: A value that is to lie within the bins.
    """

    name: str
    value: str | None
    reads: frozenset[str]
    whole: bool
    at: float | None = None

    @classmethod
    def of(cls, column: Column) -> Self:
        """Return the values of a column."""
        whole = pa.types.is_integer(column.type)
        return cls(column.name, None, frozenset((column.name,)), whole)


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of a number: `step` wide, the first and the last in multiples of it.

    With `decades` it is the logarithm to base 10 that is cut into steps; what has none is in the
    first bin.
    """

    step: float
    first: int
    last: int
    decades: bool = False

    def index(self, value: str) -> str:
        """Return the bin of a value as SQL; the end bins hold what lies beyond."""
        if not self.decades:
            return self._within(value)
        inside = self._within(f"log10({value})")
        return f"CASE WHEN {value} > 0 THEN {inside} ELSE {self.first} END"

    def _within(self, value: str) -> str:
        index = f"floor({value} / {self.step!r} + {ROUNDING!r})"
        return f"least(greatest({index}, {self.first}), {self.last})::BIGINT"

    def places(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the bin of each of these finite values, as `index` does."""
        if self.decades:
            values = np.log10(values, out=np.full(len(values), -np.inf), where=values > 0)
        with np.errstate(invalid="ignore"):
            index = np.floor(values / self.step + ROUNDING)
        return np.clip(index, self.first, self.last).astype(np.int64)

    def edge(self, index: int) -> float:
        """Return where a bin begins."""
        if self.decades:
            return float(f"{10 ** (index * self.step):.10g}")
        return float(f"{index * self.step:.15g}")


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
    store: Store, engine: Engine, files: LedgerFiles, measures: Sequence[Measure], folder: str
) -> dict[str, Bins]:
    """Return the bins of those measures that the units looked at have; one task finds them."""
    task = partial(_look, store, files, measures, folder, engine.task_threads)
    rounds.run(store, engine, folder, task, rounds.numbered([None]))
    (marker,) = store.markers(folder).values()
    ranges = marker.extra[RANGES]
    return {m.name: bins_of(m, *ranges[m.name]) for m in measures if m.name in ranges}


def bins_of(measure: Measure, low: float, high: float) -> Bins:
    """Return the bins of a measure between two of its values."""
    if measure.at is not None:
        low, high = min(low, measure.at), max(high, measure.at)
    if low > 0 and high / low >= DECADES:
        step = _log_step(math.log10(high / low), measure.whole and low < 10)
        return Bins(step, *_indices(step, math.log10(low), math.log10(high)), decades=True)
    step = _round_step((high - low) / BINS, measure.whole)
    return Bins(step, *_indices(step, low, high))


def _indices(step: float, low: float, high: float) -> tuple[int, int]:
    return math.floor(low / step + ROUNDING), math.floor(high / step + ROUNDING)


def _log_step(decades: float, whole: bool) -> float:
    """Return the least step, decades, of which about `BINS` cover so many."""
    steps = [step for step in LOG_STEPS if not whole or step >= WHOLE_STEP]
    return next((step for step in steps if decades / step <= BINS), steps[-1])


def spread(units: list[int]) -> list[int]:
    """Return at most `RANGE_UNITS` of these, as far apart as can be."""
    count = min(RANGE_UNITS, len(units))
    return [units[number * len(units) // count] for number in range(count)]


def _look(
    store: Store,
    files: LedgerFiles,
    measures: Sequence[Measure],
    folder: str,
    threads: int | None,
    item: tuple[int, None],
) -> Marker:
    """Find the ranges in some units and commit them."""
    names = sorted({name for measure in measures for name in measure.reads})
    units = spread(sorted({file.unit for file in files.gathered}))
    tables = [block_table(store, unit_files(files, unit), names, threads) for unit in units]
    table = pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
    with connect(store, threads=threads) as connection:
        connection.register("looked_at", table)
        ranges = dict(_ranges(connection, table, measures))
    return committed(store, (folder, item[0]), Marker(0, {}, {}, {RANGES: ranges}))


def _ranges(
    connection: "DuckDBPyConnection", table: pa.Table, measures: Sequence[Measure]
) -> Iterator[tuple[str, list[float]]]:
    """Yield name, 1st and 99th percentile of each number of a table that is measured."""
    there = {name.lower() for name in table.column_names}
    for measure in measures:
        if not {name.lower() for name in measure.reads} <= there:
            continue
        if measure.value is None:
            column = table[measure.name]
        else:
            query = f"SELECT {measure.value} AS v FROM looked_at AS ledger"
            column = connection.sql(query).to_arrow_table()["v"]
        values = column.drop_null().to_numpy().astype(np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            ends = np.quantile(values, (0.01, 0.99), method="inverted_cdf")
            yield measure.name, ends.tolist()


def _round_step(width: float, whole: bool) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `width`."""
    if width <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= width * 0.999)
    return max(step, 1.0) if whole else step
