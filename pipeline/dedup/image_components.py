"""Components: which images a chain of equal files and near pHashes connects.

Near pHashes are searched in one task while one can hold them, else as `hamming/distributed.py`
does, in partitions; rotated and mirrored images always in one task, which takes 40 bytes for each
hash of each. What is equal, what is near, and what is near when turned are sets of labels, and
their merger is the components. It lies by block, so that a task on a block reads its own.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dedup.arrow_arrays import lists, missing, numbers
from pairsieve.pipeline.dedup.keys import Ints, Rounds
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import ORIENTATION_HASHES, PERCEPTUAL_HASH, ROW

if TYPE_CHECKING:
    from pairsieve.pipeline.hamming.labels import Forest

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
    store, engine = pool.store, pool.engine
    found = [*equal, *(_distributed(pool, of, partitions) if partitions else ())]
    if of.options.compared or not partitions:
        task = partial(_search, of, files, not partitions)
        rounds.run(store, engine, of.of("alone"), task, {task_name(0): 0})
        found += rounds.files(store, of.of("alone"), ".parquet")
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


class _Hashes(NamedTuple):
    """The pHashes of n images.

    Attributes:
        own: uint64 (n,), 0 where there is none.
        lost: bool (n,), there is none.
        oriented: uint64 (n, orientations), those of the turned image.
        unturned: bool (n,), there is none of the turned image, or none at all.
    """

    own: NDArray[np.uint64]
    lost: NDArray[np.bool_]
    oriented: NDArray[np.uint64]
    unturned: NDArray[np.bool_]


def _search(of: Rounds, files: Sequence[PartedFile], upright: bool, number: int) -> Marker:
    """Search all pHashes in this task, those of turned images too, and commit the labels."""
    from pairsieve.pipeline.hamming import labels

    parts = [_hashes(of, file) for file in files]
    hashes = _Hashes(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    del parts
    found = _near(hashes.own, hashes.lost, of) if upright else np.arange(len(hashes.own))
    if of.options.compared:
        found = _with_turned(found, hashes, of)
    del hashes
    rows = np.concatenate([_rows(of, file) for file in files])  # not beside the search
    joined = np.flatnonzero(found != np.arange(len(found)))
    result = labels.UnionFindLabels(rows[joined], rows[found[joined]])
    path = marker_path(of.of("alone"), task_name(number))
    return labels.write(of.store, path, result, {"hashes": len(rows)})


def _rows(of: Rounds, file: PartedFile) -> Ints:
    """Return the row of every image of a block."""
    return numbers(parted.read(of.store, file, of.images)[ROW.name])


def _hashes(of: Rounds, file: PartedFile) -> _Hashes:
    """Return the pHashes of a block."""
    table = parted.read(of.store, file, of.images)
    own, width = table[PERCEPTUAL_HASH.name], len(of.options.compared)
    lost = missing(own)
    oriented, unturned = np.empty((len(table), 0), np.uint64), lost
    if width:
        column = table[ORIENTATION_HASHES.name]
        oriented = lists(column, 2 * width, np.uint64)[:, ::2]
        unturned = lost | missing(column)
    return _Hashes(numbers(own, np.uint64), lost, oriented, unturned)


def _with_turned(found: Ints, hashes: _Hashes, of: Rounds) -> Ints:
    """Return labels, (n,), joined with those of images that are near when turned."""
    from pairsieve.pipeline.hamming.components import joined

    every = np.concatenate((hashes.own, *hashes.oriented.T))
    times = 1 + len(of.options.compared)
    lost, same = np.tile(hashes.unturned, times), np.tile(np.arange(len(found)), times)
    return joined(found, joined(_near(every, lost, of), same)[: len(found)])


def _near(hashes: NDArray[np.uint64], lost: NDArray[np.bool_], of: Rounds) -> Ints:
    """Return the smallest position, (n,), in each one's component; lost ones are near none."""
    from pairsieve.pipeline.hamming.components import components

    if not lost.any():
        return components(hashes, of.distance, threads=of.threads)
    known = np.flatnonzero(~lost)
    found = np.arange(len(hashes))
    found[known] = known[components(hashes[known], of.distance, threads=of.threads)]
    return found


def _by_block(of: Rounds, files: Sequence[str], starts: Ints, number: int) -> Marker:
    """Merge all sets of labels; commit row and component of all that is not alone."""
    from pairsieve.pipeline.hamming import labels

    forest = labels.merged(partial(labels.read_each, of.store, files))
    path = of.new("components", number)
    sink = parted.write(of.store, path, _parts(forest, starts))
    return of.commit("components", number, Marker(len(forest.rows), {path: sink.entry()}))


def _parts(forest: "Forest", starts: Ints) -> Iterator[pa.Table]:
    """Yield row and component of the rows of each block."""
    edges = np.searchsorted(forest.rows, starts[1:]).tolist()
    for first, last in pairwise([0, *edges, len(forest.rows)]):
        components = forest.rows[forest.roots[first:last]]
        yield pa.table({ROW.name: forest.rows[first:last], COMPONENT: components})
