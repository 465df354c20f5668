"""The scores on a piece's vectors: every filter that reads them, and what the recipe adds.

They are arithmetic on the vectors as the dataset stores them, rounded to float16, so that anybody
can compute them again. Sums run row by row: a row's score does not depend on how many others there
are, as it would in a matrix product. A score has one way of being measured: the filter's own
prompts, or what the recipe says in their place (`ways.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters import FILTERS
from pairsieve.filters.base import Measures, Prompted, measured, softmax
from pairsieve.filters.minor_safety import MinorSafety
from pairsieve.pipeline.models.clip import Model
from pairsieve.pipeline.vectors import scorers
from pairsieve.pipeline.vectors.scorers import Compared, Pictures, Score
from pairsieve.schemas.columns import (
    CONCEPTS,
    EMBEDDED,
    IMAGE_EMBEDDING,
    NSFW,
    PROMPT_LOGITS,
    ROW,
    TAG,
    TAG_PROBABILITY,
    TAGS,
    TEXT,
    TEXT_EMBEDDING,
    Column,
    arrow_schema,
)
from pairsieve.schemas.recipe import Embed

VECTORS = {IMAGE_EMBEDDING, TEXT_EMBEDDING, PROMPT_LOGITS}
READABLE = VECTORS | {TEXT, NSFW}
# The demo's model has seen drawn shapes and no people: to it no picture is nearer to a minor than
# to anybody else, so that `minor_safety`, which always holds, goes by the text alone.
# Measured: else it takes 6.5 % of 200 drawn scenes for minors.
SHAPES_ONLY = "pairsieve-tiny"


@dataclass(frozen=True)
class Prepared:
    """What measures the scores of one recipe with one model.

    Attributes:
        prompts: By the name of a prompted filter's class, the vectors of its classes.
        known: By the column that it fills, what measures a score in the recipe's own way.
        concepts: The same by the name of the concept.
        tags: The vectors of the tags, None where there are none.
        names: The names of the tags, in order.
    """

    prompts: dict[str, Compared]
    known: dict[str, Score]
    concepts: dict[str, Score]
    tags: Compared | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class Pairs:
    """The pairs whose scores are measured, in row order.

    Attributes:
        rows: Their rows, (n,).
        images: Vectors of the images as stored, (n, d).
        texts: Vectors of the texts as stored, (n, d).
        captions: The texts, (n,).
        pictures: The stored images, read only if a classifier asks for them.
    """

    rows: pa.ChunkedArray
    images: NDArray[np.float16]
    texts: NDArray[np.float16]
    captions: list[str]
    pictures: Pictures


def prepare(options: Embed, model: Model) -> Prepared:
    """Return what measures the scores that the recipe asks for.

    Raises:
        BadOption: a head or a classifier cannot be had, or does not fit the model.
    """
    prompted = [one for one in filters() if isinstance(one, Prompted)]
    prompts = {type(one).__name__: scorers.compared(model, one.prompts) for one in prompted}
    if Path(options.model).stem == SHAPES_ONLY:
        minor = prompts[MinorSafety.__name__]
        prompts[MinorSafety.__name__] = replace(minor, classes=np.zeros_like(minor.classes))
    named = scorers.named(options)
    made = {place: scorers.prepare(place, way, model) for place, way in named.items()}
    return Prepared(
        prompts=prompts,
        known={n: made[f"embed.scores.{n}"] for n, way in options.scores if way},
        concepts={name: made[f"embed.concepts.{name}"] for name in options.concepts},
        tags=scorers.compared(model, options.tags) if options.tags else None,
        names=tuple(options.tags),
    )


def measure(pairs: Pairs, prepared: Prepared, how: dict[str, str]) -> pa.Table:
    """Return `row` and every column of EMBEDDED; `how` says of a column how it is measured."""
    images = pairs.images.astype(np.float32)
    given: dict[Column, Any] = {
        IMAGE_EMBEDDING: images,
        TEXT_EMBEDDING: pairs.texts.astype(np.float32),
        TEXT: np.array(pairs.captions, object),
    }
    found: dict[Column, Any] = {ROW: pairs.rows}
    for column in EMBEDDED:
        if score := prepared.known.get(column.name):
            found[column] = score.values(images, pairs.pictures)
    for one in filters():
        if one.writes[0] in found:
            continue
        if isinstance(one, Prompted):
            given[PROMPT_LOGITS] = prepared.prompts[type(one).__name__].answers(images)
        found |= measured(one, given | found)
    found |= _concepts(prepared, images, pairs.pictures) | _tags(prepared, images)
    columns = (ROW, *EMBEDDED)
    nulls = pa.nulls(len(pairs.rows))
    fields = [
        field.with_metadata({**field.metadata, "measured": how[field.name]})
        if field.name in how
        else field
        for field in arrow_schema(columns)
    ]
    arrays = [_array(found.get(c, nulls), c.type) for c in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def described(options: Embed) -> dict[str, str]:
    """Return how each column is measured, in words, by its name; concepts one by one."""
    own = {
        one.writes[0].name: "the prompts of pairsieve"
        for one in filters()
        if isinstance(one, Prompted)
    }
    own |= {name: scorers.described(way) for name, way in options.scores if way}
    each = [f"{name}: {scorers.described(way)}" for name, way in options.concepts.items()]
    if each:
        own[CONCEPTS.name] = "; ".join(each)
    if options.tags:
        own[TAGS.name] = f"the prompts of the recipe for {', '.join(options.tags)}"
    return own


def shape(options: Embed) -> dict[str, Any]:
    """Return all that shapes the scores on given vectors: prompts, heads and classifiers."""
    prompted = [one for one in filters() if isinstance(one, Prompted)]
    return {
        "filters": {type(one).__name__: one.prompts for one in prompted},
        "ways": {place: scorers.shape(way) for place, way in scorers.named(options).items()},
        "tags": list(options.tags.items()),
    }


def filters() -> list[Measures]:
    """Return the filters that read vectors."""
    made = (filter_() for filter_ in FILTERS)
    return [
        one
        for one in made
        if isinstance(one, Measures) and set(one.reads) & VECTORS and set(one.reads) <= READABLE
    ]


def _concepts(prepared: Prepared, images: Any, pictures: Pictures) -> dict[Column, Any]:
    """Return the column of the concepts, a map per row; none without concepts."""
    if not prepared.concepts:
        return {}
    values = [score.values(images, pictures) for score in prepared.concepts.values()]
    return {CONCEPTS: _maps(prepared.concepts, np.stack(values, axis=1))}


def _tags(prepared: Prepared, images: Any) -> dict[Column, Any]:
    """Return the columns of the tags; of equals the first is the most probable."""
    if prepared.tags is None:
        return {}
    shares = softmax(prepared.tags.answers(images)).astype(np.float32)
    best = shares.argmax(axis=1)
    return {
        TAG: [prepared.names[place] for place in best],
        TAG_PROBABILITY: shares.max(axis=1),
        TAGS: _maps(prepared.names, shares),
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
