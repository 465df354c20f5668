"""The images of evaluation sets: hashed and embedded once, as the dataset's own images are.

A set is image files, tars of them, or WebDataset shards, in any mixture; what else lies beside them
(labels, texts) is passed over. Every image is decoded, resized and stored as the recipe says, so
that its pHash and vector are what the dataset would have of it. The results lie under
`group/evaluation/`, by a fingerprint of files, recipe and model: made again when one changes.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, Self

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
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import PERCEPTUAL_HASH
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Embed, Image, Recipe
from pairsieve.schemas.recipe_external import Decontaminate

VECTOR = "vector"
IMAGES_AT_ONCE = 128  # of one task; bounds the memory for their pixels
GROUP_ROWS = 1 << 16  # of a row group
BUFFER = 1 << 20  # bytes of a column that are read together
Halves = NDArray[np.float16]  # (n, d)
PACKED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")


@dataclass(frozen=True, slots=True)
class EvaluationImage:
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


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What of a recipe shapes the hashes and vectors of its evaluation sets.

    Attributes:
        decontaminate: The section that lists the sets.
        image: How images are stored.
        embed: The model of the vectors; None where only hashes are compared.
    """

    decontaminate: Decontaminate
    image: Image
    embed: Embed | None

    @classmethod
    def of(cls, recipe: Recipe) -> Self | None:
        """Return those of a recipe; None if it names no evaluation sets."""
        if recipe.decontaminate is None:
            return None
        embed = recipe.embed if recipe.decontaminate.vectors else None
        return cls(recipe.decontaminate, recipe.image, embed)


def sources(decontaminate: Decontaminate) -> dict[str, list[InputFile]]:
    """Return the files of each set, sorted by name.

    Raises:
        BadOption: a set has none, or tars that must be unpacked first.
    """
    sources = {}
    for each in decontaminate.sets:
        files = sorted(list_files(each.path)[0], key=lambda file: file.name)
        for file in files:
            if file.name.lower().endswith(PACKED):
                raise BadOption(
                    f"decontaminate.sets: {file.location} is compressed; unpack it (tars as such "
                    "are read)"
                )
        sources[each.name] = [file for file in files if _suffix(file.name) in {"tar", *IMAGES}]
        if not sources[each.name]:
            raise BadOption(
                f"decontaminate.sets: no image and no tar at {each.path}, the set {each.name!r}"
            )
    return sources


def versions(options: EvaluationOptions) -> list[Any]:
    """Return what changes when a set, the way images are stored, or the model does."""
    by_set = sources(options.decontaminate).items()
    files = {name: list(map(astuple, set_files)) for name, set_files in by_set}
    model = folders.model_folder(options.embed) if options.embed else None
    return [files, options.image.shaping(), model]


def name_of(options: EvaluationOptions) -> str:
    """Return the name under which the sets are kept."""
    return fingerprint(versions(options))


def marker_of(options: EvaluationOptions) -> str:
    """Return where the sets are committed."""
    return paths.marker_path(paths.EVALUATION, name_of(options))


def stored(options: EvaluationOptions, store: Store, engine: Engine) -> Marker:
    """Hash and embed the sets and commit; without a change nothing is done.

    The marker's counts: `images`, and of them `unreadable`.

    Raises:
        BadOption: a set has no file, or none that can be decoded; a tar is broken.
        Stopped: an image kept killing the process that decoded it.
    """
    path = marker_of(options)
    if done := store.marker(path):
        return done
    images = list(_images(options.decontaminate))
    hashes, vectors = _measured(options, store, engine, images)
    fields = EvaluationImage.__slots__
    table = pa.table({field: [getattr(image, field) for image in images] for field in fields})
    table = table.append_column(PERCEPTUAL_HASH.name, pa.array(hashes, PERCEPTUAL_HASH.type))
    unreadable = {each.name: 0 for each in options.decontaminate.sets}
    for image, value in zip(images, hashes, strict=True):
        unreadable[image.set] += value is None
    for name, count in unreadable.items():
        if count == sum(image.set == name for image in images):
            raise BadOption(f"decontaminate.sets: none of the images of {name!r} can be decoded")
    if vectors is not None:
        kind = pa.list_(pa.float16(), vectors.shape[1])
        flat = pa.array(vectors.reshape(-1))
        table = table.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(flat, type=kind))
    file = beside(path, ".parquet")
    counts = {"images": len(images), "unreadable": sum(unreadable.values())}
    return commit(store, path, Marker(len(images), {file: _write(store, file, table)}, counts))


def read(
    store: Store, marker: Marker, columns: Sequence[str], names: Collection[str] | None = None
) -> pa.Table:
    """Return columns of the images, in order; with `names` only of those that are called so."""
    import pyarrow.parquet as pq

    wanted = None if names is None else [("name", "in", list(names))]
    with store.reader(marker.file(".parquet")) as file:
        return pq.read_table(file, columns=list(columns), filters=wanted)


def vectors(store: Store, marker: Marker, count: int) -> Iterator[Vectors]:
    """Yield the vectors of the images, in order, at most so many at a time."""
    import pyarrow.parquet as pq

    with store.reader(marker.file(".parquet")) as file:
        for batch in pq.ParquetFile(file, buffer_size=BUFFER).iter_batches(count, columns=[VECTOR]):
            yield matrix(pa.chunked_array(batch.columns)).astype(np.float32)


def body(file: str, offset: int, size: int) -> bytes:
    """Return the bytes of an image; Stopped when the file is gone."""
    store, name = split_location(file)
    try:
        return store.read_ranges(name, [offset], [size])[0]
    except FileNotFoundError as error:
        raise Stopped(f"decontaminate: {file} was there a moment ago and is gone") from error


def _images(decontaminate: Decontaminate) -> Iterator[EvaluationImage]:
    """Yield every image of every set, in order of set and file."""
    for set_name, files in sources(decontaminate).items():
        for source in files:
            if _suffix(source.name) != "tar":
                yield EvaluationImage(set_name, source.name, source.location, 0, source.bytes)
                continue
            with open_file(source.location) as file:
                for member in members(file, source.location):
                    if member.isreg() and member.size and _suffix(member.name) in IMAGES:
                        name = f"{source.name}/{member.name}"
                        offset, size = member.offset_data, member.size
                        yield EvaluationImage(set_name, name, source.location, offset, size)


def _measured(
    options: EvaluationOptions, store: Store, engine: Engine, images: list[EvaluationImage]
) -> tuple[list[int | None], Halves | None]:
    """Return the pHash of every image, None of one that does not decode, and the vectors, (n, d).

    The vector of an image that does not decode is zero.
    """
    starts = range(0, len(images), IMAGES_AT_ONCE)
    parts = enumerate(images[start : start + IMAGES_AT_ONCE] for start in starts)
    if embed := options.embed:
        setup = partial(model_record.load_model, store, embed)
        gpus = embed.num_gpus if embed.device != "cpu" else 0
        results = engine.map_with(setup, partial(_measure, options.image), parts, gpus)
    else:
        results = engine.map(partial(_measure, options.image, None), parts)
    measured: dict[int, tuple[list[int | None], Halves | None]] = {}
    for (number, part), result in results:
        if isinstance(result, Crashed):
            raise Stopped(
                f"decontaminate: the process died at every attempt ({result.reason}) at the images "
                f"from {part[0].file} {part[0].name} on"
            )
        measured[number] = result
    hashes = [value for number in sorted(measured) for value in measured[number][0]]
    if embed is None:
        return hashes, None
    vectors = [measured[number][1] for number in sorted(measured)]
    return hashes, np.concatenate([each for each in vectors if each is not None])


def _measure(
    options: Image, model: ClipModel | None, part: tuple[int, list[EvaluationImage]]
) -> tuple[list[int | None], Halves | None]:
    """Return pHashes, and vectors if there is a model, of some images."""
    results = [picture(body(image.file, image.offset, image.bytes), options) for image in part[1]]
    positions = [index for index, each in enumerate(results) if isinstance(each, Picture)]
    pictures = [each for each in results if isinstance(each, Picture)]
    planes = np.empty(len(pictures), object)
    planes[:] = [each.luma_256 for each in pictures]
    hashes: list[int | None] = [None] * len(results)
    for index, value in zip(positions, PerceptualHash().measure(planes).tolist(), strict=True):
        hashes[index] = value
    if model is None:
        return hashes, None
    vectors = np.zeros((len(results), model.dimensions), np.float16)
    vectors[positions] = model.images(map(_pixels, pictures))
    return hashes, vectors


def _pixels(one: Picture) -> NDArray[np.uint8]:
    """Return the pixels that the stored image has, (h, w, 3)."""
    return decode_image((one.stored, "an evaluation image"))


def _write(store: Store, path: str, table: pa.Table) -> dict[str, Any]:
    import pyarrow.parquet as pq

    with store.writer(path) as sink:
        pq.write_table(table, sink, compression="zstd", row_group_size=GROUP_ROWS)
    return sink.entry()


def _suffix(name: str) -> str:
    return name.lower().rpartition(".")[2]
