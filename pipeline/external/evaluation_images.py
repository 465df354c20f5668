"""The images of evaluation sets: hashed and embedded once, as the dataset's own images are.

A set is image files, tars of them, or WebDataset shards, in any mixture; what else lies beside them
(labels, texts) is passed over. Every image is decoded, resized and stored as the recipe says, so
that its pHash and vector are what the dataset would have of it. The results lie under
`group/evaluation/`, by a fingerprint of files, recipe and model: made again when one changes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from itertools import chain
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.pipeline.dataset import checksums, paths
from pairsieve.pipeline.dataset.commit import commit, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    beside,
    content,
    marker_path,
    round_folder,
    search_folder,
    task_name,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
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
    folder = round_folder(search_folder(name_of(options)), "evaluated")
    _measure_all(options, store, engine, folder, images)
    measured = list(store.markers(folder).values())
    for each in options.decontaminate.sets:
        count = sum(image.set == each.name for image in images)
        if count == sum(marker.counts.get(each.name, 0) for marker in measured):
            raise BadOption(
                f"decontaminate.sets: none of the images of {each.name!r} can be decoded"
            )
    file = beside(path, ".parquet")
    counts = {
        "images": len(images),
        "unreadable": sum(sum(marker.counts.values()) for marker in measured),
    }
    entry = _joined(store, file, [marker.file(".parquet") for marker in measured])
    return commit(store, path, Marker(len(images), {file: entry}, counts))


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


def _measure_all(
    options: EvaluationOptions,
    store: Store,
    engine: Engine,
    folder: str,
    images: list[EvaluationImage],
) -> None:
    """Measure the images that no task in `folder` has committed yet.

    Raises:
        Stopped: an image kept killing the process that decoded it.
    """
    starts = range(0, len(images), IMAGES_AT_ONCE)
    parts = rounds.numbered(images[start : start + IMAGES_AT_ONCE] for start in starts)
    done = set(store.markers(folder))
    pending = (part for name, part in parts.items() if name not in done)
    task = partial(_measure, store, folder, options.image)
    if embed := options.embed:
        setup = partial(model_record.load_model, store, embed)
        gpus = embed.num_gpus if embed.device != "cpu" else 0
        results = engine.map_with(setup, task, pending, gpus)
    else:
        results = engine.map(partial(task, None), pending)
    for (_, part), result in results:
        if isinstance(result, Crashed):
            raise Stopped(
                f"decontaminate: the process died at every attempt ({result.reason}) at the images "
                f"from {part[0].file} {part[0].name} on"
            )


def _measure(
    store: Store,
    folder: str,
    options: Image,
    model: ClipModel | None,
    part: rounds.Numbered[list[EvaluationImage]],
) -> Marker:
    """Commit some images with their pHash, null of one that does not decode, and their vector.

    That of an image that does not decode is zero; without a model there is none. The marker's
    counts: of each set, how many do not decode.
    """
    number, images = part
    results = [picture(body(image.file, image.offset, image.bytes), options) for image in images]
    positions = [index for index, each in enumerate(results) if isinstance(each, Picture)]
    pictures = [each for each in results if isinstance(each, Picture)]
    planes = np.empty(len(pictures), object)
    planes[:] = [each.luma_256 for each in pictures]
    hashes: list[int | None] = [None] * len(results)
    for index, value in zip(positions, PerceptualHash().measure(planes).tolist(), strict=True):
        hashes[index] = value
    fields = EvaluationImage.__slots__
    table = pa.table({field: [getattr(image, field) for image in images] for field in fields})
    table = table.append_column(PERCEPTUAL_HASH.name, pa.array(hashes, PERCEPTUAL_HASH.type))
    if model is not None:
        vectors = np.zeros((len(results), model.dimensions), np.float16)
        vectors[positions] = model.images(map(_pixels, pictures))
        kind = pa.list_(pa.float16(), model.dimensions)
        flat = pa.array(vectors.reshape(-1))
        table = table.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(flat, type=kind))
    unreadable = Counter(
        image.set for image, value in zip(images, hashes, strict=True) if value is None
    )
    path = content(folder, task_name(number), ".parquet")
    marker = Marker(len(images), {path: _write(store, path, [table])}, dict(unreadable))
    return commit(store, marker_path(folder, task_name(number)), marker)


def _pixels(one: Picture) -> NDArray[np.uint8]:
    """Return the pixels that the stored image has, (h, w, 3)."""
    return decode_image((one.stored, "an evaluation image"))


def _joined(store: Store, path: str, files: Sequence[str]) -> dict[str, Any]:
    """Write the tables of tasks as one file, so many rows at a time; return its entry."""

    def groups() -> Iterator[pa.Table]:
        pending: list[pa.Table] = []
        for file in files:
            with checksums.open_parquet(store, file) as source:
                pending.append(source.read())
            if sum(map(len, pending)) >= GROUP_ROWS:
                yield pa.concat_tables(pending)
                pending.clear()
        if pending:
            yield pa.concat_tables(pending)

    return _write(store, path, groups())


def _write(store: Store, path: str, tables: Iterable[pa.Table]) -> dict[str, Any]:
    """Write tables, at least one, as a Parquet file; return its entry."""
    import pyarrow.parquet as pq

    every = iter(tables)
    first = next(every)
    with (
        store.writer(path) as sink,
        pq.ParquetWriter(sink, first.schema, compression="zstd") as writer,
    ):
        for table in chain([first], every):
            writer.write_table(table)
    return sink.entry()


def _suffix(name: str) -> str:
    return name.lower().rpartition(".")[2]
