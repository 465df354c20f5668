"""Near-duplicate captions: rounds that find which captions of the pool are alike, and their chains.

1. `captionbands`: the bands of the captions of each block (`minhash.py`), parted by band; of those
   that are the same in a block the first row stands for all;
2. `captionmates`: of a partition, the rows that share a band with another one, by block;
3. `captionngrams`: the n-grams of these, parted by band again;
4. `captionpairs`: of a partition, which of those that share a band are alike, as labels;
5. `captionclusters`: all these labels merged, in one task, by block: of the captions that are like
   another it takes 12 bytes of memory for each row that stands for them;
6. `columns`: in the task that writes a block, what that makes of its rows.

Whether two captions are joined depends on their texts alone, so clusters do not depend on how the
pool is cut. They are chains: its first and last caption may have nothing in common.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.counts import minhash, pool_counts
from pairsieve.pipeline.counts.caption_keys import caption_keys
from pairsieve.pipeline.counts.caption_ngrams import Hashes, Ngrams, ngrams
from pairsieve.pipeline.counts.pool_counts import Counted, changes
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dedup.keys import FIRST, Ints, Rounds, by_block, column_of, first_rows
from pairsieve.pipeline.hamming import labels
from pairsieve.pipeline.hamming.labels import UnionFindLabels
from pairsieve.pipeline.hamming.union_find import unite
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import ROW, TEXT
from pairsieve.schemas.pool_columns import CAPTION_CLUSTER, CAPTION_CLUSTER_PAIRS
from pairsieve.schemas.recipe_group import CaptionCluster

BANDS_PER_PARTITION = 4  # of the partitions of keys: 16 million rows, 0.5 GB
NONE = -1  # the index of a row without a caption
BAND, KEY, PAIRS, INDEX = "band", "key", "pairs", "index"
NGRAMS, LABEL = "ngrams", "label"


@dataclass(frozen=True, slots=True)
class Search:
    """What the tasks need.

    Attributes:
        of: The rounds of `group`.
        counted: What has been counted of captions.
        shape: The bands.
        min_jaccard: The least similarity of captions that are alike.
        partitions: Of the bands.
    """

    of: Rounds
    counted: Counted
    shape: minhash.Bands
    min_jaccard: float
    partitions: int


@dataclass(frozen=True, slots=True)
class Clusters:
    """What the rounds have found, for the tasks that write it.

    Attributes:
        captions: The files of the captions of each block, of so many partitions.
        partitions: How many.
        clusters: The file of clusters, by block.
    """

    captions: Sequence[PartedFile]
    partitions: int
    clusters: PartedFile


def find(pool: Pool, of: Rounds, options: CaptionCluster, counted: Counted) -> Clusters:
    """Go through the rounds but the last.

    Raises:
        Stopped: a task's process kept dying.
    """
    count = len(pool.blocks)
    shape = minhash.bands(options.min_jaccard)
    parts = of.partitions * -(-shape.bands // BANDS_PER_PARTITION)
    search = Search(of, counted, shape, options.min_jaccard, parts)
    scattered = pool.run(partial(scatter, search), of.of("captionbands"))
    captions = parted_files(scattered, parts + 2)
    starts = first_rows(scattered)
    task: Callable[[int], Marker] = partial(mates, search, captions, starts)
    mated = parted_files(pool.run_numbered(task, of.of("captionmates"), parts), count)
    candidates = pool.run(partial(shingle, search, captions, mated), of.of("captionngrams"))
    task = partial(compare, search, parted_files(candidates, parts))
    found = parted_files(pool.run_numbered(task, of.of("captionpairs"), parts), 2)
    task = partial(merge, search, found, starts)
    (clusters,) = parted_files(pool.run_numbered(task, of.of("captionclusters"), 1), count)
    return Clusters(captions, parts, clusters)


def scatter(search: Search, block: Block) -> Marker:
    """Part the bands of the captions of a block.

    The parts: band and row by partition; key, row and pairs of each caption, by key; and of each
    row of the block which of these it has.
    """
    read = [_captions(search, *each) for each in _texts(block)]
    rows, known, keys, bands = (np.concatenate(arrays) for arrays in zip(*read, strict=True))
    own, first, index = np.unique(keys[known], return_index=True, return_inverse=True)
    places = np.full(len(rows), NONE, np.int32)
    places[known] = index
    counts = known & ~pool_counts.repeats(search.of, search.counted, block)
    captions = {
        KEY: own,
        ROW.name: rows[known][first],
        PAIRS: np.bincount(places[counts], minlength=len(own)),
    }
    every = pa.table({ROW.name: rows, INDEX: places})
    path = search.of.new("captionbands", block.number)
    parts = (*_parts(search, captions[ROW.name], bands[first]), pa.table(captions), every)
    sink = parted.write(block.store, path, parts)
    extra = {FIRST: int(rows[0]) if len(rows) else None}
    marker = Marker(len(own), {path: sink.entry()}, {}, extra)
    return search.of.commit("captionbands", block.number, marker)


def _texts(block: Block) -> Iterator[tuple[Ints, pa.ChunkedArray]]:
    """Yield rows and captions of a block, some units at a time."""
    for table in block.tables([TEXT.name]):
        yield table[ROW.name].to_numpy(), column_of(table, TEXT)


def _captions(
    search: Search, rows: Ints, texts: pa.ChunkedArray
) -> tuple[Ints, NDArray[np.bool_], Hashes, Hashes]:
    """Return rows, which have a caption, its key, (n,), and the bands of those that have one."""
    keys, known = caption_keys(texts)
    own, first, index = np.unique(keys[known, 0], return_index=True, return_inverse=True)
    distinct = texts.take(np.flatnonzero(known)[first]).to_pylist()
    bands = minhash.band_keys(_ngrams(distinct, own), search.shape)
    return rows, known, keys[:, 0], bands[index]


def _ngrams(texts: Sequence[str], keys: Hashes) -> Ngrams:
    """Return the n-grams of captions; one without words has its key for one."""
    found = ngrams(texts)
    wordless = found.sizes == 0
    owners = np.append(np.repeat(np.arange(len(keys)), found.sizes), np.flatnonzero(wordless))
    every = np.append(found.keys, keys[wordless])[np.argsort(owners, kind="stable")]
    return Ngrams(every, np.maximum(found.sizes, 1))


def _parts(search: Search, rows: Ints, bands: Hashes) -> Iterator[pa.Table]:
    """Yield band and row of captions by partition."""
    table = pa.table({BAND: bands.ravel(), ROW.name: np.repeat(rows, search.shape.bands)})
    yield from parted.split(
        table, parted.share(bands.ravel(), search.partitions), search.partitions
    )


def mates(search: Search, files: Sequence[PartedFile], starts: Ints, number: int) -> Marker:
    """Commit the rows of one partition that share a band with another one, by block."""
    table = parted.read_all(search.of.store, files, number)
    bands = table[BAND].to_numpy()
    order = np.argsort(bands, kind="stable")
    same = np.diff(bands[order]) == 0
    shared = order[np.append(same, False)[: len(order)] | np.append(False, same)[: len(order)]]
    found = table.take(shared).sort_by(ROW.name)
    path = search.of.new("captionmates", number)
    sink = parted.write(search.of.store, path, by_block(found, starts))
    return search.of.commit("captionmates", number, Marker(len(found), {path: sink.entry()}))


def shingle(
    search: Search, captions: Sequence[PartedFile], files: Sequence[PartedFile], block: Block
) -> Marker:
    """Commit the n-grams of the rows of a block that share a band, by partition of the bands."""
    wanted = parted.read_all(block.store, files, block.number)
    rows, index = np.unique(wanted[ROW.name].to_numpy(), return_inverse=True)
    listed = [pa.nulls(0, pa.list_(pa.uint32()))]
    known = parted.read(block.store, captions[block.number], search.partitions)
    known = known.sort_by(ROW.name)
    known = known.filter(pa.array(np.isin(known[ROW.name].to_numpy(), rows)))
    keys = known[KEY].to_numpy()
    for own, texts in _texts(block) if len(rows) else ():
        first, last = np.searchsorted(rows, [own[0], own[-1] + 1]) if len(own) else (0, 0)
        theirs = texts.take(np.searchsorted(own, rows[first:last])).to_pylist()
        listed.append(_sets(_ngrams(theirs, keys[first:last])))
    table = pa.table(
        {
            BAND: wanted[BAND],
            **{name: known[name].take(index) for name in (KEY, ROW.name, PAIRS)},
            NGRAMS: pa.concat_arrays(listed).take(pa.array(index)),
        }
    )
    bands = parted.share(wanted[BAND].to_numpy(), search.partitions)
    path = search.of.new("captionngrams", block.number)
    sink = parted.write(block.store, path, parted.split(table, bands, search.partitions))
    return search.of.commit("captionngrams", block.number, Marker(len(rows), {path: sink.entry()}))


def _sets(found: Ngrams) -> pa.Array:
    """Return the n-grams of each caption as a list, ascending, each once."""
    owners = np.repeat(np.arange(len(found.sizes), dtype=np.uint64), found.sizes)
    distinct = np.unique(owners << np.uint64(32) | minhash.short(found.keys))
    sizes = np.bincount((distinct >> np.uint64(32)).astype(np.int64), minlength=len(found.sizes))
    ends = np.append(0, np.cumsum(sizes)).astype(np.int32)
    return pa.ListArray.from_arrays(ends, (distinct & np.uint64(2**32 - 1)).astype(np.uint32))


def compare(search: Search, files: Sequence[PartedFile], number: int) -> Marker:
    """Compare what shares a band of one partition; commit labels, and the pairs of their rows."""
    table = parted.read_all(search.of.store, files, number)
    table = table.sort_by([(name, "ascending") for name in (BAND, KEY, ROW.name)])
    rows, index = np.unique(table[ROW.name].to_numpy(), return_inverse=True)
    parents = np.arange(len(rows), dtype=np.uint32)
    unite(parents, index.astype(np.uint32)[_alike(search, table)])
    found = labels.labels_of(parents, rows)
    own = np.union1d(found.rows, found.labels)
    pairs = np.zeros(len(rows), np.int64)
    pairs[index] = table[PAIRS].to_numpy()
    counts = pa.table({ROW.name: own, PAIRS: pairs[np.searchsorted(rows, own)]})
    path = search.of.new("captionpairs", number)
    parts = pa.table({ROW.name: found.rows, LABEL: found.labels}), counts
    sink = parted.write(search.of.store, path, parts)
    return search.of.commit("captionpairs", number, Marker(len(own), {path: sink.entry()}))


def _alike(search: Search, table: pa.Table) -> Ints:
    """Return places in a table by band and key, (k, 2), that connect what is alike in each band."""
    bands, keys = table[BAND].to_numpy(), table[KEY].to_numpy()
    begins = changes(bands)
    differ = begins | changes(keys)
    distinct = np.flatnonzero(differ)
    again = np.flatnonzero(~differ)
    groups = np.append(np.flatnonzero(begins[distinct]), len(distinct))
    lists = table[NGRAMS].combine_chunks().take(pa.array(distinct))
    ends = np.cumsum(lists.value_lengths().to_numpy(), dtype=np.int64)
    pairs = minhash.alike(groups, ends, lists.flatten().to_numpy(), search.min_jaccard)
    return np.concatenate([distinct[pairs], np.stack([again - 1, again], axis=1)])


def merge(search: Search, files: Sequence[PartedFile], starts: Ints, number: int) -> Marker:
    """Merge the labels of all partitions; commit row, cluster and its pairs, by block."""
    store = search.of.store
    forest = labels.merged(partial(_labels, search, files))
    pairs = np.zeros(len(forest.rows), np.int64)
    for file in files:
        counts = parted.read(store, file, 1)
        places = np.searchsorted(forest.rows, counts[ROW.name].to_numpy())
        pairs[places] = counts[PAIRS].to_numpy()
    sums = np.zeros(len(forest.rows), np.int64)
    np.add.at(sums, forest.roots, pairs)
    table = {ROW.name: forest.rows, LABEL: forest.rows[forest.roots], PAIRS: sums[forest.roots]}
    path = search.of.new("captionclusters", number)
    sink = parted.write(store, path, by_block(pa.table(table), starts))
    marker = Marker(len(forest.rows), {path: sink.entry()})
    return search.of.commit("captionclusters", number, marker)


def _labels(search: Search, files: Sequence[PartedFile]) -> Iterator[UnionFindLabels]:
    """Yield the labels of each partition."""
    for file in files:
        table = parted.read(search.of.store, file, 0)
        yield UnionFindLabels(table[ROW.name].to_numpy(), table[LABEL].to_numpy())


def columns(clusters: Clusters, block: Block, rows: Ints) -> dict[str, Any]:
    """Return the columns of CLUSTERED of these rows of a block, which are sorted."""
    file = clusters.captions[block.number]
    captions = parted.read(block.store, file, clusters.partitions)
    every = parted.read(block.store, file, clusters.partitions + 1)
    places = every[INDEX].to_numpy()[np.searchsorted(every[ROW.name].to_numpy(), rows)]
    found = parted.read(block.store, clusters.clusters, block.number)
    own = captions[ROW.name].to_numpy()
    order = np.argsort(own)
    theirs = order[np.searchsorted(own[order], found[ROW.name].to_numpy())]
    columns = {}
    for column, values, name in (
        (CAPTION_CLUSTER, own, LABEL),
        (CAPTION_CLUSTER_PAIRS, captions[PAIRS].to_numpy(), PAIRS),
    ):
        values = np.append(values, 0)
        values[theirs] = found[name].to_numpy()
        columns[column.name] = pa.array(values[places], column.type, mask=places == NONE)
    return columns
