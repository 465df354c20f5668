"""Evaluation sets: which images are in one, by pHash and, if the recipe says so, by vector.

Vectors are compared as the dataset stores them, rounded to float16 and scaled to length 1: every
embedded task slice with every evaluation image, in blocks. A task per slice commits its matches,
so the work is spread over the engine and goes on where it was stopped.

Which image is nearest comes from a matrix product, all of one shape, so that a row's result does
not depend on the rows beside it; the cosine itself is then computed alone, in double precision.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums, paths
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
from pairsieve.pipeline.external import evaluation_images, hash_file
from pairsieve.pipeline.external.evaluation_images import EvaluationOptions
from pairsieve.pipeline.external.image_stretches import stretches
from pairsieve.pipeline.vectors import folders
from pairsieve.pipeline.vectors.lengths import of_length_1_float32
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
    STEPS,
)
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_external import Decontaminate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "evaluation"
COLUMNS = STEPS["external.evaluation_sets"]
ROWS_AT_ONCE = 256  # vectors of a task slice in one product, always so many
HASHES_AT_ONCE = 1 << 22  # pHashes of the pool compared together: 0.2 GB
IMAGES_AT_ONCE = 8192  # evaluation images in one product: 8 MB of cosines

Numbers = NDArray[np.int64]


def options(recipe: Recipe) -> dict[str, Any] | None:
    """Return what shapes the result, None where the recipe does not ask for it."""
    section = recipe.decontaminate
    return section.model_dump() | {"image": recipe.image.shaping()} if section else None


def versions(recipe: Recipe) -> list[Any]:
    """Return what changes when an evaluation set or the model does."""
    options = EvaluationOptions.of(recipe)
    return evaluation_images.versions(options) if options else []


def check(decontaminate: Decontaminate) -> None:
    """Refuse evaluation sets that are not there, before any work; BadOption says which."""
    evaluation_images.sources(decontaminate)


def find(connection: "DuckDBPyConnection", recipe: Recipe, store: Store, engine: Engine) -> int:
    """Make the table `evaluation` out of `images`: `row` and `COLUMNS`; return how many are there.

    Raises:
        BadOption: a set cannot be read.
        Stopped: a process died at every attempt at a task slice.
    """
    options = EvaluationOptions.of(recipe)
    if options is None:
        raise ValueError("the recipe names no evaluation sets")
    marker = evaluation_images.stored(options, store, engine)
    images = evaluation_images.read(store, marker)
    _hash_matches(connection, images, options.decontaminate.max_distance)
    files = []
    if options.embed:
        name = evaluation_images.name_of(options)
        files = _compared(store, engine, name, folders.model_folder(options.embed), marker)
    _cosines(connection, store, files)
    images = images.append_column("image", pa.array(np.arange(len(images))))
    connection.register("evaluation_images", images)
    connection.execute(
        f"""
        CREATE TEMP TABLE evaluation AS
        SELECT row, "set" AS {EVAL_SET.name}, name AS {EVAL_IMAGE.name},
               bits AS {EVAL_DISTANCE.name}, cosine AS {EVAL_OVERLAP.name}
        FROM images LEFT JOIN by_hash USING (row) LEFT JOIN by_cosine USING (row)
        LEFT JOIN evaluation_images e ON e.image = coalesce(by_hash.image, by_cosine.image)
        """
    )
    connection.unregister("evaluation_images")
    matched = f"SELECT count(*) FROM {TABLE} WHERE {EVAL_SET.name} IS NOT NULL"
    return int(connection.execute(matched).fetchall()[0][0])


def _hash_matches(connection: "DuckDBPyConnection", images: pa.Table, distance: int) -> None:
    """Make the table `by_hash`: `row`, index of the nearest evaluation `image`, and `bits`."""
    from pairsieve.pipeline.hamming.nearest import nearest

    hashes = images[PERCEPTUAL_HASH.name]
    hashed = np.flatnonzero(hashes.is_valid().to_numpy())
    references = hashes.drop_null().to_numpy()
    connection.execute("CREATE TEMP TABLE by_hash (row BIGINT, image BIGINT, bits BIGINT)")
    for found in stretches(connection, "row, perceptual_hash", HASHES_AT_ONCE):
        positions, queries = hash_file.unmasked(np.ma.asarray(found["perceptual_hash"]))
        indices, bits = nearest(queries, references, distance)
        matches = np.flatnonzero(indices >= 0)
        rows = np.asarray(found["row"])[positions[matches]]
        table = pa.table({"row": rows, "image": hashed[indices[matches]], "bits": bits[matches]})
        connection.register("hash_matches", table)
        connection.execute("INSERT INTO by_hash FROM hash_matches")
        connection.unregister("hash_matches")


def _cosines(connection: "DuckDBPyConnection", store: Store, files: list[str]) -> None:
    """Make the view `by_cosine`: `row`, index of the nearest evaluation `image`, and `cosine`."""
    if files:
        relation = connection.read_parquet([store.location(file) for file in files])
    else:
        relation = connection.from_arrow(_matches(*[np.zeros(0, np.int64)] * 3))
    relation.project("row, image, cosine").create_view("by_cosine")


def _compared(store: Store, engine: Engine, name: str, embedding: str, marker: Marker) -> list[str]:
    """Return the committed files of matches, one per embedded task slice."""
    embedded = store.markers(vectors_folder(embedding))
    vectors = {slice_name: each.file(VECTORS_SUFFIX) for slice_name, each in embedded.items()}
    done = store.markers(evaluation_folder(name))
    files = [
        each.file(".parquet")
        for slice_name, each in done.items()
        if each.extra["vectors"] == vectors.get(slice_name)
    ]
    pending = [
        (slice_name, file)
        for slice_name, file in vectors.items()
        if slice_name not in done or done[slice_name].extra["vectors"] != file
    ]
    for (slice_name, _), result in engine.map(partial(_compare, store, name, marker), pending):
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
    with checksums.open_parquet(store, file) as source:
        table = source.read([ROW.name, IMAGE_EMBEDDING.name])
    images = evaluation_images.read(store, marker, vectors=True)
    indices, cosines = highest(
        matrix(table[IMAGE_EMBEDDING.name]).astype(np.float32),
        matrix(images[evaluation_images.VECTOR]).astype(np.float32),
    )
    path = content(evaluation_folder(name), slice_name, ".parquet")
    with store.writer(path) as sink:
        pq.write_table(_matches(table[ROW.name], indices, cosines), sink, compression="zstd")
    commit_path = paths.marker_path(evaluation_folder(name), slice_name)
    replace(store, commit_path, Marker(len(table), {path: sink.entry()}, extra={"vectors": file}))
    return path


def highest(vectors: Vectors, references: Vectors) -> tuple[Numbers, NDArray[np.float32]]:
    """Return the index of the nearest reference, (m, d), and its cosine, for each vector; (n,).

    References of length 0 are passed over: they have no direction.
    """
    nonzero = np.flatnonzero(np.linalg.norm(references, axis=1) > 0)
    queries, candidates = of_length_1_float32(vectors), of_length_1_float32(references[nonzero])
    nearest = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), ROWS_AT_ONCE):
        rows = queries[start : start + ROWS_AT_ONCE]
        block = np.zeros((ROWS_AT_ONCE, queries.shape[1]), np.float32)
        block[: len(rows)] = rows
        best = np.full(ROWS_AT_ONCE, -np.inf, np.float32)
        index = np.zeros(ROWS_AT_ONCE, np.int64)
        for low in range(0, len(candidates), IMAGES_AT_ONCE):
            cosines = block @ candidates[low : low + IMAGES_AT_ONCE].T
            column = cosines.argmax(axis=1)
            higher = cosines[np.arange(ROWS_AT_ONCE), column]
            index = np.where(higher > best, low + column, index)
            best = np.maximum(best, higher)
        nearest[start : start + len(rows)] = index[: len(rows)]
    exact = np.sum(queries * candidates[nearest], axis=1, dtype=np.float64)
    return nonzero[nearest], np.clip(exact, -1, 1).astype(np.float32)


def _matches(rows: Any, indices: Numbers, cosines: NDArray[Any]) -> pa.Table:
    """Return the table that is committed of a comparison."""
    return pa.table(
        {
            "row": pa.array(rows, pa.int64()) if isinstance(rows, np.ndarray) else rows,
            "image": pa.array(indices, pa.int64()),
            "cosine": pa.array(cosines, pa.float32()),
        }
    )
