"""Hash exports of earlier datasets, made in rounds over their blocks, in parts by uid.

1. `spread`: uid, row and hashes of the images of a block of the earlier dataset, by range of uid;
2. `exported`: of a range, each uid once, sorted.

The parts, one after the other, have the rows of the export that `pairsieve hashes` writes.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker, outcome_counts
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    content,
    marker_path,
    round_folder,
    task_name,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.external import hash_file
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.ledger import connect, export
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import KEEP, OUTCOME, ROW, UID
from pairsieve.schemas.outcomes import Outcome

PART_IMAGES = 2_000_000  # of a range of uid, about: 0.3 GB
UNITS = BLOCK_UNITS  # of a block of an earlier dataset


@dataclass(frozen=True, slots=True)
class Export:
    """What the tasks need.

    Attributes:
        store: The dataset that is being made, which has the rounds.
        folder: Where they are.
        dataset: The number of the earlier dataset.
        selection: Whose survivors alone are exported; None for all images.
        parts: Ranges of uid.
        threads: Of a task.
    """

    store: Store
    folder: str
    dataset: int
    selection: str | None
    parts: int
    threads: int | None

    def of(self, name: str) -> str:
        """Return the folder of a round."""
        return round_folder(self.folder, f"{name}{self.dataset}")

    def commit(self, name: str, number: int, marker: Marker) -> Marker:
        """Commit a task of a round."""
        return commit(self.store, marker_path(self.of(name), task_name(number)), marker)


def parts(
    store: Store, engine: Engine, folder: str, dataset: int, earlier: Store, selection: str | None
) -> list[str]:
    """Return where the parts of the export of a dataset are, made in `store`.

    Args:
        store: The dataset that is being made.
        engine: Where the tasks run.
        folder: Of the rounds.
        dataset: The number of the earlier dataset.
        earlier: It itself.
        selection: Whose survivors alone are exported; None for all images.

    Raises:
        Stopped: a task's process kept dying, or a file of `earlier` is not what was committed.
    """
    images = outcome_counts(earlier.markers(GATHER_FOLDER).values())[Outcome.OK]
    count = max(1, -(-images // PART_IMAGES))
    of = Export(store, folder, dataset, selection, count, engine.task_threads)
    pool = Pool(earlier, engine, ledger_files(earlier, selection=selection), UNITS)
    blocks = {task_name(block.number): block for block in pool.blocks}
    rounds.run(store, engine, of.of("spread"), partial(_spread, of), blocks)
    files = parted_files(store.markers(of.of("spread")).values(), count)
    made = rounds.run_numbered(store, engine, of.of("exported"), partial(_export, of, files), count)
    return [store.location(marker.file(".parquet")) for marker in made]


def _spread(of: Export, block: Block) -> Marker:
    """Part uid, row and hashes of the images of a block by range of uid, and commit them."""
    kept = [KEEP.name] if of.selection is not None else []
    names = [OUTCOME.name, *(column.name for column in hash_file.COLUMNS), *kept]
    table = block_table(block.store, block.files, names, block.threads)
    wanted = pc.equal(table[OUTCOME.name], str(Outcome.OK))
    if kept:
        wanted = pc.and_kleene(wanted, table[KEEP.name])
    table = table.filter(wanted).select([ROW.name, *(c.name for c in hash_file.COLUMNS)])
    table = table.sort_by(UID.name).combine_chunks()
    uids = table[UID.name]
    bounds = (f"{number * 2**64 // of.parts:016x}" for number in range(1, of.parts))
    edges = [bisect_left(range(len(uids)), low, key=lambda n: uids[n].as_py()) for low in bounds]
    path = content(of.of("spread"), task_name(block.number), parted.SUFFIX)
    sink = parted.write(of.store, path, parted.cut(table, [0, *edges, len(table)]))
    return of.commit("spread", block.number, Marker(len(table), {path: sink.entry()}))


def _export(of: Export, files: list[PartedFile], number: int) -> Marker:
    """Write the export of a range of uid, and commit it."""
    table: pa.Table = parted.read_all(of.store, files, number)
    path = content(of.of("exported"), task_name(number), ".parquet")
    with (
        connect(of.store, threads=of.threads) as connection,
        of.store.writer(path) as sink,
    ):
        connection.register("images", table)
        export(connection, hash_file.of_each_uid("images"), sink, hash_file.COLUMNS)
    return of.commit("exported", number, Marker(len(table), {path: sink.entry()}))
