"""Known: which images an earlier dataset has already, and which of its images they supersede.

Each earlier dataset is read as a file of hashes (`hashes.py`), in the order of the recipe, a
bounded number of rows at a time. The same file counts as nearest, then the pHash with fewest bits
between, then the earlier dataset and the earlier row; so the answer is always the same one.

A SHA-256 is compared by its first 64 bits: of 10 million images and 10 million known ones, two that
differ are taken for the same file once in 200,000 runs.

Measured, two cores shared with other work, random hashes and a tenth of copies 0 to 6 bits away,
distance 4, the search alone: 1 million images against 1 million known in 0.5 CPU-s, 10 million
against 10 million in 26 CPU-s, 33 s and 0.8 GB beside the hashes given.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
from pairsieve.pipeline.input.files import InputFile, list_files
from pairsieve.pipeline.ledger.ledger import inputs
from pairsieve.schemas.columns import KNOWN_DISTANCE, KNOWN_IN, KNOWN_UID
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_external import Known

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "known"
COLUMNS = (KNOWN_IN, KNOWN_UID, KNOWN_DISTANCE)
ROWS_AT_ONCE = 1 << 24  # known images searched together: 0.3 GB
SAME_FILE = 0  # ranks: the same file, then 1 + the bits between the pHashes
FAR = 1 << 20

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Images:
    """What the images of this dataset are known by.

    Attributes:
        rows: Their rows in the ledger, (n,).
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
    """Return what changes when what is known does."""
    return (
        [_version(recipe.known, place) for place in recipe.known.datasets] if recipe.known else []
    )


def check(asked: Known, store: Store | None = None) -> None:
    """Refuse earlier datasets that cannot be read, before any work.

    Raises:
        BadOption: one is not there, is the dataset `store` itself, has no such selection, or is a
            file without the columns of `hashes`.
    """
    for place in dict.fromkeys(asked.datasets):
        if asked.datasets.count(place) > 1:
            raise BadOption(f"known.datasets: {place} is listed twice")
        try:
            if source := _file(place):
                hash_file.check_file(source)
            elif store and Store.at(place).url == store.url:
                raise BadOption(f"{place}: is the dataset being made; all of it would be known")
            else:
                hash_file.check(Store.at(place), asked.selection)
        except BadOption as error:
            raise BadOption(f"known.datasets: {error}") from error


def find(connection: "DuckDBPyConnection", recipe: Recipe, store: Store, engine: Engine) -> int:
    """Make the table `known` out of `images`: `row` and `COLUMNS`, only of images that are known.

    If the newer are to be kept, the superseded are listed in the dataset, else such a list goes.
    Return how many are known.
    """
    if recipe.known is None:
        raise ValueError("the recipe names no earlier datasets")
    check(recipe.known, store)
    newer = recipe.known.keep == "newer"
    images = _images(connection)
    rank = np.full(len(images.rows), FAR, np.int64)
    source, place = np.full((2, len(rank)), -1, np.int64)
    names = recipe.known.datasets
    uids: list[pa.ChunkedArray] = []
    superseded.begin(connection)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=store.local) as scratch:
        for number, name in enumerate(names):
            with _hashes_of(name, recipe.known.selection, Path(scratch)) as location:
                found = _search(images, location, recipe.known.max_distance, newer)
                nearer = found.rank < rank
                rank[nearer], place[nearer] = found.rank[nearer], found.place[nearer]
                source[nearer] = number
                wanted = np.unique(found.place[nearer])
                uids.append(hash_file.uids(location, wanted))
                place[nearer] = np.searchsorted(wanted, place[nearer])
                if newer:
                    uids_there = hash_file.uids(location, found.superseded)
                    rows, bits = images.rows[found.by], _bits(found.by_rank)
                    superseded.add(connection, name, uids_there, rows, bits)
    _register(connection, images, names, (rank, source, place), uids)
    superseded.end(connection, store, newer)
    return int(np.count_nonzero(rank < FAR))


@dataclass(frozen=True, slots=True)
class Found:
    """What the search through one file gave.

    Attributes:
        rank: Per image: `SAME_FILE`, 1 + bits, or `FAR`.
        place: Per image: row of the nearest in the file.
        superseded: Rows of the file that an image here is near to, sorted.
        by: The nearest image to each of these.
        by_rank: Its rank.
    """

    rank: Numbers
    place: Numbers
    superseded: Numbers
    by: Numbers
    by_rank: Numbers


def _search(images: Images, location: str, distance: int, newer: bool) -> Found:
    """Return the nearest known image of a file to each image, and the other way round if asked."""
    rank = np.full(len(images.rows), FAR, np.int64)
    place = np.full(len(rank), -1, np.int64)
    backwards: list[tuple[Numbers, Numbers, Numbers]] = []
    first = 0
    for keys, known in hash_file.chunks(location, ROWS_AT_ONCE):
        there = Images(np.arange(first, first + len(keys)), keys, known)
        near, at = _nearest(images, there, distance)
        nearer = near < rank
        rank[nearer], place[nearer] = near[nearer], there.rows[at[nearer]]
        if newer:
            back, by = _nearest(there, images, distance)
            old = np.flatnonzero(back < FAR)
            backwards.append((there.rows[old], by[old], back[old]))
        first += len(keys)
    none = np.zeros(0, np.int64)
    parts = zip(*backwards, strict=True) if backwards else ((none,),) * 3
    return Found(rank, place, *(np.concatenate(part) for part in parts))


def _nearest(asked: Images, listed: Images, distance: int) -> tuple[Numbers, Numbers]:
    """Return the rank of the nearest listed image to each asked, and its position; both (n,)."""
    from pairsieve.pipeline.hamming.nearest import nearest

    rank = np.full(len(asked.rows), FAR, np.int64)
    place = np.full(len(rank), -1, np.int64)
    for ours, theirs, most, base in (
        (asked.keys, listed.keys, 0, SAME_FILE),
        (asked.hashes, listed.hashes, distance, SAME_FILE + 1),
    ):
        mine, values = hash_file.known_rows(ours)
        others, known = hash_file.known_rows(theirs)
        if not len(mine) or not len(others):
            continue
        at, bits = nearest(values, known, most)
        better = (at >= 0) & (base + bits < rank[mine])
        rank[mine[better]] = base + bits[better]
        place[mine[better]] = others[at[better]]
    return rank, place


def _images(connection: "DuckDBPyConnection") -> Images:
    """Return what the table `images` holds."""
    key = hash_file.key_of("sha256")
    query = f"SELECT row, {key} AS key, perceptual_hash FROM images ORDER BY row"
    found = connection.execute(query).fetchnumpy()
    return Images(
        np.asarray(found["row"]),
        np.ma.asarray(found["key"]),
        np.ma.asarray(found["perceptual_hash"]),
    )


def _bits(rank: Numbers) -> Numbers:
    """Return the bits that a rank stands for."""
    return np.maximum(rank - 1, 0)


def _register(
    connection: "DuckDBPyConnection",
    images: Images,
    names: tuple[str, ...],
    found: tuple[Numbers, Numbers, Numbers],
    uids: list[pa.ChunkedArray],
) -> None:
    """Make the table `known`."""
    rank, source, place = found
    known = np.flatnonzero(rank < FAR)
    firsts = np.cumsum([0, *map(len, uids)])
    every = pa.chunked_array([chunk for each in uids for chunk in each.chunks], pa.string())
    table = pa.table(
        {
            "row": images.rows[known],
            KNOWN_IN.name: pa.array(names).take(pa.array(source[known])),
            KNOWN_UID.name: every.take(pa.array(firsts[source[known]] + place[known])),
            KNOWN_DISTANCE.name: _bits(rank[known]),
        }
    )
    connection.register("found_known", table)
    connection.execute("CREATE TEMP TABLE known AS FROM found_known")
    connection.unregister("found_known")


@contextmanager
def _hashes_of(place: str, selection: str | None, scratch: Path) -> Iterator[str]:
    """Give the file of hashes at `place`, or of the dataset there, written for the time being."""
    if _file(place):
        yield place
        return
    path = scratch / "hashes.parquet"
    with path.open("wb") as sink:
        hash_file.write(Store.at(place), selection, sink, scratch)
    yield str(path)
    path.unlink()


def _file(place: str) -> InputFile | None:
    """Return the Parquet file at `place`, None if that is not a file's name."""
    if not place.lower().endswith((".parquet", ".pq")) or os.path.isdir(place):
        return None
    files = list_files(place)[0]
    if len(files) != 1:
        raise BadOption(f"{place}: no such file")
    return files[0]


def _version(asked: Known, place: str) -> Any:
    """Return what changes when the file or dataset at `place` does."""
    if source := _file(place):
        return source.location, source.bytes, source.version
    store = Store.at(place)
    marker = store.marker(select_marker(asked.selection)) if asked.selection is not None else None
    return inputs(store, {}), sorted(marker.files) if marker else []
