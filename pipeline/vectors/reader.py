"""The vectors of a dataset: which models made some, and reading them in row order.

A model's vectors lie in a folder of their own, a file per task slice; they are read a unit at a
time, because the slices of a unit, after a crash or a retry, have its rows in no order of their
names.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    EMBED_FOLDER,
    SCORES_SUFFIX,
    VECTORS_SUFFIX,
    files,
    parsed,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.columns import IMAGE_EMBEDDING, ROW, TEXT_EMBEDDING, Column
from pairsieve.schemas.errors import BadOption, nearest

BOTH = (IMAGE_EMBEDDING, TEXT_EMBEDDING)


class Unit(NamedTuple):
    """The committed files of one unit's vectors, and how many rows they have."""

    files: tuple[str, ...]
    rows: int


def choose_folder(store: Store, model: str | None) -> str:
    """Return the folder of a model's vectors: the one named, or the only one there is.

    Raises:
        BadOption: there is no such folder, or there are several and none is named.
    """
    folders = store.marker_names(EMBED_FOLDER)
    if not folders:
        raise BadOption(f"{store.url}: holds no vectors; `pairsieve embed` makes them")
    if model is None and len(folders) > 1:
        raise BadOption(f"--model: say which of the models' vectors: {', '.join(folders)}")
    if model is not None and model not in folders:
        raise BadOption(f"--model: there are no vectors of `{model}`; {nearest(model, folders)}")
    return model or folders[0]


def units(store: Store, folder: str) -> list[Unit]:
    """Return the units that have vectors in a model's folder, in row order."""
    of_unit: dict[int, list[Marker]] = {}
    for name, marker in store.markers(vectors_folder(folder)).items():
        of_unit.setdefault(parsed(name)[0], []).append(marker)
    return [unit_of(markers) for _, markers in sorted(of_unit.items())]


def unit_of(markers: Sequence[Marker]) -> Unit:
    """Return the vectors of the task slices that have these markers, to be read together."""
    rows = sum(marker.counts["embedded"] for marker in markers)
    return Unit(tuple(files(markers, VECTORS_SUFFIX)), rows)


def read(
    store: Store, unit: Unit, columns: Sequence[Column] = BOTH
) -> tuple[NDArray[np.int64], list[NDArray[np.float16]]]:
    """Return the rows of a unit, ascending, (n,), and of each column the vectors, (n, d)."""
    import pyarrow as pa

    parts = []
    for name in unit.files:
        with checksums.open_parquet(store, name) as part:
            parts.append(part.read([c.name for c in (ROW, *columns)]))
    table = pa.concat_tables(parts)
    rows = table[ROW.name].to_numpy()
    order = np.argsort(rows)
    return rows[order], [matrix(table[column.name])[order] for column in columns]


def read_at(
    store: Store, unit: Unit, indices: NDArray[np.int64], column: Column
) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Return the rows at some indices of a unit's ascending ones, (n,), and their vectors, (n, d).

    They come in the order in which they are stored. Only row groups with such rows are read.
    """
    with ExitStack() as opened:
        parts = [opened.enter_context(checksums.open_parquet(store, name)) for name in unit.files]
        rows = np.concatenate([part.read([ROW.name])[ROW.name].to_numpy() for part in parts])
        stored = np.sort(np.argsort(rows)[indices])
        groups = [(part, number) for part in parts for number in range(part.num_row_groups)]
        ends = np.cumsum([part.metadata.row_group(number).num_rows for part, number in groups])
        group_of = np.searchsorted(ends, stored, side="right")
        parts_read = []
        for group in np.unique(group_of):
            part, number = groups[group]
            vectors = matrix(part.read_row_group(number, [column.name])[column.name])
            parts_read.append(vectors[stored[group_of == group] - (ends[group] - len(vectors))])
    return rows[stored], np.concatenate(parts_read)


def list_rows(connection: Any, store: Store, units: Sequence[Unit]) -> None:
    """Make the table `with_vectors` in DuckDB: the rows that have vectors, unit by unit."""
    import pyarrow as pa

    connection.execute(f"CREATE TEMP TABLE with_vectors ({ROW.name} BIGINT)")
    for unit in units:
        connection.register("of_unit", pa.table({ROW.name: read(store, unit, ())[0]}))
        connection.execute("INSERT INTO with_vectors FROM of_unit")


class InRowOrder:
    """The vectors of rows requested in ascending order; those of one unit are in memory."""

    def __init__(self, store: Store, units: Sequence[Unit]) -> None:
        self._store = store
        self._units = iter(units)
        self._rows = np.zeros(0, np.int64)
        self._matrices: list[NDArray[np.float16]] = []

    def at(self, rows: NDArray[np.int64]) -> Iterator[list[NDArray[np.float16]]]:
        """Yield the image and text vectors of `rows`, unit by unit."""
        while len(rows):
            in_unit = np.searchsorted(rows, self._rows[-1], "right") if len(self._rows) else 0
            if in_unit:
                indices = np.searchsorted(self._rows, rows[:in_unit])
                yield [matrix[indices] for matrix in self._matrices]
                rows = rows[in_unit:]
            else:
                self._rows, self._matrices = read(self._store, next(self._units))


def latest_scores(store: Store, folder: str) -> dict[str, str]:
    """Return the folder of the scores measured last on a model's vectors, as `attach` takes it."""
    files = [
        (entry["last_modified"], entry["path"])
        for entry in store.entries(vectors_folder(folder))
        if entry["path"].endswith(SCORES_SUFFIX)
    ]
    return {"": str(PurePosixPath(max(files)[1]).parent.relative_to(EMBED_FOLDER))} if files else {}


def matrix(column: Any) -> NDArray[np.float16]:
    """Return a column of fixed-size lists as an array, (n, d)."""
    values = column.combine_chunks()
    flat: NDArray[np.float16] = values.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(values), column.type.list_size)
