"""Settle: which images go, by what the clusters say of them, the best first.

An image goes for the best of those that it is near to which stays, so it is decided when all better
ones are. One task goes through ranges of ranks. It holds a bit for each image that takes part and
the near pairs of one range; the pairs that hold lie in a DuckDB, which spills to disk.

Import this file where it is used: it imports numba.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.base import compiled
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.paths import beside, marker_path, round_folder, task_name
from pairsieve.pipeline.dedup.keys import Ints
from pairsieve.pipeline.dedup.semantic_rounds import Search, ranges
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.schemas.columns import SEMANTIC_COSINE, SEMANTIC_OF

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

WORD = 6  # bits of a rank within a word
Bits = NDArray[np.uint64]


def settle(
    search: Search,
    images: str,
    near: Sequence[PartedFile],
    threads: int | None,
    starts: Ints,
    number: int,
) -> Marker:
    """Settle which images go; commit row, the uid that stays and the cosine, by block.

    Args:
        search: The search.
        images: All that take part, with `row` and `uid`, as SQL.
        near: The files of near pairs, by range of the rank that goes.
        threads: Of the task.
        starts: The first row of each block.
        number: Of the task.
    """
    store = search.store
    tables = (parted.read_all(store, near, part) for part in range(ranges(search.count)))
    marker = marker_path(round_folder(search.folder, "settled"), task_name(number))
    path = beside(marker, parted.SUFFIX)
    with connect(store, threads=threads) as connection:
        connection.execute("CREATE TEMP TABLE holding (gone BIGINT, kept BIGINT, cosine FLOAT)")
        for pairs in settled(search.count, tables):
            connection.register("of_range", pairs)
            connection.execute("INSERT INTO holding FROM of_range")
            connection.unregister("of_range")
        ranks = f"read_parquet({quoted(store.location(search.ranks))})"
        connection.execute(
            f"CREATE TEMP TABLE going AS SELECT gone.row, images.uid AS {SEMANTIC_OF.name}, "
            f"cosine AS {SEMANTIC_COSINE.name} FROM holding "
            f"JOIN {ranks} gone ON gone.rank = holding.gone "
            f"JOIN {ranks} kept ON kept.rank = holding.kept "
            f"JOIN {images} images ON images.row = kept.row ORDER BY gone.row"
        )
        sink = parted.write(store, path, _by_block(connection, starts))
        ((rows,),) = connection.execute("SELECT count(*) FROM going").fetchall()
    return commit(store, marker, Marker(rows, {path: sink.entry()}))


def _by_block(connection: "DuckDBPyConnection", starts: Ints) -> Iterator[pa.Table]:
    """Yield the rows of the table `going` in each block."""
    edges = [0, *starts[1:].tolist(), np.iinfo(np.int64).max]
    for span in zip(edges[:-1], edges[1:], strict=True):
        query = "FROM going WHERE row >= ? AND row < ? ORDER BY row"
        yield connection.sql(query, params=span).to_arrow_table()


def settled(count: int, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the pairs that hold: ranks that go, each with the best that stays of those it may.

    Of `count` ranks; `parts` have `gone`, `kept` and `cosine` of one range of `gone` after another.
    """
    went = np.zeros((count >> WORD) + 1, np.uint64)
    for pairs in parts:
        gone, kept = (pairs[name].to_numpy() for name in ("gone", "kept"))
        order = np.lexsort((kept, gone))
        yield pairs.take(pa.array(order[_holding(gone[order], kept[order], went)]))


@compiled
def _holding(gone: Ints, kept: Ints, went: Bits) -> Ints:
    """Return the positions of the pairs that hold; what goes by them is set in `went`."""
    found, count = np.empty(len(gone), np.int64), 0
    for place in range(len(gone)):
        one, other = gone[place], kept[place]
        if not (_is_set(went, one) or _is_set(went, other)):
            went[one >> WORD] |= np.uint64(1) << np.uint64(one & 63)
            found[count] = place
            count += 1
    return found[:count]


@compiled
def _is_set(bits: Bits, rank: int) -> bool:
    """Return whether the bit of a rank is set."""
    return bool(bits[rank >> WORD] & (np.uint64(1) << np.uint64(rank & 63)))
