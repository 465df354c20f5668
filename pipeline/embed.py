"""Embed: the images and texts of a gathered piece become CLIP vectors and the scores on them.

One pass of the model; every score is arithmetic on the vectors as they are stored, rounded to
float16, so that anybody can compute it again from what the dataset holds. An actor keeps the model
and embeds whole pieces; it streams their images from the tars, a few at a time.
"""

import itertools
import json
import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline import clip, pretrained, scores
from pairsieve.pipeline.engine import Crashed, Engine
from pairsieve.pipeline.rules import Rule, Stage, gates, passing
from pairsieve.pipeline.store import Marker, Place, Store, attempt, commit
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

FOLDER = "embed"
READ = (ROW, TEXT, OUTCOME, IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES)
IMAGES_AT_ONCE = 64  # stored images read together; bounds the memory for their bytes

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Embedder:
    """What an actor keeps: the model, and what its scores compare images to."""

    model: clip.Model
    prompts: scores.Prompts


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
        marker = store.marker(_marker(name, first))
        if marker is None:
            break
        yield first, marker
    else:
        return
    clip.check(options)
    asked = [*gates(recipe, Stage.TEXT), *gates(recipe, Stage.IMAGE)]
    for piece, result in engine.map_with(
        partial(_embedder, store, name, options),
        partial(_embed, store, name, asked),
        itertools.chain([first], left),
        gpu=options.device != "cpu",
    ):
        if isinstance(result, Crashed):
            raise Stopped(
                f"embed: the model's process died at every attempt at piece {piece} "
                f"({result.reason}); the same command goes on from there"
            )
        yield piece, result


def folder(options: Embed) -> str:
    """Return the name of the model's folder: model and tag, and a hash where files are local.

    Raises:
        BadOption: a local file is missing.
    """
    names = [_name(options.model), _name(options.pretrained)]
    if hashed := pretrained.local_fingerprint(options):
        names.append(hashed)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "--".join(names)).lstrip(".-")


def folders(recipe: Recipe) -> dict[str, str]:
    """Return the folder of the scores of each of the recipe's models, by name; "" is the main one.

    Raises:
        BadOption: a local file is missing.
    """
    return {model.name or "": folder(model) for model in recipe.models}


def _name(value: str) -> str:
    """Return a model or tag as people call it: of a file, its name without folder and suffix."""
    path = Path(value)
    return path.stem if path.suffix in pretrained.SUFFIXES else path.name


def _marker(name: str, piece: str) -> str:
    """Return where a piece of the folder `name` is committed."""
    return f"{FOLDER}/{name}/{piece}.json"


def _embedder(store: Store, name: str, options: Embed) -> Embedder:
    """Return the loaded model, if it is the one that made the vectors in its folder."""
    model = clip.load(options)
    _claim(store, f"{FOLDER}/{name}.json", options, model)
    return Embedder(model, scores.prompts(model))


def _claim(store: Store, path: str, options: Embed, model: clip.Model) -> None:
    """Put down which model makes the vectors of a folder; refuse any other."""
    mine = {
        "model": _name(options.model),
        "pretrained": _name(options.pretrained),
        "dimensions": model.dimensions,
        "logit_scale": model.logit_scale,
        "logit_bias": model.logit_bias,
        "weights_sha256": model.weights,
        "settings_sha256": model.settings,
    }
    if store.create(path, json.dumps(mine, indent=1).encode()):
        return
    theirs = json.loads(store.read(path))
    other = [key for key, value in mine.items() if theirs.get(key) != value]
    if other:
        raise BadOption(
            f"embed: {store.location(path)} says that the vectors there were made by another model "
            f"of this name: {other[0]} was {theirs.get(other[0])}, is {mine[other[0]]}; to embed "
            "anew, delete that file and the folder beside it"
        )


def _embed(store: Store, name: str, asked: list[Rule], embedder: Embedder, piece: str) -> Marker:
    """Embed one gathered piece and commit it."""
    committed = store.marker(_marker(name, piece))
    if committed:
        return committed
    gathered = store.marker(f"gather/{piece}.json")
    if gathered is None:
        raise Stopped(f"embed: {store.location('gather')} holds no piece {piece}")
    table = _rows(store, gathered, asked)
    columns = [table[column.name].to_pylist() for column in (IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES)]
    places, image_of = _distinct(zip(*columns, strict=True))
    texts, text_of = _distinct(table[TEXT.name].to_pylist())
    of_images = embedder.model.images(_pixels(store, places)).astype(np.float16)[image_of]
    of_texts = embedder.model.texts(texts).astype(np.float16)[text_of]
    made = {
        "scores": scores.measure(table[ROW.name], of_images, of_texts, embedder.prompts),
        "vectors": _vectors(table[ROW.name], of_images, of_texts),
    }
    files = {}
    for kind, content in made.items():
        path = f"{FOLDER}/{name}/{piece}.{attempt()}.{kind}.parquet"
        files[path] = _write(store, path, content)
    counts = {"embedded": table.num_rows, "images": len(places), "texts": len(texts)}
    return commit(store, _marker(name, piece), Marker(gathered.rows, files, counts))


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
    for file, group in itertools.groupby(places, key=lambda place: place[0]):
        while some := list(itertools.islice(group, IMAGES_AT_ONCE)):
            _, starts, lengths = zip(*some, strict=True)
            try:
                bodies = store.read_ranges(file, starts, lengths)
            except FileNotFoundError as error:
                raise Stopped(f"{store.location(file)}: committed, but gone") from error
            for body, start in zip(bodies, starts, strict=True):
                yield _decoded(body, f"{store.location(file)}: the image at byte {start}")


def _decoded(body: bytes, what: str) -> NDArray[np.uint8]:
    """Return a stored image as RGB, (h, w, 3)."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(body)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Stopped(f"{what} cannot be read back: the file is damaged: {error}") from error


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
        pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    return sink.entry()
