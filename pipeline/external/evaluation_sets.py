"""Evaluation sets: which images are in one, by pHash and, if the recipe says so, by vector.

Vectors are compared as the dataset stores them, rounded to float16 and scaled to length 1: every
embedded task slice with every evaluation image, in blocks. A task per slice commits its matches,
so the work is spread over the engine and goes on where it was stopped. pHashes are compared in the
task that writes a block.

Which image is nearest comes from a matrix product, all of one shape, so that a row's result does
not depend on the rows beside it; the cosine itself is then computed alone, in double precision.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
from pairsieve.pipeline.engine.engine import Crashed
from pairsieve.pipeline.external import evaluation_images
from pairsieve.pipeline.external.evaluation_images import EvaluationOptions
from pairsieve.pipeline.ledger.block_table import block_table, places_of
from pairsieve.pipeline.ledger.pool import Block, Further, Pool
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

TABLE = "evaluation"
COLUMNS = STEPS["external.evaluation_sets"]
ROWS_AT_ONCE = 256  # vectors of a task slice in one product, always so many
IMAGES_AT_ONCE = 8192  # evaluation images in one product: 8 MB of cosines

MATCHES = pa.schema([(ROW.name, ROW.type), ("image", pa.int64()), ("cosine", pa.float32())])

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


def find(pool: Pool, folder: str, recipe: Recipe) -> Further:
    """Hash and embed the sets, and compare the vectors; return what gives `COLUMNS` of a block.

    Raises:
        BadOption: a set cannot be read.
        Stopped: a process died at every attempt at a task slice.
    """
    del folder  # what was compared outlives one `group`
    options = EvaluationOptions.of(recipe)
    if options is None:
        raise ValueError("the recipe names no evaluation sets")
    marker = evaluation_images.stored(options, pool.store, pool.engine)
    compared = None
    if options.embed:
        compared = evaluation_folder(evaluation_images.name_of(options))
        _compare_slices(pool, compared, folders.model_folder(options.embed), marker)
    return partial(columns, options.decontaminate.max_distance, marker, compared)


def columns(
    distance: int, marker: Marker, compared: str | None, block: Block, rows: Numbers
) -> dict[str, Any]:
    """Return `COLUMNS` of these rows of a block: the image near by pHash, else by vector.

    `compared` is the folder of what was found by vector, None where none are compared.
    """
    images = evaluation_images.read(block.store, marker, ["set", "name", PERCEPTUAL_HASH.name])
    by_hash, bits = _by_hash(images[PERCEPTUAL_HASH.name], distance, block, rows)
    by_vector = block.committed(compared, MATCHES) if compared else MATCHES.empty_table()
    by_vector = by_vector.take(places_of(by_vector[ROW.name].to_numpy(), rows))
    image = pc.coalesce(by_hash, by_vector["image"])
    found = {
        EVAL_SET: images["set"].take(image),
        EVAL_IMAGE: images["name"].take(image),
        EVAL_DISTANCE: bits,
        EVAL_OVERLAP: by_vector["cosine"],
    }
    return {column.name: values.cast(column.type) for column, values in found.items()}


def count(columns: Mapping[str, Any]) -> int:
    """Return how many of some images are in a set, or have one nearest to them by vector."""
    return int(pc.count(columns[EVAL_SET.name]).as_py())


def _by_hash(
    hashes: pa.ChunkedArray, distance: int, block: Block, rows: Numbers
) -> tuple[pa.Array, pa.Array]:
    """Return of these rows the index of the nearest evaluation image, and the bits; or null."""
    from pairsieve.pipeline.hamming.nearest import nearest

    table = block_table(block.store, block.files, [PERCEPTUAL_HASH.name], block.threads, only=rows)
    own = table[PERCEPTUAL_HASH.name]
    positions, hashed = (np.flatnonzero(each.is_valid().to_numpy()) for each in (own, hashes))
    queries, references = (each.drop_null().to_numpy() for each in (own, hashes))
    indices, differing = nearest(queries, references, distance, block.threads)
    image, bits = np.full((2, len(rows)), -1, np.int64)
    near = indices >= 0
    image[positions[near]], bits[positions[near]] = hashed[indices[near]], differing[near]
    return pa.array(image, mask=image < 0), pa.array(bits, mask=image < 0)


def _compare_slices(pool: Pool, folder: str, embedding: str, marker: Marker) -> None:
    """Compare the vectors of every task slice that was not compared yet, and commit.

    What was compared of a task slice that is gone goes too.
    """
    store = pool.store
    embedded = store.markers(vectors_folder(embedding))
    vectors = {slice_name: each.file(VECTORS_SUFFIX) for slice_name, each in embedded.items()}
    done = store.markers(folder)
    store.delete(paths.marker_path(folder, name) for name in done if name not in vectors)
    pending = [
        (slice_name, file)
        for slice_name, file in vectors.items()
        if slice_name not in done or done[slice_name].extra["vectors"] != file
    ]
    task = partial(_compare, store, folder, marker)
    for (slice_name, _), result in pool.engine.map(task, pending):
        if isinstance(result, Crashed):
            raise Stopped(
                f"decontaminate: the process died at every attempt at task slice {slice_name} "
                f"({result.reason}); the same command goes on from there"
            )


def _compare(store: Store, folder: str, marker: Marker, item: tuple[str, str]) -> None:
    """Compare the vectors of a task slice with all evaluation images, and commit."""
    import pyarrow.parquet as pq

    slice_name, file = item
    with checksums.open_parquet(store, file) as source:
        table = source.read([ROW.name, IMAGE_EMBEDDING.name])
    indices, cosines = highest(
        matrix(table[IMAGE_EMBEDDING.name]).astype(np.float32),
        evaluation_images.vectors(store, marker, IMAGES_AT_ONCE),
    )
    matches = pa.table([table[ROW.name].combine_chunks(), indices, cosines], MATCHES)
    path = content(folder, slice_name, ".parquet")
    with store.writer(path) as sink:
        pq.write_table(matches, sink, compression="zstd")
    commit_path = paths.marker_path(folder, slice_name)
    replace(store, commit_path, Marker(len(table), {path: sink.entry()}, extra={"vectors": file}))


def highest(vectors: Vectors, references: Iterable[Vectors]) -> tuple[Numbers, NDArray[np.float32]]:
    """Return the index of the nearest reference and its cosine, for each vector; both (n,).

    The references, (m, d), are given some at a time. Those of length 0 are passed over: they have
    no direction.
    """
    queries = of_length_1_float32(vectors)
    best = np.full(len(queries), -np.inf, np.float32)
    index = np.zeros(len(queries), np.int64)
    nearest = np.zeros_like(queries)
    for indices, candidates in _directed(references):
        for start in range(0, len(queries), ROWS_AT_ONCE):
            rows = queries[start : start + ROWS_AT_ONCE]
            block = np.zeros((ROWS_AT_ONCE, queries.shape[1]), np.float32)
            block[: len(rows)] = rows
            cosines = (block @ candidates.T)[: len(rows)]
            column = cosines.argmax(axis=1)
            found = cosines[np.arange(len(rows)), column]
            better = np.flatnonzero(found > best[start : start + len(rows)])
            place, chosen = start + better, column[better]
            best[place], index[place] = found[better], indices[chosen]
            nearest[place] = candidates[chosen]
    exact = np.sum(queries * nearest, axis=1, dtype=np.float64)
    return index, np.clip(exact, -1, 1).astype(np.float32)


def _directed(references: Iterable[Vectors]) -> Iterator[tuple[Numbers, Vectors]]:
    """Yield indices and vectors, of length 1, of `IMAGES_AT_ONCE` references with a direction."""
    count, indices = 0, np.empty(0, np.int64)
    pending: Vectors | None = None
    for some in references:
        nonzero = np.flatnonzero(np.linalg.norm(some, axis=1) > 0)
        indices = np.concatenate((indices, count + nonzero))
        pending = some[nonzero] if pending is None else np.concatenate((pending, some[nonzero]))
        count += len(some)
        while len(indices) >= IMAGES_AT_ONCE:
            yield indices[:IMAGES_AT_ONCE], of_length_1_float32(pending[:IMAGES_AT_ONCE])
            indices, pending = indices[IMAGES_AT_ONCE:], pending[IMAGES_AT_ONCE:]
    if pending is not None and len(indices):
        yield indices, of_length_1_float32(pending)
