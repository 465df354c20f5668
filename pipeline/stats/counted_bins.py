"""How many values of each measured number lie in each of its bins, in one block.

It is the largest part of counting a block. numpy does it in a third of the time that DuckDB takes
to group by the bin.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.stats.histogram_bins import Bins
from pairsieve.pipeline.stats.partials import BINS
from pairsieve.schemas.columns import KEEP, Column, arrow_schema

Floats = NDArray[np.float64]
Counts = tuple[Sequence[int | None], NDArray[Any], Floats, Floats]  # bins, (n, 2), lowest, highest


def counted(table: pa.Table, numbers: Sequence[tuple[Column, Bins | None]]) -> pa.Table:
    """Return the bins that hold values of a block's numbers, as the table `bins` has them.

    Where the bins are not known yet, each value is one by itself.
    """
    keep = table[KEEP.name].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
    schema = arrow_schema(BINS)
    tables = [schema.empty_table()]
    for name, bins, (values, kept) in _measured(table, numbers, keep):
        index, pairs, lowest, highest = (
            _in_bins(bins, values, kept) if bins else _each(values, kept)
        )
        columns = [[name] * len(index), index, pairs.sum(axis=1), pairs[:, 1], lowest, highest]
        tables.append(pa.table(columns, schema.names).cast(schema))
    return pa.concat_tables(tables)


def _measured(
    table: pa.Table, numbers: Sequence[tuple[Column, Bins | None]], keep: NDArray[np.bool_]
) -> Iterator[tuple[str, Bins | None, tuple[Floats, NDArray[np.bool_]]]]:
    """Yield of each number its name, its bins, its finite values and which of them are kept."""
    there = set(table.column_names)
    for column, bins in numbers:
        if column.name not in there or table[column.name].null_count == len(table):
            continue
        whole = table[column.name].combine_chunks()
        values = whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        finite = np.isfinite(values)  # null is not a number here
        if finite.any():
            yield column.name, bins, (values[finite], keep[finite])


def _in_bins(bins: Bins, values: Floats, keep: NDArray[np.bool_]) -> Counts:
    """Count values in bins; the first that has any begins at the lowest, the last ends likewise."""
    index = bins.places(values)
    length = 2 * (bins.last - bins.first + 1)
    pairs = np.bincount(2 * (index - bins.first) + keep, minlength=length).reshape(-1, 2)
    there = np.flatnonzero(pairs.sum(axis=1))
    edges = np.array(
        [[bins.edge(one), bins.edge(one + 1)] for one in (bins.first + there).tolist()]
    )
    edges[0, 0], edges[-1, 1] = values.min(), values.max()
    return (bins.first + there).tolist(), pairs[there], edges[:, 0], edges[:, 1]


def _each(values: Floats, keep: NDArray[np.bool_]) -> Counts:
    """Count every value by itself."""
    found, index = np.unique(values, return_inverse=True)
    pairs = np.bincount(2 * index + keep, minlength=2 * len(found)).reshape(-1, 2)
    return [None] * len(found), pairs, found, found
