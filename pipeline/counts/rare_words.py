"""Rare words: rounds that count words and pairs of words, and find the rarest of each caption.

1. `ngrams`: the words of the captions of each block and pairs of neighbouring ones, with how often
   each occurs, parted by their hash (`caption_ngrams.py`);
2. `ngramsums`: of a partition, how often each occurs in the pool, by block, and how many occur how
   often;
3. `ngramranks`: of all partitions, how many occur so often or more often;
4. `columns`: in the task that writes a block, the rarest of each of its captions.

A result lies in the order in which the block has sent its words, so no word travels back. Words of
rows with the same URL and text count once, whatever became of the image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.counts import pool_counts
from pairsieve.pipeline.counts.caption_ngrams import Hashes, Ngrams, ngrams
from pairsieve.pipeline.counts.pool_counts import Counted
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dedup.keys import Ints, Rounds, column_of
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import ROW, TEXT
from pairsieve.schemas.pool_columns import RAREST_WORD_RANK, RAREST_WORD_TIMES

PARTITIONS = 4  # for each of the keys: the words of a million pairs
KEY, TIMES, SIZE, INDEX, RANK = "key", "times", "size", "index", "rank"


@dataclass(frozen=True, slots=True)
class Found:
    """What the rounds have found, for the tasks that write it.

    Attributes:
        words: The files of words, one of each block.
        sums: The files of counts, by block.
        ranks: The file of ranks.
        partitions: Of the words.
    """

    words: Sequence[PartedFile]
    sums: Sequence[PartedFile]
    ranks: PartedFile
    partitions: int


def find(pool: Pool, of: Rounds, counted: Counted) -> Found:
    """Go through the rounds but the last.

    Raises:
        Stopped: a task's process kept dying.
    """
    count, parts = len(pool.blocks), of.partitions * PARTITIONS
    task = partial(scatter, of, counted, parts)
    words = parted_files(pool.run(task, of.of("ngrams")), parts + 2)
    added = pool.run_numbered(partial(add, of, words), of.of("ngramsums"), parts)
    sums = parted_files(added, count + 1)
    ranked = pool.run_numbered(partial(rank, of, sums, count), of.of("ngramranks"), 1)
    (ranks,) = parted_files(ranked, 1)
    return Found(words, sums, ranks, parts)


def scatter(of: Rounds, counted: Counted, parts: int, block: Block) -> Marker:
    """Part the words of a block.

    The parts: words and how often each occurs, by partition; rows and how many words each has; and
    the places of these in all parts, one row after the other.
    """
    rows, found = _read(block)
    sizes, (keys, index) = found.sizes, _indexed(found.keys)
    del found  # they take 8 bytes for each word of the block
    again = pool_counts.repeats(of, counted, block)
    times = np.bincount(index[np.repeat(~again, sizes)], minlength=len(keys))
    path = of.new("ngrams", block.number)
    tables = (
        *_parts(pa.table({KEY: keys, TIMES: times}), keys, parts),
        pa.table({ROW.name: rows, SIZE: sizes.astype(np.int32)}),
        pa.table({INDEX: index}),
    )
    sink = parted.write(block.store, path, tables)
    return of.commit("ngrams", block.number, Marker(len(keys), {path: sink.entry()}))


def _indexed(keys: Hashes) -> tuple[Hashes, NDArray[np.int32]]:
    """Return the different keys, ascending, and where each of all is among them, (m,)."""
    encoded = pa.array(keys).dictionary_encode()
    distinct: Hashes = encoded.dictionary.to_numpy()
    order = np.argsort(distinct)
    places = np.empty(len(order), np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    return distinct[order], places[encoded.indices.to_numpy()]


def _read(block: Block) -> tuple[Ints, Ngrams]:
    """Return the rows of a block and their words; the texts are not kept."""
    rows, found = [], []
    for table in block.tables([TEXT.name]):
        rows.append(table[ROW.name].to_numpy())
        found.append(ngrams(column_of(table, TEXT).to_pylist()))
    keys, sizes = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return np.concatenate(rows), Ngrams(keys, sizes)


def _parts(table: pa.Table, keys: Hashes, parts: int) -> Iterator[pa.Table]:
    """Yield the words of each partition; they are in its order, being in that of their hashes."""
    edges = np.searchsorted(parted.share(keys, parts), np.arange(parts + 1).astype(np.uint64))
    yield from parted.cut(table, edges.tolist())


def add(of: Rounds, files: Sequence[PartedFile], number: int) -> Marker:
    """Add up the words of one partition; commit the sums by block, and how many have each sum."""
    tables = parted.read_each(of.store, files, number)
    table = pa.concat_tables(tables)
    encoded = table[KEY].combine_chunks().dictionary_encode()
    index = encoded.indices.to_numpy()
    sums = np.zeros(len(encoded.dictionary), np.int64)
    np.add.at(sums, index, table[TIMES].to_numpy())
    every = pa.table({TIMES: sums[index]})
    edges = np.cumsum([0, *map(len, tables)]).tolist()
    by_block = parted.cut(every, edges)
    times, words = np.unique(sums, return_counts=True)
    path = of.new("ngramsums", number)
    sink = parted.write(of.store, path, (*by_block, pa.table({TIMES: times, SIZE: words})))
    return of.commit("ngramsums", number, Marker(len(sums), {path: sink.entry()}))


def rank(of: Rounds, files: Sequence[PartedFile], blocks_of: int, number: int) -> Marker:
    """Commit, of every number of times, how many words occur so often or more often."""
    table = parted.read_all(of.store, files, blocks_of)
    times, index = np.unique(table[TIMES].to_numpy(), return_inverse=True)
    words = np.zeros(len(times), np.int64)
    np.add.at(words, index, table[SIZE].to_numpy())
    ranks = np.cumsum(words[::-1])[::-1]
    path = of.new("ngramranks", number)
    sink = parted.write(of.store, path, [pa.table({TIMES: times, RANK: ranks})])
    return of.commit("ngramranks", number, Marker(int(words.sum()), {path: sink.entry()}))


def columns(found: Found, block: Block, rows: Ints) -> dict[str, Any]:
    """Return the columns of RARE of these rows of a block, which are sorted."""
    file = found.words[block.number]
    every = parted.read(block.store, file, found.partitions)
    index = parted.read(block.store, file, found.partitions + 1)[INDEX].to_numpy()
    sums = parted.read_all(block.store, found.sums, block.number)[TIMES].to_numpy()
    least = _least(sums[index], every[SIZE].to_numpy())
    wanted = least[np.searchsorted(every[ROW.name].to_numpy(), rows)]
    ranks = parted.read(block.store, found.ranks, 0)
    known = wanted > 0
    places = np.searchsorted(ranks[TIMES].to_numpy(), wanted[known])
    ranked = np.zeros(len(wanted), np.int64)
    ranked[known] = ranks[RANK].to_numpy()[places]
    return {
        RAREST_WORD_TIMES.name: pa.array(wanted, mask=~known),
        RAREST_WORD_RANK.name: pa.array(ranked, mask=~known),
    }


def _least(times: Ints, sizes: NDArray[np.int32]) -> Ints:
    """Return the least of the numbers of each row, (n,), 0 of one without any."""
    least = np.zeros(len(sizes), np.int64)
    begins = np.cumsum(sizes, dtype=np.int64) - sizes
    known = sizes > 0
    if known.any():
        least[known] = np.minimum.reduceat(times, begins[known])
    return least
