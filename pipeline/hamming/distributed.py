"""The search of `components.py`, spread over tasks: for more hashes than one machine should hold.

Three rounds, each of tasks that an engine runs anywhere and that commit to the dataset under
`group/near/`, so a search that was killed goes on with the tasks that have no marker:

1. `partition`: the hashes of some units are sorted by table and partition (see `partition.py`);
2. `search`: a partition of a table is searched as `components.py` would, and leaves its labels:
   which of its rows belong together;
3. `merge`: all labels become one set of labels.

The labels are those of `components.py`, whatever the engine and the partitions: recall is
exactly 1 for the same reason, and the smallest row of a component is the same however it was found.

No machine holds all hashes. A task of the first round holds 4 million, one of the second its
partition: 44 bytes per hash. Partitions are equal in size as far as the values of a block are
equally frequent; all hashes that share a value of a block are in one partition, and where they are
too many for one machine, no number of partitions helps. The merge is one task: it holds 28 bytes
per row that has a neighbour, and a bit for each row of the dataset.

Import this file where it is used: it imports numba.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.marker import Marker, outcome_counts
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    marker_path,
    parsed,
    partition_name,
    round_folder,
    search_folder,
    task_name,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.hamming import labels
from pairsieve.pipeline.hamming.cost_model import Costs, widths
from pairsieve.pipeline.hamming.distinct import distinct
from pairsieve.pipeline.hamming.labels import UnionFindLabels
from pairsieve.pipeline.hamming.partition import (
    Partitioning,
    Unit,
    partition,
    plan_partitions,
    read_partition,
)
from pairsieve.pipeline.hamming.scan import Arena, near_row_pairs
from pairsieve.pipeline.hamming.tasks import Task
from pairsieve.pipeline.hamming.union_find import unite
from pairsieve.schemas.columns import PERCEPTUAL_HASH
from pairsieve.schemas.outcomes import Outcome

ALONE = 12_000_000  # hashes up to which one task searches: 0.6 GB
PER_TASK = 12_000_000  # hashes of a partition, if nobody says how many there are: 0.5 GB
PARTITIONED = 4_000_000  # rows of the ledger that a task partitions


@dataclass(frozen=True)
class Search:
    """One search: where it leaves its files, how it is cut, and of which columns the hashes are."""

    folder: str
    partitioning: Partitioning
    columns: tuple[str, ...] = (PERCEPTUAL_HASH.name,)


def default_partitions(images: int) -> int | None:
    """Return how many partitions so many hashes need; None if one task should search."""
    return -(-images // PER_TASK) if images > ALONE else None


def neighbour_labels(
    store: Store, engine: Engine, distance: int, partitions: int
) -> UnionFindLabels:
    """Return the labels of the gathered images' hashes.

    Args:
        store: The dataset.
        engine: Where the tasks run.
        distance: Largest distance of a pair, 0 to 10 bits.
        partitions: Of each table.

    Raises:
        Stopped: a task's process kept dying.
    """
    markers = store.markers(GATHER_FOLDER)
    images = outcome_counts(markers.values())[Outcome.OK]
    partitioning = plan_partitions(images, distance, partitions)
    search = Search(
        search_folder(fingerprint([*markers], _files(markers), partitioning, PARTITIONED)),
        partitioning,
    )
    found = label_files(store, engine, search, _batches(markers))
    folder = round_folder(search.folder, "merge")
    merge = partial(_merge, store, folder, found)
    (merged,) = rounds.run_numbered(store, engine, folder, merge, 1)
    return labels.read(store, merged.file(".parquet"))


def label_files(
    store: Store, engine: Engine, search: Search, batches: Sequence[tuple[Unit, ...]]
) -> list[str]:
    """Search the hashes of these units, which are in row order; return the files of labels."""
    folder, partitioning = search.folder, search.partitioning
    partition_task = partial(
        partition, store, round_folder(folder, "partition"), partitioning, search.columns
    )
    rounds.run(
        store, engine, round_folder(folder, "partition"), partition_task, rounds.numbered(batches)
    )
    files = rounds.files(store, round_folder(folder, "partition"), ".bin")
    named = {
        partition_name(table, part): (table, part)
        for table in range(partitioning.tables)
        for part in range(partitioning.partitions)
    }
    searches = partial(_search, store, search, files)
    rounds.run(store, engine, round_folder(folder, "search"), searches, named)
    return rounds.files(store, round_folder(folder, "search"), ".parquet")


def _files(markers: Mapping[str, Marker]) -> list[str]:
    """Return the ledger parts; their attempt-unique names stand for the content."""
    return [marker.file(".parquet") for marker in markers.values()]


def _batches(markers: Mapping[str, Marker]) -> list[tuple[Unit, ...]]:
    """Return the units in row order, a task's together; of each its parts, by retry layer."""
    units: dict[int, list[tuple[int, str]]] = {}
    rows: dict[int, int] = {}
    for name, marker in markers.items():
        unit, layer, _ = parsed(name)
        units.setdefault(unit, []).append((layer, marker.file(".parquet")))
        rows[unit] = rows.get(unit, 0) + marker.rows
    batches: list[list[Unit]] = []
    room = 0
    for unit, parts in sorted(units.items()):
        if room < rows[unit] or not batches:
            batches.append([])
            room = PARTITIONED
        room -= rows[unit]
        batches[-1].append(tuple(file for _, file in sorted(parts)))
    return [tuple(batch) for batch in batches]


def _search(store: Store, search: Search, files: list[str], item: tuple[int, int]) -> Marker:
    """Search one partition of a table, commit its labels and return the marker.

    Rows with equal hashes are in one partition of every table; the first table joins them.
    """
    table, partition = item
    partitioning = search.partitioning
    path = marker_path(round_folder(search.folder, "search"), partition_name(table, partition))
    if done := store.marker(path):
        return done
    hashes, rows = read_partition(store, files, partitioning, table, partition)
    parents = np.empty(len(hashes), np.uint32)
    with ThreadPoolExecutor(1) as pool:
        unique_hashes = distinct(hashes, parents, pool, 1)
    if table:
        parents = np.arange(len(hashes), dtype=np.uint32)
    if len(unique_hashes.hashes) > 1 and partitioning.distance:
        task = Task(
            table, partitioning.width, 0, 1 << partitioning.width, len(unique_hashes.hashes)
        )
        plan = widths(partitioning.distance, Costs())
        for pairs in near_row_pairs(unique_hashes, task, plan, True, Arena()):
            unite(parents, pairs)
    return labels.write(store, path, labels.labels_of(parents, rows), {"hashes": len(rows)})


def _merge(store: Store, folder: str, files: Sequence[str], number: int) -> Marker:
    """Merge all sets of labels, commit and return the marker."""
    path = marker_path(folder, task_name(number))
    merged = labels.merged(partial(labels.read_each, store, files)).labels()
    return labels.write(store, path, merged, {"merged": len(files)})
