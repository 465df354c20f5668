"""The rows that leave, as tasks read them: out of the files that were found block by block."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.files import UNITS, Units, any_of
from pairsieve.schemas.columns import ROW


def files_in(found: Iterable[Marker], units: Units | None = None) -> tuple[str, ...]:
    """Return the files of rows of some units; None for all."""
    entries = (item for marker in found for item in marker.files.items())
    return tuple(name for name, entry in entries if units is None or any_of(entry, *units))


def read_rows(store: Store, files: Iterable[str]) -> NDArray[np.int64]:
    """Return the rows in these files, sorted."""
    parts = [np.zeros(0, np.int64)]
    for file in files:
        with store.reader(file) as source:
            parts.append(pq.read_table(source, columns=[ROW.name])[ROW.name].to_numpy())
    return np.sort(np.concatenate(parts))


def tables_of(
    marker: Marker, found: Iterable[Marker]
) -> Iterator[tuple[int, str, dict[str, Any], tuple[str, ...]]]:
    """Yield number, name, entry of each table of a marker, and the files of rows that leave it."""
    tables = (item for item in marker.files.items() if item[0].endswith(".parquet"))
    for number, (name, entry) in enumerate(tables):
        yield number, name, entry, files_in(found, units_of(entry))


def units_of(entry: Mapping[str, Any]) -> Units | None:
    """Return the units of which a file, given as a marker has it, holds rows; None for all."""
    return (entry[UNITS][0], entry[UNITS][1]) if UNITS in entry else None
