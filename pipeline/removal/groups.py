"""What `group` knows of pairs: their rows leave, and their texts the captions of their keepers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.removal.replacement import Replacement, with_files, with_values
from pairsieve.pipeline.removal.rows import read_rows
from pairsieve.pipeline.shards.captions import best_of
from pairsieve.schemas.columns import CAPTIONS, CLUSTER, REPEATED, ROW, TEXT
from pairsieve.schemas.pool_columns import CAPTIONS_RANKED

RECAPTIONED = "recaptioned"  # in the marker of a block: the file of captions that leave
TAKEN = "taken"  # likewise: pairs that leave, and of them the repeated
INDICES, TEXTS = "indices", "texts"  # of the captions of a keeper that leave
BEST = "best"  # of those that stay
CHANGES = pa.schema(
    [
        (ROW.name, pa.int64()),
        (INDICES, pa.list_(pa.int64())),
        (TEXTS, pa.list_(pa.large_string())),
        (BEST, pa.large_string()),
    ]
)


@dataclass(frozen=True, slots=True)
class GroupTask:
    """Prepares blocks of `group` without the pairs.

    Attributes:
        store: The dataset.
        folder: Of the round.
        texts: The files of the texts of the pairs.
    """

    store: Store
    folder: str
    texts: tuple[str, ...]

    def __call__(self, item: tuple[int, str, dict[str, Any], tuple[str, ...]]) -> Marker:
        """Prepare one file, given with the files of the rows that leave it, and commit it."""
        number, name, entry, found = item
        table = pq.read_table(checksums.read(self.store, name, entry))
        gone = np.isin(table[ROW.name].to_numpy(), read_rows(self.store, found))
        leaving = table.filter(pa.array(gone))
        repeated = sum(map(bool, leaving[REPEATED.name].to_pylist()))
        new = Replacement(extra={TAKEN: [leaving.num_rows, repeated], RECAPTIONED: None})
        left, changes = self._recaptioned(table.filter(pa.array(~gone)))
        if not gone.any() and not changes.num_rows:
            return new.commit(self.store, self.folder, number)
        path = content(name.rpartition("/")[0], task_name(number), ".parquet")
        with self.store.writer(path) as sink:
            pq.write_table(left, sink, compression="zstd")
        new.succeed(name, entry, path, sink.entry())
        if changes.num_rows:
            path = content(self.folder, task_name(number), ".parquet")
            with self.store.writer(path) as sink:
                pq.write_table(changes, sink)
            new.files[path] = sink.entry()
            new.extra[RECAPTIONED] = path
        return new.commit(self.store, self.folder, number)

    def _recaptioned(self, table: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Return rows whose captions lack texts that leave; and which of each row these were."""
        captions = table[CAPTIONS.name].to_pylist()
        ranked = _ranked(table)
        changes: dict[int, dict[int, str]] = {}
        if any(captions):
            texts = self._texts(table)
            for index, cluster in enumerate(table[CLUSTER.name].to_pylist()):
                theirs = texts.get(cluster, ()) if captions[index] else ()
                out = {n: t for n, t in enumerate(captions[index] or ()) if n and t in theirs}
                if out:
                    changes[index] = out
                    captions[index] = [t for n, t in enumerate(captions[index]) if n not in out]
                    ranked[index] = _renumbered(ranked[index], out)
        best = [
            best_of(captions[index], ranked[index] or ()) or captions[index][0] for index in changes
        ]
        table = with_values(table, CAPTIONS.name, captions)
        if CAPTIONS_RANKED.name in table.column_names:
            table = with_values(table, CAPTIONS_RANKED.name, ranked)
        rows = table[ROW.name].take(pa.array(changes, pa.int64()))
        indices = [list(out) for out in changes.values()]
        leaving = [list(out.values()) for out in changes.values()]
        columns = {ROW.name: rows, INDICES: indices, TEXTS: leaving, BEST: best}
        return table, pa.table(columns, CHANGES)

    def _texts(self, table: pa.Table) -> dict[int, set[str]]:
        """Return the texts that leave the clusters of a block, by cluster."""
        clusters = table[CLUSTER.name].combine_chunks()
        texts: dict[int, set[str]] = {}
        for file in self.texts:
            with self.store.reader(file) as source:
                own = pq.read_table(source, filters=pa.compute.field(CLUSTER.name).isin(clusters))
            columns = (own[column.name].to_pylist() for column in (CLUSTER, TEXT))
            for cluster, text in zip(*columns, strict=True):
                texts.setdefault(cluster, set()).add(text)
        return texts


def _ranked(table: pa.Table) -> list[list[int] | None]:
    """Return how the captions of each row rank; null where they were not ranked yet."""
    if CAPTIONS_RANKED.name not in table.column_names:
        return [None] * table.num_rows
    ranked: list[list[int] | None] = table[CAPTIONS_RANKED.name].to_pylist()
    return ranked


def _renumbered(ranked: list[int] | None, out: Collection[int]) -> list[int] | None:
    """Return how the captions rank that stay, by their places among these."""
    if ranked is None:
        return None
    places = {old: new for new, old in enumerate(n for n in sorted(ranked) if n not in out)}
    return [places[n] for n in ranked if n in places]


def grouped_without(marker: Marker, prepared: Sequence[Marker]) -> Marker:
    """Return the marker of `group` without the pairs.

    Of its counts those of pairs and of repeated ones are now; the others are as they were found.
    """
    pairs, repeated = (sum(one.extra[TAKEN][index] for one in prepared) for index in (0, 1))
    counts = dict(marker.counts)
    for name, taken in (("pairs", pairs), ("repeated", repeated)):
        counts[name] = counts.get(name, 0) - taken
    files = with_files(marker.files, prepared)
    return replace(marker, rows=marker.rows - pairs, files=files, counts=counts)


def changes_in(prepared: Sequence[Marker]) -> tuple[str, ...]:
    """Return the files that say which captions leave which keepers."""
    files = (one.extra[RECAPTIONED] for one in prepared)
    return tuple(file for file in files if file)
