"""Evaluation: which images are in an evaluation set, by pHash and, if asked, by vector.

Vectors are compared as the dataset holds them, rounded to float16 and brought to length 1: every
embedded task slice with every evaluation image, in blocks. A task per slice commits what it found,
so the work is spread over the engine and goes on where it was stopped.

Which image is nearest comes from a matrix product, all of one shape, so that a row's answer does
not depend on its company; the cosine itself is then computed alone, in double precision.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.commit import replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    VECTORS_SUFFIX,
    content,
    evaluation_folder,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.external import evaluation_images
from pairsieve.pipeline.vectors import folders
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import (
    EVAL_DISTANCE,
    EVAL_IMAGE,
    EVAL_OVERLAP,
    EVAL_SET,
    IMAGE_EMBEDDING,
    PERCEPTUAL_HASH,
    ROW,
)
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_external import Decontaminate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "evaluation"
COLUMNS = (EVAL_SET, EVAL_IMAGE, EVAL_DISTANCE, EVAL_OVERLAP)
ROWS_AT_ONCE = 256  # vectors of a task slice in one product, always so many
IMAGES_AT_ONCE = 8192  # evaluation images in one product: 8 MB of cosines

Numbers = NDArray[np.int64]


def options(recipe: Recipe) -> dict[str, Any] | None:
    """Return what shapes the result, None where the recipe does not ask for it."""
    asked = recipe.decontaminate
    return None if asked is None else asked.model_dump() | {"image": recipe.image.model_dump()}


def versions(recipe: Recipe) -> list[Any]:
    """Return what changes when an evaluation set or the model does."""
    return evaluation_images.versions(recipe)


def check(asked: Decontaminate) -> None:
    """Refuse evaluation sets that are not there, before any work; BadOption says which."""
    evaluation_images.sources(asked)


def find(connection: "DuckDBPyConnection", recipe: Recipe, store: Store, engine: Engine) -> int:
    """Make the table `evaluation` out of `images`: `row` and `COLUMNS`; return how many are there.

    Raises:
        BadOption: a set cannot be read.
        Stopped: a process died at every attempt at a task slice.
    """
    if recipe.decontaminate is None:
        raise ValueError("the recipe names no evaluation sets")
    marker = evaluation_images.stored(recipe, store, engine)
    sets = evaluation_images.read(store, marker)
    _hash_matches(connection, sets, recipe.decontaminate.max_distance)
    files = []
    if recipe.decontaminate.vectors and recipe.embed:
        name = evaluation_images.name_of(recipe)
        files = _compared(store, engine, name, folders.model_folder(recipe.embed), marker)
    _cosines(connection, store, files)
    sets = sets.append_column("place", pa.array(np.arange(len(sets))))
    connection.register("evaluation_images", sets)
    connection.execute(
        f"""
        CREATE TEMP TABLE evaluation AS
        SELECT row, "set" AS {EVAL_SET.name}, name AS {EVAL_IMAGE.name},
               bits AS {EVAL_DISTANCE.name}, cosine AS {EVAL_OVERLAP.name}
        FROM images LEFT JOIN by_hash USING (row) LEFT JOIN by_cosine USING (row)
        LEFT JOIN evaluation_images e ON e.place = coalesce(by_hash.place, by_cosine.place)
        """
    )
    connection.unregister("evaluation_images")
    there = f"SELECT count(*) FROM {TABLE} WHERE {EVAL_SET.name} IS NOT NULL"
    return int(connection.execute(there).fetchall()[0][0])


def _hash_matches(connection: "DuckDBPyConnection", sets: pa.Table, distance: int) -> None:
    """Make the table `by_hash`: `row`, `place` of the nearest evaluation image, and `bits`."""
    from pairsieve.pipeline.hamming.nearest import nearest

    column = sets[PERCEPTUAL_HASH.name]
    there = np.flatnonzero(column.is_valid().to_numpy())
    query = "SELECT row, perceptual_hash FROM images WHERE perceptual_hash IS NOT NULL ORDER BY row"
    found = connection.execute(query).fetchnumpy()
    places, bits = nearest(
        np.asarray(found["perceptual_hash"], np.uint64), column.drop_null().to_numpy(), distance
    )
    near = np.flatnonzero(places >= 0)
    table = pa.table(
        {
            "row": np.asarray(found["row"])[near],
            "place": there[places[near]],
            "bits": bits[near],
        }
    )
    connection.register("found_hashes", table)
    connection.execute("CREATE TEMP TABLE by_hash AS FROM found_hashes")
    connection.unregister("found_hashes")


def _cosines(connection: "DuckDBPyConnection", store: Store, files: list[str]) -> None:
    """Make the view `by_cosine`: `row`, `place` of the nearest evaluation image, and `cosine`."""
    if files:
        relation = connection.read_parquet([store.location(file) for file in files])
    else:
        relation = connection.from_arrow(_found(*[np.zeros(0, np.int64)] * 3))
    relation.create_view("by_cosine")


def _compared(store: Store, engine: Engine, name: str, embedding: str, marker: Marker) -> list[str]:
    """Return the committed files of what the comparison of each embedded task slice gave."""
    made = store.markers(vectors_folder(embedding))
    vectors = {slice_name: done.file(VECTORS_SUFFIX) for slice_name, done in made.items()}
    done = store.markers(evaluation_folder(name))
    files = [
        each.file(".parquet")
        for slice_name, each in done.items()
        if each.extra["vectors"] == vectors.get(slice_name)
    ]
    left = [
        (slice_name, file)
        for slice_name, file in vectors.items()
        if slice_name not in done or done[slice_name].extra["vectors"] != file
    ]
    for (slice_name, _), result in engine.map(partial(_compare, store, name, marker), left):
        if isinstance(result, Crashed):
            raise Stopped(
                f"decontaminate: the process died at every attempt at task slice {slice_name} "
                f"({result.reason}); the same command goes on from there"
            )
        files.append(result)
    return sorted(files)


def _compare(store: Store, name: str, marker: Marker, item: tuple[str, str]) -> str:
    """Compare the vectors of a task slice with all evaluation images; return the committed file."""
    import pyarrow.parquet as pq

    slice_name, file = item
    with store.reader(file) as source:
        table = pq.read_table(source, columns=[ROW.name, IMAGE_EMBEDDING.name])
    sets = evaluation_images.read(store, marker, vectors=True)
    places, cosines = highest(
        matrix(table[IMAGE_EMBEDDING.name]).astype(np.float32),
        matrix(sets[evaluation_images.VECTOR]).astype(np.float32),
    )
    path = content(evaluation_folder(name), slice_name, ".parquet")
    with store.writer(path) as sink:
        pq.write_table(_found(table[ROW.name], places, cosines), sink, compression="zstd")
    commits = paths.marker_path(evaluation_folder(name), slice_name)
    replace(store, commits, Marker(len(table), {path: sink.entry()}, extra={"vectors": file}))
    return path


def highest(vectors: Vectors, others: Vectors) -> tuple[Numbers, NDArray[np.float32]]:
    """Return the place of the nearest of `others`, (m, d), and its cosine, for each vector; (n,).

    Vectors of length 0 are passed over: they have no direction.
    """
    there = np.flatnonzero(np.linalg.norm(others, axis=1) > 0)
    mine, theirs = _of_length_1(vectors), _of_length_1(others[there])
    places = np.empty(len(mine), np.int64)
    for start in range(0, len(mine), ROWS_AT_ONCE):
        some = mine[start : start + ROWS_AT_ONCE]
        block = np.zeros((ROWS_AT_ONCE, mine.shape[1]), np.float32)
        block[: len(some)] = some
        best = np.full(ROWS_AT_ONCE, -np.inf, np.float32)
        at = np.zeros(ROWS_AT_ONCE, np.int64)
        for low in range(0, len(theirs), IMAGES_AT_ONCE):
            cosines = block @ theirs[low : low + IMAGES_AT_ONCE].T
            nearest = cosines.argmax(axis=1)
            higher = cosines[np.arange(ROWS_AT_ONCE), nearest]
            at = np.where(higher > best, low + nearest, at)
            best = np.maximum(best, higher)
        places[start : start + len(some)] = at[: len(some)]
    exact = np.sum(mine * theirs[places], axis=1, dtype=np.float64)
    return there[places], np.clip(exact, -1, 1).astype(np.float32)


def _of_length_1(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    made: Vectors = (vectors / np.maximum(lengths, np.finfo(np.float64).tiny)).astype(np.float32)
    return made


def _found(rows: Any, places: Numbers, cosines: NDArray[Any]) -> pa.Table:
    """Return what is committed of a comparison."""
    return pa.table(
        {
            "row": pa.array(rows, pa.int64()) if isinstance(rows, np.ndarray) else rows,
            "place": pa.array(places, pa.int64()),
            "cosine": pa.array(cosines, pa.float32()),
        }
    )
