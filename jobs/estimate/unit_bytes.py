"""What a unit takes on disk whatever its pairs: units of a sample are small, those of all large."""

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.store import Store


def bytes_of_a_unit(store: Store, folders: Iterable[str]) -> float:
    """Return how much less the tables of a unit more take when they are joined to the others.

    A Parquet file describes each of its columns, some hundred bytes each, whatever its rows.

    Args:
        store: The dataset.
        folders: Those of the markers.
    """
    return sum(_saved(tables) for folder in folders for tables in _alike(store, folder))


def _alike(store: Store, folder: str) -> list[list[pa.Table]]:
    """Return the tables of the units, those of a kind together."""
    kinds: defaultdict[str, list[pa.Table]] = defaultdict(list)
    for marker in store.markers(folder).values():
        for path in marker.files:
            kind = path.rpartition("/")[2].split(".", 2)[-1]
            if kind.endswith("parquet"):
                with store.reader(path) as source:
                    kinds[kind].append(pq.read_table(source))
    return list(kinds.values())


def _saved(tables: Sequence[pa.Table]) -> float:
    """Return what is saved for each table but the first by joining all, bytes."""
    if len(tables) < 2:
        return 0.0
    joined = pa.concat_tables(tables, promote_options="permissive")
    return (sum(map(_size, tables)) - _size(joined)) / (len(tables) - 1)


def _size(table: pa.Table) -> int:
    """Return the size of a table as a file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return len(sink.getvalue())
