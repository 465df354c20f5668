"""The images of evaluation sets: hashed and embedded once, as the dataset's own images are.

A set is image files, tars of them, or WebDataset shards, in any mixture; what else lies beside them
(labels, texts) is passed over. Every image is decoded, resized and stored as the recipe says, so
that its pHash and vector are what the dataset would hold of it. What comes of it lies under
`group/evaluation/`, by a fingerprint of files, recipe and model: made again when one changes.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.commit import commit, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import beside
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.pipeline.image.stored import decode_image
from pairsieve.pipeline.input.files import InputFile, list_files, open_file, split_location
from pairsieve.pipeline.input.webdataset import IMAGES, members
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.vectors import folders, model_record
from pairsieve.schemas import recipe
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import PERCEPTUAL_HASH
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_external import Decontaminate

VECTOR = "vector"
IMAGES_AT_ONCE = 128  # of one task; bounds the memory for their pixels
PACKED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")


@dataclass(frozen=True, slots=True)
class Image:
    """Where an image of a set lies.

    Attributes:
        set: Name of the set.
        name: Its own name there: that of the file, or of the tar and the member.
        file: Full path or URL of the file.
        offset: Where it begins in the file.
        bytes: Its size.
    """

    set: str
    name: str
    file: str
    offset: int
    bytes: int


def sources(asked: Decontaminate) -> dict[str, list[InputFile]]:
    """Return the files of each set, sorted by name.

    Raises:
        BadOption: a set has none, or tars that must be unpacked first.
    """
    found = {}
    for each in asked.sets:
        every = sorted(list_files(each.path)[0], key=lambda file: file.name)
        for file in every:
            if file.name.lower().endswith(PACKED):
                raise BadOption(
                    f"decontaminate.sets: {file.location} is compressed; unpack it (tars as such "
                    "are read)"
                )
        found[each.name] = [file for file in every if _suffix(file.name) in {"tar", *IMAGES}]
        if not found[each.name]:
            raise BadOption(
                f"decontaminate.sets: no image and no tar at {each.path}, the set {each.name!r}"
            )
    return found


def versions(asked: Recipe) -> list[Any]:
    """Return what changes when a set, the way images are stored, or the model does."""
    if asked.decontaminate is None:
        return []
    files = {name: list(map(astuple, own)) for name, own in sources(asked.decontaminate).items()}
    model = (
        folders.model_folder(asked.embed) if asked.decontaminate.vectors and asked.embed else None
    )
    return [files, asked.image.model_dump(), model]


def name_of(asked: Recipe) -> str:
    """Return the name under which the sets are kept."""
    return fingerprint(versions(asked))


def marker_of(asked: Recipe) -> str:
    """Return where the sets are committed."""
    return paths.marker_path(paths.EVALUATION, name_of(asked))


def stored(asked: Recipe, store: Store, engine: Engine) -> Marker:
    """Hash and embed the sets and commit; without a change nothing is done.

    The marker's counts: `images`, and of them `unreadable`.

    Raises:
        BadOption: a set has no file, or none that can be decoded; a tar is broken.
        Stopped: an image kept killing the process that decoded it.
    """
    assert asked.decontaminate is not None
    path = marker_of(asked)
    if done := store.marker(path):
        return done
    images = list(_images(asked.decontaminate))
    hashes, vectors = _measured(asked, store, engine, images)
    table = pa.table({field: [getattr(i, field) for i in images] for field in Image.__slots__})
    table = table.append_column(PERCEPTUAL_HASH.name, pa.array(hashes, PERCEPTUAL_HASH.type))
    unreadable = {each.name: 0 for each in asked.decontaminate.sets}
    for image, found in zip(images, hashes, strict=True):
        unreadable[image.set] += found is None
    for name, count in unreadable.items():
        if count == sum(image.set == name for image in images):
            raise BadOption(f"decontaminate.sets: none of the images of {name!r} can be decoded")
    if vectors is not None:
        kind = pa.list_(pa.float16(), vectors.shape[1])
        flat = pa.array(vectors.astype(np.float16).reshape(-1))
        table = table.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(flat, type=kind))
    file = beside(path, ".parquet")
    counts = {"images": len(images), "unreadable": sum(unreadable.values())}
    return commit(store, path, Marker(len(images), {file: _write(store, file, table)}, counts))


def read(store: Store, marker: Marker, vectors: bool = False) -> pa.Table:
    """Return what is kept of the images, in order; with their vectors if asked."""
    import pyarrow.parquet as pq

    columns = [*Image.__slots__, PERCEPTUAL_HASH.name, *[VECTOR] * vectors]
    with store.reader(marker.file(".parquet")) as file:
        return pq.read_table(file, columns=columns)


def body(file: str, offset: int, size: int) -> bytes:
    """Return the bytes of an image; Stopped when the file is gone."""
    store, name = split_location(file)
    try:
        return store.read_ranges(name, [offset], [size])[0]
    except FileNotFoundError as error:
        raise Stopped(f"decontaminate: {file} was there a moment ago and is gone") from error


def _images(asked: Decontaminate) -> Iterator[Image]:
    """Yield every image of every set, in order of set and file."""
    for name, files in sources(asked).items():
        for source in files:
            if _suffix(source.name) != "tar":
                yield Image(name, source.name, source.location, 0, source.bytes)
                continue
            with open_file(source.location) as file:
                for member in members(file, source.location):
                    if member.isreg() and member.size and _suffix(member.name) in IMAGES:
                        own = f"{source.name}/{member.name}"
                        yield Image(name, own, source.location, member.offset_data, member.size)


def _measured(
    asked: Recipe, store: Store, engine: Engine, images: list[Image]
) -> tuple[list[int | None], Vectors | None]:
    """Return the pHash of every image, None of one that does not decode, and the vectors, (n, d).

    The vector of an image that does not decode is zero.
    """
    assert asked.decontaminate is not None
    starts = range(0, len(images), IMAGES_AT_ONCE)
    parts = enumerate(images[start : start + IMAGES_AT_ONCE] for start in starts)
    if asked.decontaminate.vectors:
        assert asked.embed is not None
        setup = partial(model_record.load_model, store, asked.embed)
        gpus = asked.embed.num_gpus if asked.embed.device != "cpu" else 0
        results = engine.map_with(setup, partial(_measure, asked.image), parts, gpus)
    else:
        results = engine.map(partial(_measure, asked.image, None), parts)
    found: dict[int, tuple[list[int | None], Vectors | None]] = {}
    for (number, some), result in results:
        if isinstance(result, Crashed):
            raise Stopped(
                f"decontaminate: the process died at every attempt ({result.reason}) at the images "
                f"from {some[0].file} {some[0].name} on"
            )
        found[number] = result
    hashes = [value for number in sorted(found) for value in found[number][0]]
    vectors = [found[number][1] for number in sorted(found)]
    if not asked.decontaminate.vectors:
        return hashes, None
    return hashes, np.concatenate([some for some in vectors if some is not None])


def _measure(
    options: recipe.Image, model: ClipModel | None, part: tuple[int, list[Image]]
) -> tuple[list[int | None], Vectors | None]:
    """Return pHashes, and vectors if there is a model, of some images."""
    made = [picture(body(image.file, image.offset, image.bytes), options) for image in part[1]]
    there = [place for place, one in enumerate(made) if isinstance(one, Picture)]
    pictures = [one for one in made if isinstance(one, Picture)]
    planes = np.empty(len(pictures), object)
    planes[:] = [one.luma_256 for one in pictures]
    hashes: list[int | None] = [None] * len(made)
    for place_, value in zip(there, PerceptualHash().measure(planes).tolist(), strict=True):
        hashes[place_] = value
    if model is None:
        return hashes, None
    vectors = np.zeros((len(made), model.dimensions), np.float32)
    vectors[there] = model.images(map(_pixels, pictures))
    return hashes, vectors


def _pixels(one: Picture) -> NDArray[np.uint8]:
    """Return the pixels that the stored image has, (h, w, 3)."""
    return decode_image((one.stored, "an evaluation image"))


def _write(store: Store, path: str, table: pa.Table) -> dict[str, Any]:
    import pyarrow.parquet as pq

    with store.writer(path) as sink:
        pq.write_table(table, sink, compression="zstd")
    return sink.entry()


def _suffix(name: str) -> str:
    return name.lower().rpartition(".")[2]
