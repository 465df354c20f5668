"""Embed: the images and texts of gathered task slices become CLIP vectors and the scores on them.

One pass of the model; every score is arithmetic on the vectors as they are stored, rounded to
float16, so that anybody can compute it again from what the dataset holds. Vectors are committed
first, then the scores, which another recipe measures anew from the same vectors. An actor keeps the
model and embeds whole task slices; it streams their images from the tars, a few at a time. A marker
says how long the slice took and how much of that the model computed.
"""

import itertools
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.checksums import STORED_AT, StoredAt
from pairsieve.pipeline.dataset.commit import commit, damaged
from pairsieve.pipeline.dataset.costs import since_last
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.marker_index import Markers
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    VECTORS_SUFFIX,
    beside,
    embed_marker,
    marker_path,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.image.stored import decode_image, read_images
from pairsieve.pipeline.ledger.rules import Rule, gates
from pairsieve.pipeline.models import clip
from pairsieve.pipeline.models.clip_model import ClipModel, Meter
from pairsieve.pipeline.unit.pairs_with_image import pairs_with_image
from pairsieve.pipeline.vectors import centroids, head_check, score_commit, scorers, scores
from pairsieve.pipeline.vectors.folders import model_folder, scores_folder
from pairsieve.pipeline.vectors.model_record import claim_folder, with_model_metadata
from pairsieve.pipeline.vectors.score_commit import Scoring
from pairsieve.pipeline.vectors.slice_records import EmbedTime
from pairsieve.schemas.columns import (
    IMAGE_EMBEDDING,
    ROW,
    TEXT,
    TEXT_EMBEDDING,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Embed, Recipe

READ = (ROW, TEXT, *STORED_AT)
GROUP_ROWS = 256  # of a row group of vectors: what must be read for one of them

Key = TypeVar("Key", bound=Hashable)


class Folders(NamedTuple):
    """The folders under `embed/` of a model's vectors and of the recipe's scores on them."""

    vectors: str
    scores: str


@dataclass(frozen=True)
class Embedder:
    """What an actor keeps: the model, and what it measures scores with."""

    model: ClipModel
    scoring: Scoring


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    slice_names: Iterable[str],
    model: Embed | None = None,
) -> Iterator[tuple[str, Marker]]:
    """Embed gathered task slices, taken as they come; yield (name, marker) as they commit.

    The recipe's main model does it, unless another one is given.

    Raises:
        BadOption: the recipe names no model, one that cannot be had, or another one than that
            which made the vectors in its folder.
        Stopped: a stored image cannot be read back, or a slice kept killing the model's process.
    """
    options = model or recipe.embed
    if options is None:
        raise BadOption("embed: missing; say which `model` and `pretrained`")
    folders = Folders(model_folder(options), scores_folder(options))
    embedded, done = _committed(store, folders)
    remaining = iter(slice_names)
    for first in remaining:
        if first not in done:
            break
        yield first, embedded[first]
    else:
        return
    del embedded, done
    clip.check(options)
    scorers.check(options)
    centroids.check(options)
    rules = [*gates(recipe, Phase.TEXT), *gates(recipe, Phase.IMAGE)]
    for slice_name, result in engine.map_with(
        partial(_embedder, store, folders, options),
        partial(_embed, store, folders, rules),
        itertools.chain([first], remaining),
        gpus=options.num_gpus if options.device != "cpu" else 0,
        held=recipe.resources.embed,
    ):
        if isinstance(result, Crashed):
            raise Stopped(
                f"embed: the model's process died at every attempt at task slice {slice_name} "
                f"({result.reason}); the same command goes on from there"
            )
        yield slice_name, result


def _committed(store: Store, folders: Folders) -> tuple[Markers, set[str]]:
    """Return the markers of the vectors, and the task slices whose vectors and scores are there.

    Markers of what is gone or cut are deleted, so that it is made again.
    """
    embedded = store.markers(vectors_folder(folders.vectors))
    scored = store.markers(vectors_folder(folders.scores))
    done = set(embedded).intersection(scored)
    for folder, markers in zip(folders, (embedded, scored), strict=True):
        files = {file for file, _ in damaged(store, markers.values())}
        if files:
            lost = {name for name, marker in markers.items() if files & marker.files.keys()}
            store.delete(embed_marker(folder, name) for name in lost)
            done -= lost
    return embedded, done


def _embedder(store: Store, folders: Folders, options: Embed) -> Embedder:
    """Return what an actor keeps."""
    model, record = claim_folder(store, folders.vectors, options)
    prepared, heads = scores.prepare(options, model), head_check.heads_of(options)
    return Embedder(model, Scoring(prepared, scores.sources(options), record, heads))


def _embed(
    store: Store, folders: Folders, rules: Sequence[Rule], embedder: Embedder, slice_name: str
) -> Marker:
    """Commit the vectors of one gathered slice, then its scores; return the vectors' marker."""
    gathered = store.marker(marker_path(GATHER_FOLDER, slice_name))
    if gathered is None:
        raise Stopped(f"embed: {store.location(GATHER_FOLDER)} holds no task slice {slice_name}")
    path = embed_marker(folders.vectors, slice_name)
    embedded = store.marker(path) or _commit_vectors(store, path, rules, embedder, gathered)
    score_commit.commit_scores(
        store,
        embed_marker(folders.scores, slice_name),
        embedder.scoring,
        (gathered, embedded),
        partial(_pixels, store),
    )
    return embedded


def _commit_vectors(
    store: Store, path: str, rules: Sequence[Rule], embedder: Embedder, gathered: Marker
) -> Marker:
    """Turn the pairs of a gathered slice into vectors and commit them at `path`."""
    table = pairs_with_image(store, gathered, rules, READ)
    stored_at = checksums.located(table.select([c.name for c in STORED_AT]).to_pylist())
    ranges, image_of = _distinct(stored_at)
    texts, text_of = _distinct(table[TEXT.name].to_pylist())
    model = replace(embedder.model, meter=Meter())  # on a GPU two slices are embedded at once
    began = time.monotonic()
    images = model.images_from(read_images(store, ranges), decode_image).astype(np.float16)
    captions = model.texts(texts).astype(np.float16)
    spent = EmbedTime(model.busy_s, time.monotonic() - began)
    vectors = _vectors(table[ROW.name], images[image_of], captions[text_of])
    name = beside(path, VECTORS_SUFFIX)
    content = with_model_metadata(vectors, embedder.scoring.model)
    files = {name: _write(store, name, content)}
    counts = {"embedded": table.num_rows, "images": len(ranges), "texts": len(texts)}
    return commit(store, path, Marker(gathered.rows, files, counts, spent.to_json() | since_last()))


def _distinct(keys: Iterable[Key]) -> tuple[list[Key], NDArray[np.intp]]:
    """Return the distinct keys as they first occur, and each key's index among them, (n,)."""
    index_of: dict[Key, int] = {}
    indices = [index_of.setdefault(key, len(index_of)) for key in keys]
    return list(index_of), np.array(indices, np.intp)


def _pixels(store: Store, ranges: list[StoredAt]) -> Iterator[NDArray[np.uint8]]:
    """Yield the stored images as RGB, (h, w, 3); their bytes are read a few at a time."""
    return map(decode_image, read_images(store, ranges))


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
            table,
            sink,
            compression="zstd",
            use_dictionary=False,
            row_group_size=GROUP_ROWS,
            write_page_checksum=True,
        )
    return sink.entry()
