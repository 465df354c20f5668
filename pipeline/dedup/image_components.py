"""Components: which images a chain of equal files and near pHashes connects.

Near pHashes are searched in one task while one can hold them, else as `hamming/distributed.py`
does, in partitions; rotated and mirrored images always in one task. An image has several hashes:
of the whole, of its middle, of the part inside its borders, and of the turned image; the task takes
40 bytes for each. What is equal, what is near, and what is near when turned are sets of labels, and
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
from pairsieve.pipeline.dedup.keys import Ints, Rounds, searched
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import ORIENTATION_HASHES, PERCEPTUAL_HASH, ROW, TRIMMED_HASHES

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
    found = [*equal, *(_distributed(pool, of, partitions) if partitions else ())]
    if of.options.compared or not partitions:
        task = partial(_search, of, files, not partitions)
        (alone,) = pool.run_numbered(task, of.of("alone"), 1)
        found.append(alone.file(".parquet"))
    task = partial(_by_block, of, found, starts)
    (marker,) = pool.run_numbered(task, of.of("components"), 1)
    return marker


def _distributed(pool: Pool, of: Rounds, partitions: int) -> list[str]:
    """Search in partitions; return the files of labels."""
    from pairsieve.pipeline.hamming.distributed import Search, label_files
    from pairsieve.pipeline.hamming.partition import plan_partitions

    images = sum(marker.rows for marker in pool.store.markers(of.of("keys")).values())
    columns = tuple(c.name for c in searched(of.options) if c is not ORIENTATION_HASHES)
    hashes = images * len(columns)
    search = Search(of.folder, plan_partitions(hashes, of.distance, partitions), columns)
    batches = [_units(block) for block in pool.blocks]
    return label_files(pool.store, pool.engine, search, batches)


def _units(block: Block) -> tuple[tuple[str, ...], ...]:
    """Return the ledger parts of each unit of a block, the latest retry layer last."""
    units: dict[int, list[tuple[int, str]]] = {}
    for file in block.files.gathered:
        units.setdefault(file.unit, []).append((file.layer, file.name))
    return tuple(tuple(name for _, name in sorted(parts)) for _, parts in sorted(units.items()))


class _Hashes(NamedTuple):
    """Hashes of a table of images; an image may have several.

    Attributes:
        values: uint64 (k,).
        images: int64 (k,), the position of each one's image.
    """

    values: NDArray[np.uint64]
    images: Ints


def _search(of: Rounds, files: Sequence[PartedFile], upright: bool, number: int) -> Marker:
    """Search the hashes of all images in this task, of the upright ones if so; commit labels."""
    from pairsieve.pipeline.hamming import labels

    found = _near(of, files, upright)
    rows = np.concatenate([_rows(of, file) for file in files])  # not beside the search
    joined = np.flatnonzero(found != np.arange(len(found)))
    result = labels.UnionFindLabels(rows[joined], rows[found[joined]])
    path = marker_path(of.of("alone"), task_name(number))
    return labels.write(of.store, path, result, {"hashes": len(rows)})


def _near(of: Rounds, files: Sequence[PartedFile], upright: bool) -> Ints:
    """Return the smallest position, (n,), in the component of each image."""
    from pairsieve.pipeline.hamming.components import components_of_images

    parts, count = [], 0
    for file in files:
        table = parted.read(of.store, file, of.images)
        parts += [(one.values, one.images + count) for one in _hashes(of, table, upright)]
        count += len(table)
    values, images = (np.concatenate(each) for each in zip(*parts, strict=True))
    del parts
    return components_of_images(values, images, count, of.distance, of.threads)


def _rows(of: Rounds, file: PartedFile) -> Ints:
    """Return the row of every image of a block."""
    return numbers(parted.read(of.store, file, of.images)[ROW.name])


def _hashes(of: Rounds, table: pa.Table, upright: bool) -> Iterator[_Hashes]:
    """Yield the hashes of each kind of the images of a block that have one.

    Unless `upright`, they are those of turned images, and what these may be near.
    """
    columns = searched(of.options) if upright else (PERCEPTUAL_HASH, ORIENTATION_HASHES)
    for column in columns:
        known = np.flatnonzero(~missing(table[column.name]))
        if column in (TRIMMED_HASHES, ORIENTATION_HASHES):
            width = 2 if column is TRIMMED_HASHES else 2 * len(of.options.compared)
            hashes = lists(table[column.name], width, np.uint64).T[::2]  # without the dhashes
        else:
            hashes = numbers(table[column.name], np.uint64)[None]
        for each in hashes:
            yield _Hashes(each[known], known)


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
