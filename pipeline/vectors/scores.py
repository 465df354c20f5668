"""The scores on a task slice's vectors: every filter that reads them, and what the recipe adds.

They are arithmetic on the vectors as the dataset stores them, rounded to float16, so that anybody
can compute them again. Sums run row by row: a row's score does not depend on how many others there
are, as it would in a matrix product. A score is measured by one scorer: the filter's own prompts,
or what the recipe says in their place (`scorers.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters import FILTERS
from pairsieve.filters.base import Filters, Measures, Prompted, measured, softmax
from pairsieve.filters.minor_safety import MinorSafety
from pairsieve.filters.order import Order, ordered
from pairsieve.pipeline.models import builtin
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.vectors import centroids, mirror, scorers
from pairsieve.pipeline.vectors.centroids import Centroids
from pairsieve.pipeline.vectors.scorers import LoadedScorer, PromptClasses, StoredImages
from pairsieve.pipeline.vectors.slice_records import ScoreSources
from pairsieve.schemas.arrays import Vectors
from pairsieve.schemas.columns import (
    CONCEPTS,
    EMBEDDED,
    IMAGE_CLUSTER,
    IMAGE_EMBEDDING,
    MIRROR_SIMILARITY,
    PROMPT_LOGITS,
    ROW,
    TAG,
    TAG_PROBABILITY,
    TAGS,
    TEXT_EMBEDDING,
    Column,
    arrow_schema,
)
from pairsieve.schemas.recipe import Embed

# The demo's model has seen drawn shapes and no people: to it no picture is nearer to a minor than
# to anybody else, so `minor_safety`, which always holds, goes by the text alone.
# Measured: else it takes 6.5 % of 200 drawn scenes for minors.
SHAPES_ONLY = "pairsieve-tiny"


@dataclass(frozen=True)
class PreparedScorers:
    """What measures the scores of one recipe with one model.

    Attributes:
        prompts: By the name of a prompted filter's class, the classes of its prompts.
        columns: By the name of a column, the recipe's own scorer in place of the prompts.
        concepts: By the name of a concept, its scorer.
        tags: The classes of the tags' prompts, None where there are no tags.
        tag_names: The names of the tags, in order.
        order: The filters, in the order in which they measure.
        centroids: Those of the clusters, None where there are none.
        mirror: What embeds the mirrored images, None where these are not asked for.
    """

    prompts: dict[str, PromptClasses]
    columns: dict[str, LoadedScorer]
    concepts: dict[str, LoadedScorer]
    tags: PromptClasses | None
    tag_names: tuple[str, ...]
    order: Order
    centroids: Centroids | None = None
    mirror: ClipModel | None = None

    @property
    def gathered(self) -> tuple[Column, ...]:
        """Return the columns of `gather` that filters and scorers read, each once."""
        loaded = (*self.columns.values(), *self.concepts.values())
        read = [column for scorer in loaded for column in scorer.reads]
        return tuple(dict.fromkeys((*self.order.gathered, *read)))


@dataclass(frozen=True)
class EmbeddedPairs:
    """The pairs whose scores are measured, in row order.

    Attributes:
        rows: Their rows, (n,).
        images: Vectors of the images as stored, (n, d).
        texts: Vectors of the texts as stored, (n, d).
        gathered: What `gather` left of them: at least the columns `Order.gathered`.
        stored: The stored images, read only if a classifier needs them.
    """

    rows: pa.ChunkedArray
    images: NDArray[np.float16]
    texts: NDArray[np.float16]
    gathered: pa.Table
    stored: StoredImages


def prepare(options: Embed, model: ClipModel, filters: Filters = FILTERS) -> PreparedScorers:
    """Return what measures the scores of the recipe.

    Raises:
        BadOption: a head or a classifier cannot be had, or does not fit the model.
    """
    order = ordered(filters)
    prompted = [one for one in order.vectors if isinstance(one, Prompted)]
    prompts = {type(one).__name__: scorers.prompt_classes(model, one.prompts) for one in prompted}
    if Path(options.model).stem == SHAPES_ONLY and MinorSafety.__name__ in prompts:
        minor = prompts[MinorSafety.__name__]
        prompts[MinorSafety.__name__] = replace(minor, vectors=np.zeros_like(minor.vectors))
    loaded = {
        key: scorers.load(key, scorer, model) for key, scorer in scorers.by_key(options).items()
    }
    return PreparedScorers(
        prompts=prompts,
        columns={name: loaded[f"embed.scores.{name}"] for name, scorer in options.scores if scorer},
        concepts={name: loaded[f"embed.concepts.{name}"] for name in options.concepts},
        tags=scorers.prompt_classes(model, options.tags) if options.tags else None,
        tag_names=tuple(options.tags),
        order=order,
        centroids=centroids.load(options, model.dimensions),
        mirror=model if options.mirror else None,
    )


def measure(pairs: EmbeddedPairs, prepared: PreparedScorers, sources: ScoreSources) -> pa.Table:
    """Return `row` and every column of EMBEDDED, with its source in the column's metadata."""
    images = pairs.images.astype(np.float32)
    vectors = {IMAGE_EMBEDDING: images, TEXT_EMBEDDING: pairs.texts.astype(np.float32)}
    ledger = {c: pairs.gathered[c.name].combine_chunks() for c in prepared.order.gathered}
    texts = vectors[TEXT_EMBEDDING]
    stored = replace(pairs.stored, texts=texts, gathered=pairs.gathered)
    ledger |= _of_recipe(prepared, images, stored)
    if prepared.mirror:
        ledger[MIRROR_SIMILARITY] = pa.array(mirror.similarity(prepared.mirror, texts, stored))
    for one in prepared.order.vectors:
        if one.writes[0] in ledger:
            continue
        if isinstance(one, Prompted):
            vectors[PROMPT_LOGITS] = prepared.prompts[type(one).__name__].logits(images)
        if set(one.reads) <= ledger.keys() | vectors.keys():
            ledger |= _measured(one, vectors, ledger)
    ledger[ROW] = pairs.rows
    columns = (ROW, *EMBEDDED)
    nulls = pa.nulls(len(pairs.rows))
    fields = [
        field.with_metadata({**field.metadata, **sources.column_metadata(field.name)})
        for field in arrow_schema(columns)
    ]
    arrays = [ledger.get(column, nulls).cast(column.type) for column in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def unknown(options: Embed, filters: Filters = FILTERS) -> tuple[str, ...]:
    """Return the scores by prompts of which the model can know nothing: the demo's, of people."""
    if not builtin.is_complete(options):
        return ()
    prompted = [one.writes[0].name for one in ordered(filters).vectors if isinstance(one, Prompted)]
    by_files = {name for name, one in options.scores if one and (one.head or one.classifier)}
    return tuple(name for name in prompted if name not in by_files)


def sources(options: Embed, filters: Filters = FILTERS) -> ScoreSources:
    """Return what measures each column, in words; concepts one by one."""
    by_column = {
        one.writes[0].name: "the prompts of pairsieve"
        for one in ordered(filters).vectors
        if isinstance(one, Prompted)
    }
    by_column |= {name: scorers.described(scorer) for name, scorer in options.scores if scorer}
    concepts = [f"{name}: {scorers.described(each)}" for name, each in options.concepts.items()]
    if concepts:
        by_column[CONCEPTS.name] = "; ".join(concepts)
    if options.tags:
        by_column[TAGS.name] = f"the prompts of the recipe for {', '.join(options.tags)}"
    if options.centroids:
        by_column[IMAGE_CLUSTER.name] = centroids.described(options.centroids)
    if options.mirror:
        by_column[MIRROR_SIMILARITY.name] = "the mirrored image"
    return ScoreSources(by_column)


def identity(options: Embed, filters: Filters = FILTERS) -> dict[str, Any]:
    """Return all that shapes the scores on given vectors: prompts, heads and classifiers."""
    prompted = [one for one in ordered(filters).vectors if isinstance(one, Prompted)]
    by_key = scorers.by_key(options)
    mirrored = {"mirror": True} if options.mirror else {}
    return (
        centroids.identity(options)
        | mirrored
        | {
            "filters": {type(one).__name__: one.prompts for one in prompted},
            # "ways" is hashed into the names of folders: another word would mean measuring anew.
            "ways": {key: scorers.identity(scorer) for key, scorer in by_key.items()},
            "tags": list(options.tags.items()),
        }
    )


def _measured(
    one: Measures, vectors: Mapping[Column, Vectors], ledger: Mapping[Column, pa.Array]
) -> dict[Column, pa.Array]:
    """Return what a filter writes, null where a column of the ledger that it reads is null."""
    present = np.ones(len(vectors[IMAGE_EMBEDDING]), bool)
    for column in one.reads:
        if column not in vectors:
            present &= ledger[column].is_valid().to_numpy(zero_copy_only=False)
    some = slice(None) if present.all() else present
    inputs: dict[Column, Any] = {
        column: vectors[column][some]
        if column in vectors
        else ledger[column].filter(pa.array(present)).to_numpy(zero_copy_only=False)
        for column in one.reads
    }
    back = pa.array(np.cumsum(present) - 1, mask=~present)  # where the value of a row is, if any
    return {
        column: _array(values, column.type).take(back)
        for column, values in measured(one, inputs).items()
    }


def _of_recipe(
    prepared: PreparedScorers, images: Vectors, stored: StoredImages
) -> dict[Column, pa.Array]:
    """Return the columns that the recipe's own scorers, concepts and tags fill."""
    scores = _concepts(prepared, images, stored) | _tags(prepared, images)
    for column in EMBEDDED:
        if scorer := prepared.columns.get(column.name):
            scores[column] = scorer.values(images, stored)
    if prepared.centroids:
        scores[IMAGE_CLUSTER] = prepared.centroids.nearest(images)
    return {column: _array(values, column.type) for column, values in scores.items()}


def _concepts(prepared: PreparedScorers, images: Any, stored: StoredImages) -> dict[Column, Any]:
    """Return the column of the concepts, a map per row; none without concepts."""
    if not prepared.concepts:
        return {}
    values = [scorer.values(images, stored) for scorer in prepared.concepts.values()]
    return {CONCEPTS: _maps(prepared.concepts, np.stack(values, axis=1))}


def _tags(prepared: PreparedScorers, images: Any) -> dict[Column, Any]:
    """Return the columns of the tags; of equals the first is the most probable."""
    if prepared.tags is None:
        return {}
    shares = softmax(prepared.tags.logits(images)).astype(np.float32)
    best = shares.argmax(axis=1)
    return {
        TAG: [prepared.tag_names[index] for index in best],
        TAG_PROBABILITY: shares.max(axis=1),
        TAGS: _maps(prepared.tag_names, shares),
    }


def _maps(names: Iterable[str], values: NDArray[np.float32]) -> pa.MapArray:
    """Return rows of values, (n, names), as maps from the names."""
    keys = list(names)
    ends = np.arange(len(values) + 1, dtype=np.int32) * len(keys)
    return pa.MapArray.from_arrays(ends, keys * len(values), pa.array(values.reshape(-1)))


def _array(values: Any, kind: pa.DataType) -> Any:
    """Return the values as an Arrow array of that type."""
    if isinstance(values, pa.ChunkedArray | pa.Array):
        return values.cast(kind)
    return pa.array(values, kind)
