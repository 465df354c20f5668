"""Components: which images a chain of equal files and near pHashes connects.

Near pHashes are searched in one task while one can hold them, else as `hamming/distributed.py`
does, in partitions; rotated and mirrored images always in one task, which takes 40 bytes for each
hash of each. What is equal, what is near, and what is near when turned are sets of labels, and
their merger is the components. It lies by block, so that a task on a block reads its own.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dedup.arrow_arrays import lists, missing, numbers
from pairsieve.pipeline.dedup.keys import Ints, Rounds, by_block
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import ORIENTATION_HASHES, PERCEPTUAL_HASH, ROW

COMPONENT = "component"  # smallest row of a component


def find(
    pool: Pool,
    of: Rounds,
    files: Sequence[PartedFile],
    equal: Sequence[str],
    starts: Ints,
    partitions: int | None,
) -> Marker:
    """Find the components of more than one image; their rows lie in one file, by block.

    Args:
        pool: The pool.
        of: The rounds of `group`.
        files: Of keys, which have the pHashes too.
        equal: Files of labels of equal files.
        starts: The first row of each block.
        partitions: Of each table of the search; None where one task searches.

    Raises:
        Stopped: a task's process kept dying.
    """
    from pairsieve.pipeline.hamming.distributed import MERGED, merged

    store, engine = pool.store, pool.engine
    found = [*equal, *(_distributed(pool, of, partitions) if partitions else ())]
    if of.options.compared or not partitions:
        task = partial(_search, of, files, not partitions)
        rounds.run(store, engine, of.of("alone"), task, {task_name(0): 0})
        found += rounds.files(store, of.of("alone"), ".parquet")
    found = merged(store, engine, of.folder, found, MERGED)
    task = partial(_by_block, of, found, starts)
    rounds.run(store, engine, of.of("components"), task, {task_name(0): 0})
    (marker,) = store.markers(of.of("components")).values()
    return marker


def _distributed(pool: Pool, of: Rounds, partitions: int) -> list[str]:
    """Search in partitions; return the files of labels."""
    from pairsieve.pipeline.hamming.distributed import Search, label_files
    from pairsieve.pipeline.hamming.partition import plan_partitions

    images = sum(marker.rows for marker in pool.store.markers(of.of("keys")).values())
    search = Search(of.folder, plan_partitions(images, of.distance, partitions))
    batches = [_units(block) for block in pool.blocks]
    return label_files(pool.store, pool.engine, search, batches)


def _units(block: Block) -> tuple[tuple[str, ...], ...]:
    """Return the ledger parts of each unit of a block, the latest retry layer last."""
    units: dict[int, list[tuple[int, str]]] = {}
    for file in block.files.gathered:
        units.setdefault(file.unit, []).append((file.layer, file.name))
    return tuple(tuple(name for _, name in sorted(parts)) for _, parts in sorted(units.items()))


def _search(of: Rounds, files: Sequence[PartedFile], upright: bool, number: int) -> Marker:
    """Search all pHashes in this task, those of turned images too, and commit the labels."""
    from pairsieve.pipeline.hamming import labels

    table = parted.read_all(of.store, files, of.images)
    hashes = table[PERCEPTUAL_HASH.name]
    lost = missing(hashes)
    own = numbers(hashes, np.uint64)
    found = np.arange(len(own))
    if upright:
        found = _near(own, lost, of)
    if orientations := len(of.options.compared):
        found = _with_orientations(found, table, orientations, of)
    joined = np.flatnonzero(found != np.arange(len(found)))
    rows = table[ROW.name].to_numpy()
    result = labels.UnionFindLabels(rows[joined], rows[found[joined]])
    path = marker_path(of.of("alone"), task_name(number))
    return labels.write(of.store, path, result, {"hashes": len(rows)})


def _with_orientations(found: Ints, table: pa.Table, orientations: int, of: Rounds) -> Ints:
    """Return labels, (n,), joined with those of images that are near when turned."""
    from pairsieve.pipeline.hamming.components import joined

    column = table[ORIENTATION_HASHES.name]
    oriented = lists(column, 2 * orientations, np.uint64)[:, ::2]
    own = table[PERCEPTUAL_HASH.name]
    hashes = np.concatenate((numbers(own, np.uint64), *oriented.T))
    lost = np.tile(missing(own) | missing(column), 1 + orientations)
    same = np.tile(np.arange(len(found)), 1 + orientations)
    return joined(found, joined(_near(hashes, lost, of), same)[: len(found)])


def _near(hashes: NDArray[Any], lost: NDArray[np.bool_], of: Rounds) -> Ints:
    """Return the smallest position, (n,), in each one's component; lost ones are near none."""
    from pairsieve.pipeline.hamming.components import components

    known = np.flatnonzero(~lost)
    found = np.arange(len(hashes))
    found[known] = known[components(hashes[known], of.distance, threads=of.threads)]
    return found


def _by_block(of: Rounds, files: Sequence[str], starts: Ints, number: int) -> Marker:
    """Merge the last sets of labels; commit row and component of all that is not alone."""
    from pairsieve.pipeline.hamming import labels

    found = labels.merged([labels.read(of.store, file) for file in files])
    smallest = np.unique(found.labels)
    rows = np.concatenate((found.rows, smallest))
    order = np.argsort(rows)
    components = np.concatenate((found.labels, smallest))[order]
    table = pa.table({ROW.name: rows[order], COMPONENT: components})
    path = of.new("components", number)
    sink = parted.write(of.store, path, by_block(table, starts))
    return of.commit("components", number, Marker(len(table), {path: sink.entry()}))
