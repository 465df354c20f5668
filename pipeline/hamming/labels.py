"""Union-find labels: which of many rows belong together, when no machine need hold all rows.

Labels say of each row that is in a component with a smaller one which row is the smallest. Rows
that stand alone, and smallest rows, have none: so their size is that of what has a neighbour, and
joining labels needs memory for that alone. Joining is the same whatever the order, and what comes
out depends on the components only.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import beside
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.hamming.union_find import Labels, Parents, flatten, unite


class UnionFindLabels(NamedTuple):
    """Rows, ascending, and the smallest row of each one's component, smaller than itself.

    Attributes:
        rows: int64 (k,).
        labels: int64 (k,).
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def positions(self, rows: NDArray[np.int64]) -> Labels:
        """Return for each of `rows`, ascending, where the smallest of its component is, (n,).

        All labelled rows are among them.
        """
        positions = np.arange(len(rows))
        positions[np.searchsorted(rows, self.rows)] = np.searchsorted(rows, self.labels)
        return positions


def labels_of(parents: Parents, rows: NDArray[np.int64]) -> UnionFindLabels:
    """Return the labels of a grouping of `rows`, ascending; `parents` is flattened for it."""
    flatten(parents)
    joined = np.flatnonzero(parents != np.arange(len(parents), dtype=np.uint32))
    return UnionFindLabels(rows[joined], rows[parents[joined]])


def merged(sets: Sequence[UnionFindLabels]) -> UnionFindLabels:
    """Return the labels of all that is joined in any of them.

    Measured: 85 bytes per row of each set, the sets included.
    """
    count = sum(len(each.rows) for each in sets)
    ends = np.concatenate([part for each in sets for part in each] or [np.empty(0, np.int64)])
    rows = np.unique(ends)
    parents = np.arange(len(rows), dtype=np.uint32)
    for each in sets:
        indices = [np.searchsorted(rows, part).astype(np.uint32) for part in each]
        unite(parents, np.stack(indices, axis=1))
    return labels_of(parents, rows) if count else UnionFindLabels(rows, rows)


def write(
    store: Store, commit_path: str, labels: UnionFindLabels, counts: dict[str, int]
) -> Marker:
    """Write labels beside their marker, commit, and return the marker that holds."""
    import pyarrow.parquet as pq

    path = beside(commit_path, ".parquet")
    table = pa.table({"row": labels.rows, "label": labels.labels})
    with store.writer(path) as sink:
        pq.write_table(
            table,
            sink,
            compression="zstd",
            use_dictionary=False,
            column_encoding={"row": "DELTA_BINARY_PACKED", "label": "PLAIN"},
        )
    counts = counts | {"joined": len(labels.rows)}
    return commit(store, commit_path, Marker(len(labels.rows), {path: sink.entry()}, counts))


def read(store: Store, path: str) -> UnionFindLabels:
    """Return the labels that `write` put at `path`."""
    import pyarrow.parquet as pq

    with store.reader(path) as source:
        table = pq.read_table(source)
    return UnionFindLabels(table["row"].to_numpy(), table["label"].to_numpy())
