"""What the samples of a selection hold, as the recipe wants it."""

from collections.abc import Iterator

import pyarrow as pa

from pairsieve.filters import own
from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, vectors_folder
from pairsieve.pipeline.ledger.files import CAPTIONS as CAPTION_FILES
from pairsieve.pipeline.ledger.files import LedgerFiles
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.samples.layout import Layout, TarLayout
from pairsieve.pipeline.samples.parquet import FURTHER, IMAGE, ORIGINAL, ParquetLayout, plain
from pairsieve.pipeline.samples.smaller import Smaller
from pairsieve.pipeline.shards.captions import Captions
from pairsieve.pipeline.shards.records import Content
from pairsieve.pipeline.unit import plan_file
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.schemas.columns import (
    CAPTIONED,
    CAPTIONS,
    COLUMNS,
    EMBEDDED,
    IMAGE_EMBEDDING,
    TEXT,
    UID,
    Column,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


def content_of(recipe: Recipe, pool: Pool) -> Content:
    """Return what samples hold, of all parts alike.

    Raises:
        BadOption: samples are to have vectors, and some task slice has none of this model.
    """
    store = pool.store
    schema = plan_file.read(store).schema if store.exists(paths.PLAN_FILE) else ()
    return Content(
        recipe.shard.seed,
        _layout(recipe, pool, schema),
        Captions.of(recipe, schema),
        {field.name: field.type for field in schema if pa.types.is_duration(field.type)},
        smaller=Smaller.of(recipe, pool.engine.task_threads),
        vectors=_vectors(recipe, pool),
    )


def _layout(recipe: Recipe, pool: Pool, extra: pa.Schema) -> Layout:
    options = recipe.shard
    columns = (*COLUMNS, *recipe.other_scores, *own.columns(own.of(recipe)))
    shown = None if options.columns is None else frozenset(options.columns)
    if options.layout == "webdataset":
        return TarLayout(recipe.image.format, columns, shown)
    fields = list(_further(recipe))
    taken = {IMAGE, TEXT.name, *(field.name for field in fields)}
    fields += [field for field in _fields(pool, columns, shown, extra) if field.name not in taken]
    return ParquetLayout(recipe.image.format, tuple(fields))


def _further(recipe: Recipe) -> Iterator[pa.Field]:
    """Yield the columns of Parquet shards that are made of texts and vectors."""
    options = recipe.shard
    if options.text != "original":
        yield pa.field(ORIGINAL, pa.string())
    if options.captions == "all":
        yield pa.field(CAPTIONS.name, FURTHER[CAPTIONS.name])
    if options.vectors == "npy":
        yield pa.field(IMAGE_EMBEDDING.name, FURTHER[IMAGE_EMBEDDING.name])


def _fields(
    pool: Pool, columns: tuple[Column, ...], shown: frozenset[str] | None, extra: pa.Schema
) -> Iterator[pa.Field]:
    """Yield the columns of Parquet shards that the ledger has, each with the type it has there.

    Where the recipe does not say which are shown, those of a stage that has not run are not.
    """
    types = {column.name: column.type for column in columns if column.in_sample}
    types |= {field.name: field.type for field in extra}
    idle = _idle(pool.files) if shown is None else set()
    for name in pool.schema().names:
        wanted = shown is None or name in shown or name == UID.name
        if name in types and name not in idle and wanted:
            yield pa.field(name, plain(types[name]))


def _idle(files: LedgerFiles) -> set[str]:
    """Return the columns of stages that have left nothing."""
    idle = [column for result in files.results if not result.files for column in result.columns]
    idle += [] if files.scores.get("") else EMBEDDED
    idle += [] if files.scores.get(CAPTION_FILES) else CAPTIONED
    return {column.name for column in idle}


def _vectors(recipe: Recipe, pool: Pool) -> str | None:
    """Return the folder of the vectors that samples are to have; None for none."""
    if recipe.shard.vectors == "none" or recipe.embed is None:
        return None
    folder = model_folder(recipe.embed)
    gathered = set(pool.store.marker_names(GATHER_FOLDER))
    if gathered - set(pool.store.marker_names(vectors_folder(folder))):
        raise BadOption(
            f"shard.vectors: not all pairs have vectors of {folder} yet; run `pairsieve embed`"
        )
    return folder
