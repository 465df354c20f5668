"""Scores are committed apart from the vectors that they are measured on.

Vectors depend on the model alone; scores also on prompts, heads and classifiers. What shapes them
stands in the name of their folder beside the vectors, so another head means other scores, measured
from the stored vectors, and neither another pass of the model over the images nor a mixture.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import SCORES_SUFFIX, beside
from pairsieve.pipeline.dataset.store import Place, Store
from pairsieve.pipeline.vectors import scores
from pairsieve.pipeline.vectors.model_record import stamped
from pairsieve.pipeline.vectors.reader import SUFFIX, matrix
from pairsieve.pipeline.vectors.scorers import Pictures
from pairsieve.pipeline.vectors.scores import Pairs, Prepared
from pairsieve.schemas.columns import (
    IMAGE_BYTES,
    IMAGE_EMBEDDING,
    IMAGE_FILE,
    IMAGE_OFFSET,
    ROW,
    TEXT,
    TEXT_EMBEDDING,
)

Opened = Callable[[list[Place]], Iterator[NDArray[np.uint8]]]
STORED_AT = (IMAGE_FILE, IMAGE_OFFSET, IMAGE_BYTES)


def score(
    store: Store,
    path: str,
    made: tuple[Prepared, dict[str, str], dict[str, Any]],
    parts: tuple[Marker, Marker],
    opened: Opened,
) -> Marker:
    """Measure the scores of a piece and commit them at `path`, unless they are there.

    Args:
        store: The dataset.
        path: Where they are committed.
        made: What measures, how each column is measured, in words, and the record of the model.
        parts: The markers of the gathered piece and of its vectors.
        opened: Yields the stored images at some places.
    """
    if done := store.marker(path):
        return done
    import pyarrow.parquet as pq

    prepared, how, record = made
    gathered, embedded = parts
    pairs = _pairs(store, gathered, embedded, opened)
    table = stamped(scores.measure(pairs, prepared, how), record)
    name = beside(path, SCORES_SUFFIX)
    with store.writer(name) as sink:
        pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    marker = Marker(gathered.rows, {name: sink.entry()}, {"scored": table.num_rows}, {"how": how})
    return commit(store, path, marker)


def _pairs(store: Store, gathered: Marker, embedded: Marker, opened: Opened) -> Pairs:
    """Return the pairs of a piece that have vectors."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with store.reader(embedded.file(SUFFIX)) as file:
        vectors = pq.read_table(file)
    with store.reader(gathered.file(".parquet")) as file:
        table = pq.read_table(file, columns=[c.name for c in (ROW, TEXT, *STORED_AT)])
    table = table.filter(pc.is_in(table[ROW.name], vectors[ROW.name].combine_chunks()))
    stored = list(zip(*(table[column.name].to_pylist() for column in STORED_AT), strict=True))
    places = dict.fromkeys(stored)
    at = {place: number for number, place in enumerate(places)}
    return Pairs(
        vectors[ROW.name],
        matrix(vectors[IMAGE_EMBEDDING.name]),
        matrix(vectors[TEXT_EMBEDDING.name]),
        table[TEXT.name].to_pylist(),
        Pictures(lambda: opened(list(places)), np.array([at[one] for one in stored], np.intp)),
    )
