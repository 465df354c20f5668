"""Hard negatives: for each kept pair the captions and pictures of others that are nearest to it.

A trainer puts them into one batch with the pair, so that the model must tell what is nearly right.
They are looked for among `among` kept pairs that follow each other in the input, so memory and cost
of a pair stay the same at any size. A pair with the same caption, or with the same file as its
picture, is none. What is nearer than the pair's own caption may be right, too: the cosines are
there to decide by.

Source: Yuksekgonul et al., "When and why vision-language models behave like bags-of-words"
(arXiv:2210.01936), section 5: batches with nearest neighbours by CLIP's vectors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.selections.record import selected
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.lengths import of_length_1
from pairsieve.schemas.columns import ROW, SHA256, TEXT, UID

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

AMONG = 65_536  # pairs; their vectors of 512 components take 0.3 GB
QUERIES_AT_ONCE = 512
SPARE = 2  # candidates per negative, whose cosines are taken exactly
SCHEMA = pa.schema(
    [
        (UID.name, pa.string()),
        ("clip_similarity", pa.float32()),  # of the pair itself
        ("captions", pa.list_(pa.string())),  # uids of the pairs, nearest to the picture first
        ("caption_cosines", pa.list_(pa.float32())),
        ("pictures", pa.list_(pa.string())),  # uids, nearest to the caption first
        ("picture_cosines", pa.list_(pa.float32())),
    ]
)

Doubles = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Part:
    """Kept pairs that follow each other: uids, vectors of length 1, what tells equal ones."""

    uids: Any
    images: Doubles
    texts: Doubles
    captions: Numbers
    files: Numbers


def run(
    store: Store,
    out: Store,
    path: str,
    model: str | None,
    selection: str,
    count: int,
    among: int = AMONG,
) -> int:
    """Write a Parquet row for each kept pair that has vectors; return how many there are.

    Args:
        store: The dataset.
        out: Where to.
        path: The file there.
        model: Folder of the model's vectors; None for the only one.
        selection: Whose survivors.
        count: Negatives of each kind.
        among: Pairs among which they are looked for.

    Raises:
        BadOption: no such model or selection.
    """
    import pyarrow.parquet as pq

    folder = reader.choose_folder(store, model)
    selected(store, selection)
    written = 0
    with (
        connect(store) as connection,
        out.writer(path) as sink,
        pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer,
    ):
        attach(connection, store, {}, selection)
        for part in _parts(connection, store, folder, among):
            writer.write_table(_negatives(part, count))
            written += len(part.uids)
    return written


def _parts(
    connection: "DuckDBPyConnection", store: Store, folder: str, among: int
) -> Iterator[_Part]:
    """Yield the kept pairs that have vectors, so many at a time, in row order."""
    units = reader.units(store, folder)
    reader.list_rows(connection, store, units)
    query = connection.sql(
        f"SELECT {ROW.name}, {UID.name}, {TEXT.name}, {SHA256.name} FROM ledger "
        "SEMI JOIN with_vectors USING (row) WHERE keep AND blocked IS NULL ORDER BY row"
    )
    vectors = reader.InRowOrder(store, units)
    for batch in _of_size(query.to_arrow_reader(among), among):
        images, texts = zip(*vectors.at(batch[ROW.name].to_numpy()), strict=True)
        yield _Part(
            batch[UID.name].combine_chunks(),
            of_length_1(np.concatenate(images)),
            of_length_1(np.concatenate(texts)),
            _numbered(batch[TEXT.name]),
            _numbered(batch[SHA256.name]),
        )


def _of_size(batches: Any, size: int) -> Iterator[pa.Table]:
    """Yield tables of so many rows, the last one shorter."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= size:
            table = pa.Table.from_batches(waiting)
            yield table[:size]
            waiting = table[size:].to_batches()
            rows -= size
    if rows:
        yield pa.Table.from_batches(waiting)


def _negatives(part: _Part, count: int) -> pa.Table:
    """Return the rows of a part."""
    own = np.sum(part.images * part.texts, axis=1)
    columns: list[Any] = [part.uids, pa.array(own, pa.float32())]
    for queries, candidates in ((part.images, part.texts), (part.texts, part.images)):
        chosen, cosines = _nearest(part, queries, candidates, count)
        ends = pa.array(np.append(0, np.cumsum([len(one) for one in chosen])), pa.int32())
        uids = part.uids.take(pa.array(np.concatenate(chosen)))
        values = pa.array(np.concatenate(cosines), pa.float32())
        columns += [pa.ListArray.from_arrays(ends, uids), pa.ListArray.from_arrays(ends, values)]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _nearest(
    part: _Part, queries: Doubles, candidates: Doubles, count: int
) -> tuple[list[Numbers], list[Doubles]]:
    """Return for each query the indices of the nearest candidates of others, and their cosines.

    Products in single precision say which are near; the order is by cosines in double precision,
    of equals by index, so that it does not depend on how a processor adds.
    """
    kept = min(SPARE * count, len(candidates))
    single = candidates.astype(np.float32).T
    chosen, cosines = [], []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        rows = slice(start, start + QUERIES_AT_ONCE)
        about = queries[rows].astype(np.float32) @ single
        same = part.captions[rows, None] == part.captions
        same |= part.files[rows, None] == part.files
        about[same] = -np.inf
        near = np.argpartition(-about, kept - 1, axis=1)[:, :kept]
        for query, indices, values in zip(queries[rows], near, about, strict=True):
            others = np.sort(indices[np.isfinite(values[indices])])
            exact = np.sum(candidates[others] * query, axis=1)
            best = np.argsort(-exact, kind="stable")[:count]
            chosen.append(others[best])
            cosines.append(exact[best])
    return chosen, cosines


def _numbered(column: pa.ChunkedArray) -> Numbers:
    """Return a number for each value, the same for equal ones; each null has its own."""
    codes = column.combine_chunks().dictionary_encode().indices
    numbers = codes.to_numpy(zero_copy_only=False).astype(np.float64)
    own = -1 - np.arange(len(numbers))
    return np.asarray(np.where(np.isnan(numbers), own, numbers), np.int64)
