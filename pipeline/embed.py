"""Embed: the images and texts of a gathered piece become CLIP vectors and the scores on them.

One pass of the model; every score is arithmetic on the vectors as they are stored, rounded to
float16, so that anybody can compute it again from what the dataset holds. Vectors are committed
first, then the scores, which another recipe measures anew from the same vectors. An actor keeps the
model and embeds whole pieces; it streams their images from the tars, a few at a time. A marker says
how long the piece took and how much of that the model computed.
"""

import itertools
import time
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    VECTORS_SUFFIX,
    beside,
    embed_marker,
    marker_path,
)
from pairsieve.pipeline.dataset.store import Place, Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.image.stored import bodies, decoded
from pairsieve.pipeline.ledger.rules import Rule, Stage, gates, passing
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.vectors import score_commit, scorers, scores
from pairsieve.pipeline.vectors.folders import folder, scores_folder
from pairsieve.pipeline.vectors.model_record import claimed, stamped
from pairsieve.schemas.columns import (
    IMAGE_BYTES,
    IMAGE_EMBEDDING,
    IMAGE_FILE,
    IMAGE_OFFSET,
    OUTCOME,
    ROW,
    TEXT,
    TEXT_EMBEDDING,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Embed, Recipe

READ = (ROW, TEXT, OUTCOME, IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES)
GROUP_ROWS = 256  # of a row group of vectors: what must be read for one of them

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Embedder:
    """What an actor keeps: the model, its record, what measures the scores, and how, in words."""

    model: clip.Model
    record: dict[str, Any]
    prepared: scores.Prepared
    how: dict[str, str]


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    pieces: Iterable[str],
    model: Embed | None = None,
) -> Iterator[tuple[str, Marker]]:
    """Embed the gathered `pieces`, taken as they come; yield (piece, marker) as they commit.

    The recipe's main model does it, unless another one is given.

    Raises:
        BadOption: the recipe names no model, one that cannot be had, or another one than that
            which made the vectors in its folder.
        Stopped: a stored image cannot be read back, or a piece kept killing the model's process.
    """
    options = model or recipe.embed
    if options is None:
        raise BadOption("embed: missing; say which `model` and `pretrained`")
    name = folder(options)
    left = iter(pieces)
    for first in left:
        marker = store.marker(embed_marker(name, first))
        if marker is None or store.marker(embed_marker(scores_folder(options), first)) is None:
            break
        yield first, marker
    else:
        return
    clip.check(options)
    scorers.check(options)
    asked = [*gates(recipe, Stage.TEXT), *gates(recipe, Stage.IMAGE)]
    for piece, result in engine.map_with(
        partial(_embedder, store, name, options),
        partial(_embed, store, (name, scores_folder(options)), asked),
        itertools.chain([first], left),
        gpus=options.num_gpus if options.device != "cpu" else 0,
    ):
        if isinstance(result, Crashed):
            raise Stopped(
                f"embed: the model's process died at every attempt at piece {piece} "
                f"({result.reason}); the same command goes on from there"
            )
        yield piece, result


def _embedder(store: Store, name: str, options: Embed) -> Embedder:
    """Return what an actor keeps."""
    model, taken = claimed(store, name, options)
    return Embedder(model, taken, scores.prepare(options, model), scores.described(options))


def _embed(
    store: Store, folders: tuple[str, str], asked: list[Rule], embedder: Embedder, piece: str
) -> Marker:
    """Embed one gathered piece and commit it; then its scores, in the second of the folders."""
    gathered = store.marker(marker_path(GATHER_FOLDER, piece))
    if gathered is None:
        raise Stopped(f"embed: {store.location(GATHER_FOLDER)} holds no piece {piece}")
    name, scored_in = folders
    made = store.marker(embed_marker(name, piece))
    made = made or _put_vectors(store, embed_marker(name, piece), asked, embedder, gathered)
    score_commit.score(
        store,
        embed_marker(scored_in, piece),
        (embedder.prepared, embedder.how, embedder.record),
        (gathered, made),
        partial(_pixels, store),
    )
    return made


def _put_vectors(
    store: Store, marker: str, asked: list[Rule], embedder: Embedder, gathered: Marker
) -> Marker:
    """Turn the pairs of a gathered piece into vectors and commit them at `marker`."""
    table = _rows(store, gathered, asked)
    columns = [table[column.name].to_pylist() for column in (IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES)]
    places, image_of = _distinct(zip(*columns, strict=True))
    texts, text_of = _distinct(table[TEXT.name].to_pylist())
    began, busy_s = time.monotonic(), embedder.model.busy_s
    pictures = embedder.model.pictures(bodies(store, places), decoded)
    of_images = pictures.astype(np.float16)[image_of]
    of_texts = embedder.model.texts(texts).astype(np.float16)[text_of]
    spent = {
        "model_s": round(embedder.model.busy_s - busy_s, 6),
        "seconds": round(time.monotonic() - began, 6),
    }
    content = stamped(_vectors(table[ROW.name], of_images, of_texts), embedder.record)
    path = beside(marker, VECTORS_SUFFIX)
    files = {path: _write(store, path, content)}
    counts = {"embedded": table.num_rows, "images": len(places), "texts": len(texts)}
    return commit(store, marker, Marker(gathered.rows, files, counts, spent))


def _rows(store: Store, gathered: Marker, asked: list[Rule]) -> pa.Table:
    """Return the pairs of a piece that have an image and pass the gates, with columns `READ`."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    names = [column.name for column in READ]
    with store.reader(gathered.file(".parquet")) as file:
        table = pq.read_table(file, columns=None if asked else names)  # rules read any column
    table = table.filter(pc.equal(table[OUTCOME.name], str(Outcome.OK)))
    return table.filter(pa.array(passing(table, asked))).select(names)


def _distinct(keys: Iterable[Key]) -> tuple[list[Key], NDArray[np.intp]]:
    """Return the distinct keys as they first occur, and for each key its place among them, (n,)."""
    found: dict[Key, int] = {}
    places = [found.setdefault(key, len(found)) for key in keys]
    return list(found), np.array(places, np.intp)


def _pixels(store: Store, places: list[Place]) -> Iterator[NDArray[np.uint8]]:
    """Yield the stored images as RGB, (h, w, 3); their bytes are read a few at a time."""
    return map(decoded, bodies(store, places))


def _vectors(
    rows: pa.ChunkedArray, images: NDArray[np.float16], texts: NDArray[np.float16]
) -> pa.Table:
    """Return `row` and both vectors as fixed-size lists."""
    fields, arrays = [arrow_schema([ROW]).field(0)], [rows]
    for column, vectors in ((IMAGE_EMBEDDING, images), (TEXT_EMBEDDING, texts)):
        kind = pa.list_(pa.float16(), vectors.shape[1])
        fields.append(arrow_schema([column]).field(0).with_type(kind))
        arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), type=kind))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _write(store: Store, path: str, table: pa.Table) -> dict[str, Any]:
    """Write a Parquet file; return size and checksum. Numbers like these do not repeat."""
    import pyarrow.parquet as pq

    with store.writer(path) as sink:
        pq.write_table(
            table, sink, compression="zstd", use_dictionary=False, row_group_size=GROUP_ROWS
        )
    return sink.entry()
