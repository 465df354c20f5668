"""Earlier datasets: which images one of them has already, and which of its images are superseded.

Each earlier dataset is read as a hash export (`hash_file.py`), in the order of the recipe, a
bounded number of rows at a time, and so are the images here: memory grows with neither. The same
file counts as nearest, then the pHash with fewest bits between, then the earlier dataset and the
earlier row; so the answer is always the same one.

A SHA-256 is compared by its first 64 bits: of 10 million images and 10 million earlier ones, two
that differ are taken for the same file once in 200,000 runs.

Measured, two cores shared with other work, random hashes and a tenth of copies 0 to 6 bits away,
distance 4, the search alone: 1 million images and 1 million earlier ones in 0.5 CPU-s, 10 million
and 10 million in 26 CPU-s, 33 s and 0.8 GB beside the hashes given.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.paths import SCRATCH, select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.external import hash_file, superseded
from pairsieve.pipeline.external.image_stretches import stretches
from pairsieve.pipeline.input.files import InputFile, list_files
from pairsieve.pipeline.ledger.ledger import inputs
from pairsieve.schemas.columns import KNOWN_DISTANCE, KNOWN_IN, KNOWN_UID, STEPS
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_external import EarlierDatasets

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "known"
COLUMNS = STEPS["external.earlier_datasets"]
ROWS_AT_ONCE = 1 << 24  # images of either side searched together: 0.3 GB and 0.8 GB
TYPES = {
    "row": "BIGINT",
    KNOWN_IN.name: "VARCHAR",
    KNOWN_UID.name: "VARCHAR",
    KNOWN_DISTANCE.name: "BIGINT",
}
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
    """

    rows: Numbers
    keys: hash_file.Masked
    hashes: hash_file.Masked


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


def find(connection: "DuckDBPyConnection", recipe: Recipe, store: Store, engine: Engine) -> int:
    """Make the table `known` out of `images`: `row` and `COLUMNS`, of images with an earlier copy.

    If the newer are to be kept, the superseded are listed in the dataset, else such a list goes.
    Return how many have an earlier copy.
    """
    if recipe.known is None:
        raise ValueError("the recipe names no earlier datasets")
    check(recipe.known, store)
    newer = recipe.known.keep == "newer"
    columns = ", ".join(f"{name} {type}" for name, type in TYPES.items())
    connection.execute(f"CREATE TEMP TABLE known ({columns})")
    superseded.begin(connection)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=store.local) as scratch:
        exports = [
            _hashes_of(name, recipe.known.selection, Path(scratch, f"{number}.parquet"))
            for number, name in enumerate(recipe.known.datasets)
        ]
        for images in _images(connection):
            _add_nearest(connection, recipe.known, images, exports)
    superseded.end(connection, store, newer)
    return int(connection.execute("SELECT count(*) FROM known").fetchall()[0][0])


def _add_nearest(
    connection: "DuckDBPyConnection", known: EarlierDatasets, images: Images, exports: list[str]
) -> None:
    """Add to `known` the nearest earlier image of each of some images, and what is superseded."""
    rank = np.full(len(images.rows), FAR, np.int64)
    dataset, uid = np.full((2, len(rank)), -1, np.int64)  # their numbers, in `names` and `uids`
    uids: list[pa.ChunkedArray] = []
    newer = known.keep == "newer"
    for number, location in enumerate(exports):
        matches = _search(images, location, known.max_distance, newer)
        nearer = matches.rank < rank
        rank[nearer], dataset[nearer] = matches.rank[nearer], number
        matched_rows, uid[nearer] = np.unique(matches.row[nearer], return_inverse=True)
        uids.append(hash_file.uids(location, matched_rows))
        if newer:
            found = superseded.Found(
                hash_file.uids(location, matches.superseded),
                matches.superseded,
                images.rows[matches.by],
                matches.by_rank,
                _bits(matches.by_rank),
            )
            superseded.add(connection, known.datasets[number], found)
    _add(connection, images, known.datasets, (rank, dataset, uid), uids)


@dataclass(frozen=True, slots=True)
class Matches:
    """The nearest images of this dataset and one earlier dataset to one another.

    Attributes:
        rank: Per image: `SAME_FILE`, 1 + bits, or `FAR`.
        row: Per image: row of the nearest in the hash export.
        superseded: Rows of the hash export that have a copy here, sorted.
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


def _images(connection: "DuckDBPyConnection") -> Iterator[Images]:
    """Yield the rows and hashes of the table `images`, `ROWS_AT_ONCE` of them at a time."""
    columns = f"row, {hash_file.key_of('sha256')} AS key, perceptual_hash"
    for found in stretches(connection, columns, ROWS_AT_ONCE):
        yield Images(
            np.asarray(found["row"]),
            np.ma.asarray(found["key"]),
            np.ma.asarray(found["perceptual_hash"]),
        )


def _bits(rank: Numbers) -> Numbers:
    """Return the bits that a rank stands for."""
    return np.maximum(rank - 1, 0)


def _add(
    connection: "DuckDBPyConnection",
    images: Images,
    names: tuple[str, ...],
    nearest: tuple[Numbers, Numbers, Numbers],
    uids: list[pa.ChunkedArray],
) -> None:
    """Add rank, dataset and uid of the nearest earlier image of some images to `known`."""
    rank, dataset, uid = nearest
    copies = np.flatnonzero(rank < FAR)
    firsts = np.cumsum([0, *map(len, uids)])
    every = pa.chunked_array([chunk for each in uids for chunk in each.chunks], pa.string())
    table = pa.table(
        {
            "row": images.rows[copies],
            KNOWN_IN.name: pa.array(names).take(pa.array(dataset[copies])),
            KNOWN_UID.name: every.take(pa.array(firsts[dataset[copies]] + uid[copies])),
            KNOWN_DISTANCE.name: _bits(rank[copies]),
        }
    )
    connection.register("nearest_earlier", table)
    connection.execute("INSERT INTO known FROM nearest_earlier")
    connection.unregister("nearest_earlier")


def _hashes_of(location: str, selection: str | None, path: Path) -> str:
    """Return the hash export at `location`, or that of the dataset there, written to `path`."""
    if _file(location):
        return location
    with path.open("wb") as sink:
        hash_file.write(Store.at(location), selection, sink, path.parent)
    return str(path)


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
