"""Scores are committed apart from the vectors that they are measured on.

Vectors depend on the model alone; scores also on prompts, heads and classifiers. What shapes them
is in the name of their folder beside the vectors, so another head means other scores, measured
from the stored vectors, and neither another pass of the model over the images nor a mixture.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.checksums import STORED_AT, StoredAt
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.costs import since_last
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import SCORES_SUFFIX, VECTORS_SUFFIX, beside
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import head_check, scores
from pairsieve.pipeline.vectors.head_check import HeadScores
from pairsieve.pipeline.vectors.model_record import ModelRecord, with_model_metadata
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.pipeline.vectors.scorers import StoredImages
from pairsieve.pipeline.vectors.scores import EmbeddedPairs, PreparedScorers
from pairsieve.pipeline.vectors.slice_records import ScoreSources
from pairsieve.schemas.columns import (
    IMAGE_EMBEDDING,
    ROW,
    TEXT_EMBEDDING,
    Column,
)

ReadPixels = Callable[[list[StoredAt]], Iterator[NDArray[np.uint8]]]


@dataclass(frozen=True)
class Scoring:
    """What measures the scores of one recipe with one model.

    Attributes:
        prepared: Measures them.
        sources: Says of each column what measured it.
        model: The record of the model that made the vectors.
        heads: The heads among what measures, by the name of their score or concept.
    """

    prepared: PreparedScorers
    sources: ScoreSources
    model: ModelRecord
    heads: Mapping[str, HeadScores] = field(default_factory=dict)


def commit_scores(
    store: Store,
    path: str,
    scoring: Scoring,
    markers: tuple[Marker, Marker],
    read_pixels: ReadPixels,
) -> Marker:
    """Measure the scores of a task slice and commit them at `path`, unless they are there.

    Args:
        store: The dataset.
        path: The marker to be.
        scoring: What measures.
        markers: Those of the gathered slice and of its vectors.
        read_pixels: Yields the stored images at some byte ranges.
    """
    if done := store.marker(path):
        return done
    import pyarrow.parquet as pq

    gathered, _ = markers
    pairs = _pairs(store, markers, scoring.prepared.gathered, read_pixels)
    measured = scores.measure(pairs, scoring.prepared, scoring.sources)
    name = beside(path, SCORES_SUFFIX)
    with store.writer(name) as sink:
        table = with_model_metadata(measured, scoring.model)
        pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    counts = {"scored": measured.num_rows}
    heads = head_check.to_json(measured, scoring.heads)
    extra = {**scoring.sources.to_json(), **heads, **since_last()}
    return commit(store, path, Marker(gathered.rows, {name: sink.entry()}, counts, extra))


def _pairs(
    store: Store, markers: tuple[Marker, Marker], read: tuple[Column, ...], read_pixels: ReadPixels
) -> EmbeddedPairs:
    """Return the pairs of a task slice that have vectors, with the columns `read` of `gather`."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    gathered, embedded = markers
    names = dict.fromkeys(column.name for column in (ROW, *STORED_AT, *read))
    vectors = pq.read_table(checksums.read(store, *embedded.entry(VECTORS_SUFFIX)))
    part = checksums.read(store, *gathered.entry(".parquet"))
    table = pq.read_table(part, columns=list(names))
    table = table.filter(pc.is_in(table[ROW.name], vectors[ROW.name].combine_chunks()))
    ranges = checksums.located(table.select([c.name for c in STORED_AT]).to_pylist())
    distinct = list(dict.fromkeys(ranges))
    index = {one: number for number, one in enumerate(distinct)}
    index_of = np.array([index[one] for one in ranges], np.intp)
    return EmbeddedPairs(
        vectors[ROW.name],
        matrix(vectors[IMAGE_EMBEDDING.name]),
        matrix(vectors[TEXT_EMBEDDING.name]),
        table,
        StoredImages(lambda: read_pixels(distinct), index_of),
    )
