"""Earlier datasets: which images one of them has already, and which of its images are superseded.

Each earlier dataset is read as a hash export (`hash_file.py`), in the order of the recipe; of one
that is no such file, rounds make it in parts (`earlier_exports.py`). A task has the images of some
blocks and goes through all exports, a bounded number of rows at a time: memory grows with neither,
and the work with both. The same file counts as nearest, then the pHash with fewest bits between,
then the earlier dataset and the earlier row; so the answer is always the same one.

A SHA-256 is compared by its first 64 bits: of 10 million images and 10 million earlier ones, two
that differ are taken for the same file once in 200,000 runs.

Measured, two cores shared with other work, random hashes and a tenth of copies 0 to 6 bits away,
distance 4, the search alone: 1 million images and 1 million earlier ones in 0.5 CPU-s, 10 million
and 10 million in 26 CPU-s, 33 s and 0.8 GB beside the hashes given.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dataset.paths import (
    SUPERSEDED,
    content,
    marker_path,
    round_folder,
    select_marker,
    task_name,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.external import earlier_exports, hash_file, superseded
from pairsieve.pipeline.input.files import InputFile, list_files
from pairsieve.pipeline.ledger.block_table import block_table, places_of
from pairsieve.pipeline.ledger.ledger import connect, inputs
from pairsieve.pipeline.ledger.pool import Block, Further, Pool
from pairsieve.schemas.columns import (
    KNOWN_IN,
    OUTCOME,
    PERCEPTUAL_HASH,
    ROW,
    SHA256,
    STEPS,
    UID,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_external import EarlierDatasets

TABLE = "known"
COLUMNS = STEPS["external.earlier_datasets"]
BLOCKS_AT_ONCE = 8  # whose images, about 4 million, are searched together
ROWS_AT_ONCE = 1 << 23  # earlier images that these are compared with at a time: with them 0.6 GB
KNOWN = arrow_schema((ROW, *COLUMNS))
SAME_FILE = 0  # ranks: the same file, then 1 + the bits between the pHashes
FAR = 1 << 20

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Images:
    """The hashes of images, of this dataset or of an earlier one.

    Attributes:
        rows: Their rows in the ledger or the hash export, (n,).
        keys: First 64 bits of SHA-256, (n,), masked where there is none.
        hashes: pHashes, (n,), masked where there is none.
        uids: Of images here, where they are needed, (n,).
    """

    rows: Numbers
    keys: hash_file.Masked
    hashes: hash_file.Masked
    uids: pa.ChunkedArray | None = None


def options(recipe: Recipe) -> dict[str, Any] | None:
    """Return what shapes the result, None where the recipe does not ask for it."""
    return recipe.known.model_dump() if recipe.known else None


def versions(recipe: Recipe) -> list[Any]:
    """Return what changes when an earlier dataset does."""
    earlier = recipe.known
    return [_version(earlier, location) for location in earlier.datasets] if earlier else []


def check(earlier: EarlierDatasets, store: Store | None = None) -> None:
    """Refuse earlier datasets that cannot be read, before any work.

    Raises:
        BadOption: one is not there, is the dataset `store` itself, has no such selection, or is a
            file without the columns of `hashes`.
    """
    for location in dict.fromkeys(earlier.datasets):
        if earlier.datasets.count(location) > 1:
            raise BadOption(f"known.datasets: {location} is listed twice")
        try:
            if source := _file(location):
                hash_file.check_file(source)
            elif store and Store.at(location).url == store.url:
                raise BadOption(f"{location}: is the dataset being made; all of it would be known")
            else:
                hash_file.check(Store.at(location), earlier.selection)
        except BadOption as error:
            raise BadOption(f"known.datasets: {error}") from error


def find(pool: Pool, folder: str, recipe: Recipe) -> Further:
    """Go through the rounds, in `folder`; return what gives `COLUMNS` of the images of a block.

    If the newer are to be kept, the superseded are listed in the dataset, else such a list goes.

    Raises:
        BadOption: an earlier dataset cannot be read.
        Stopped: a task's process kept dying.
    """
    if recipe.known is None:
        raise ValueError("the recipe names no earlier datasets")
    check(recipe.known, pool.store)
    newer = recipe.known.keep == "newer"
    files = tuple(_hash_files(pool, folder, recipe.known))
    search = Search(round_folder(folder, TABLE), files, recipe.known.max_distance, newer)
    groups = [
        pool.blocks[n : n + BLOCKS_AT_ONCE] for n in range(0, len(pool.blocks), BLOCKS_AT_ONCE)
    ]
    rounds.run(pool.store, pool.engine, search.folder, search.run, rounds.numbered(groups))
    markers = list(pool.store.markers(search.folder).values())
    if newer:
        listed = round_folder(folder, "superseded")
        found = [marker.file(".parquet") for marker in markers]
        task = superseded.List(pool.store, listed, found, pool.engine.task_threads).write
        # Another recipe's `group` may have put its list there, and stopped.
        pool.store.delete([marker_path(listed, task_name(0))])
        rounds.run_numbered(pool.store, pool.engine, listed, task, 1)
    else:
        pool.store.delete([SUPERSEDED])
    return partial(columns, parted_files(markers, BLOCKS_AT_ONCE))


def columns(found: Sequence[PartedFile], block: Block, rows: Numbers) -> dict[str, Any]:
    """Return `COLUMNS` of these rows of a block."""
    group, number = divmod(block.number, BLOCKS_AT_ONCE)
    table = parted.read(block.store, found[group], number)
    taken = table.take(places_of(table[ROW.name].to_numpy(), rows))
    return {column.name: taken[column.name] for column in COLUMNS}


def count(columns: Mapping[str, Any]) -> int:
    """Return how many of some images have an earlier copy."""
    return int(pc.count(columns[KNOWN_IN.name]).as_py())


def _hash_files(pool: Pool, folder: str, known: EarlierDatasets) -> Iterator[tuple[str, str]]:
    """Yield dataset and location of every file of hashes; those of datasets are made now."""
    for number, location in enumerate(known.datasets):
        if _file(location):
            yield location, location
            continue
        store = Store.at(location)
        for part in earlier_exports.parts(
            pool.store, pool.engine, folder, number, store, known.selection
        ):
            yield location, part


@dataclass(frozen=True, slots=True)
class Search:
    """The round that searches the images here, of some blocks at a time, among all earlier ones.

    Attributes:
        folder: Where it is.
        files: Dataset and location of each file of hashes, the earlier first.
        distance: Largest distance of a copy, bits.
        newer: Whether what is superseded is to be found too.
    """

    folder: str
    files: tuple[tuple[str, str], ...]
    distance: int
    newer: bool

    def run(self, item: rounds.Numbered[Sequence[Block]]) -> Marker:
        """Commit what is known of the images of some blocks, by block, and what they supersede."""
        number, blocks = item
        store = blocks[0].store
        parts = [_images(block, self.newer) for block in blocks]
        ends = np.cumsum([len(part.rows) for part in parts])
        path = content(self.folder, task_name(number), ".parquet")
        with store.writer(path) as sink, pq.ParquetWriter(sink, superseded.FOUND) as writer:
            known, positions = self._known(_joined(parts), writer)
        files = {path: sink.entry()}
        edges = [0, *np.searchsorted(positions, ends).tolist()]
        edges += [len(known)] * (BLOCKS_AT_ONCE - len(blocks))
        path = content(self.folder, task_name(number), parted.SUFFIX)
        files[path] = parted.write(store, path, parted.cut(known, edges)).entry()
        marker = Marker(len(known), files)
        return commit(store, marker_path(self.folder, task_name(number)), marker)

    def _known(self, images: "Images", writer: pq.ParquetWriter) -> tuple[pa.Table, Numbers]:
        """Return what is known of some images, and their positions, (n,).

        What they supersede, if it is to be found, goes to `writer`.
        """
        rank = np.full(len(images.rows), FAR, np.int64)
        file, uid = np.full((2, len(rank)), -1, np.int64)  # their numbers, in `files` and `uids`
        uids: list[pa.ChunkedArray] = []
        for number, (dataset, location) in enumerate(self.files):
            matches = _search(images, location, self.distance, self.newer)
            nearer = matches.rank < rank
            rank[nearer], file[nearer] = matches.rank[nearer], number
            matched_rows, uid[nearer] = np.unique(matches.row[nearer], return_inverse=True)
            uids.append(hash_file.uids(location, matched_rows))
            if self.newer:
                writer.write_table(_superseded(images, matches, number, dataset, location))
        copies = np.flatnonzero(rank < FAR)
        firsts = np.cumsum([0, *map(len, uids)])
        every = pa.chunked_array([chunk for each in uids for chunk in each.chunks], pa.string())
        names = pa.array([dataset for dataset, _ in self.files])
        values = (
            images.rows[copies],
            names.take(pa.array(file[copies])),
            every.take(pa.array(firsts[file[copies]] + uid[copies])),
            _bits(rank[copies]),
        )
        return pa.table(list(values), KNOWN), copies


@dataclass(frozen=True, slots=True)
class Matches:
    """The nearest images here and in one file of hashes to one another.

    Attributes:
        rank: Per image: `SAME_FILE`, 1 + bits, or `FAR`.
        row: Per image: row of the nearest in the file.
        superseded: Rows of the file that have a copy here, sorted.
        by: Position of the nearest image to each of these.
        by_rank: Its rank.
    """

    rank: Numbers
    row: Numbers
    superseded: Numbers
    by: Numbers
    by_rank: Numbers


def _search(images: Images, location: str, distance: int, newer: bool) -> Matches:
    """Return the nearest earlier image to each image; with `newer` also the other way round."""
    rank = np.full(len(images.rows), FAR, np.int64)
    row = np.full(len(rank), -1, np.int64)
    superseded_parts: list[tuple[Numbers, Numbers, Numbers]] = []
    first = 0
    for keys, hashes in hash_file.chunks(location, ROWS_AT_ONCE):
        earlier = Images(np.arange(first, first + len(keys)), keys, hashes)
        chunk_rank, position = _nearest(images, earlier, distance)
        nearer = chunk_rank < rank
        rank[nearer], row[nearer] = chunk_rank[nearer], earlier.rows[position[nearer]]
        if newer:
            by_rank, by = _nearest(earlier, images, distance)
            copied = np.flatnonzero(by_rank < FAR)
            superseded_parts.append((earlier.rows[copied], by[copied], by_rank[copied]))
        first += len(keys)
    none = np.zeros(0, np.int64)
    parts = zip(*superseded_parts, strict=True) if superseded_parts else ((none,),) * 3
    return Matches(rank, row, *(np.concatenate(part) for part in parts))


def _nearest(queries: Images, references: Images, distance: int) -> tuple[Numbers, Numbers]:
    """Return the rank of the reference nearest to each query, and its position; both (n,)."""
    from pairsieve.pipeline.hamming.nearest import nearest

    rank = np.full(len(queries.rows), FAR, np.int64)
    position = np.full(len(rank), -1, np.int64)
    for query_values, reference_values, max_distance, base in (
        (queries.keys, references.keys, 0, SAME_FILE),
        (queries.hashes, references.hashes, distance, SAME_FILE + 1),
    ):
        query_positions, query_hashes = hash_file.unmasked(query_values)
        reference_positions, reference_hashes = hash_file.unmasked(reference_values)
        if not len(query_positions) or not len(reference_positions):
            continue
        index, bits = nearest(query_hashes, reference_hashes, max_distance)
        better = (index >= 0) & (base + bits < rank[query_positions])
        rank[query_positions[better]] = base + bits[better]
        position[query_positions[better]] = reference_positions[index[better]]
    return rank, position


def _images(block: Block, uids: bool) -> "Images":
    """Return the images of a block, with their `uids` if so."""
    names = [OUTCOME.name, SHA256.name, PERCEPTUAL_HASH.name, *[UID.name] * uids]
    table = block_table(block.store, block.files, names, block.threads)
    table = table.filter(pc.equal(table[OUTCOME.name], str(Outcome.OK)))
    with connect(block.store, threads=block.threads) as connection:
        connection.register("images", table)
        query = f"SELECT row, {hash_file.key_of('sha256')} AS key, perceptual_hash FROM images"
        found = connection.execute(query).fetchnumpy()
    return Images(
        np.asarray(found["row"]),
        np.ma.asarray(found["key"]),
        np.ma.asarray(found["perceptual_hash"]),
        table[UID.name] if uids else None,
    )


def _joined(parts: Sequence["Images"]) -> "Images":
    """Return the images of some blocks, in order."""
    rows, keys, hashes, uids = zip(
        *((p.rows, p.keys, p.hashes, p.uids) for p in parts), strict=True
    )
    chunks = [chunk for each in uids if each is not None for chunk in each.chunks]
    return Images(
        np.concatenate(rows),
        np.ma.concatenate(keys),  # type: ignore[no-untyped-call]
        np.ma.concatenate(hashes),  # type: ignore[no-untyped-call]
        None if uids[0] is None else pa.chunked_array(chunks, pa.string()),
    )


def _superseded(
    images: "Images", matches: "Matches", number: int, dataset: str, location: str
) -> pa.Table:
    """Return the images of a file of hashes that have a copy among some images here."""
    assert images.uids is not None
    count = len(matches.superseded)
    columns = (
        pa.array([dataset]).take(pa.array(np.zeros(count, np.int64))),
        hash_file.uids(location, matches.superseded),
        images.uids.take(pa.array(matches.by)),
        pa.array(_bits(matches.by_rank), pa.int32()),
        np.full(count, number),
        matches.superseded,
        images.rows[matches.by],
        matches.by_rank,
    )
    return pa.table(list(columns), superseded.FOUND)


def _bits(rank: Numbers) -> Numbers:
    """Return the bits that a rank stands for."""
    return np.maximum(rank - 1, 0)


def _file(location: str) -> InputFile | None:
    """Return the Parquet file at `location`, None if that is not a file's name."""
    if not location.lower().endswith((".parquet", ".pq")) or os.path.isdir(location):
        return None
    files = list_files(location)[0]
    if len(files) != 1:
        raise BadOption(f"{location}: no such file")
    return files[0]


def _version(earlier: EarlierDatasets, location: str) -> Any:
    """Return what changes when the file or dataset at `location` does."""
    if source := _file(location):
        return source.location, source.bytes, source.version
    store = Store.at(location)
    selection = earlier.selection
    marker = store.marker(select_marker(selection)) if selection is not None else None
    return inputs(store, {}), sorted(marker.files) if marker else []
