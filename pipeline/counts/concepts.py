"""Concepts: rounds that match captions with the entries of a list and draw pairs of each.

1. `entries`: the list, from files, or from the pool (`pool_entries.py`);
2. `matches`: the entries of each image of a block, and how many pairs of the block each has;
3. `matchsums`: of a partition of the entries, how many pairs of the pool each has;
4. `columns`: in the task that writes a block, what that makes of its rows.

Counted are different pairs with an image. What is drawn depends on seed, uid and entry alone: u, 53
bits of a mixture of their hashes. An entry with n pairs draws those with u < t / n, so a pair is
drawn if the least u * n of its entries is below t; that is stored, and t is left to the rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from pairsieve.filters import entry_lists
from pairsieve.filters.entry_lists import Matcher
from pairsieve.pipeline.counts import pool_entries
from pairsieve.pipeline.counts.caption_ngrams import mixed
from pairsieve.pipeline.counts.pool_entries import ENTRIES, Images
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.keys import Ints, Rounds, words
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import LANGUAGE, TEXT, UID
from pairsieve.schemas.pool_columns import (
    BALANCED,
    CONCEPT_ENTRY,
    CONCEPT_MATCHES,
    CONCEPT_PAIRS,
    CONCEPT_RANK,
    CONCEPT_TAIL,
)
from pairsieve.schemas.recipe_group import Entries

AT_ONCE = 100_000  # images whose matches are looked at together
IMAGE = np.dtype([("uid0", np.uint64), ("uid1", np.uint64), ("size", np.int32)])
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Concepts:
    """What the rounds have found, for the tasks that write it.

    Attributes:
        entries: The file of entries.
        count: How many entries.
        matches: The files of matches, one of each block.
        sums: The files of counts, in the order of entries.
        seed: Of what is drawn.
    """

    entries: PartedFile
    count: int
    matches: Sequence[PartedFile]
    sums: Sequence[PartedFile]
    seed: int


def find(pool: Pool, of: Rounds, options: Entries, repeats: Sequence[PartedFile]) -> Concepts:
    """Go through the rounds but the last; `repeats` are rows whose pair is in an earlier one.

    Raises:
        Stopped: a task's process kept dying.
    """
    parts, images = of.partitions, Images(of, repeats)
    marker = _entries(pool, images, options)
    (entries,) = parted_files([marker], 1)
    edges = [marker.rows * part // parts for part in range(parts + 1)]
    task = partial(match, images, entries, edges, options.ignore_case)
    matches = parted_files(pool.run(task, of.of("matches")), parts + 2)
    added = pool.run_numbered(partial(add, of, matches, edges), of.of("matchsums"), parts)
    sums = parted_files(added, 1)
    return Concepts(entries, marker.rows, matches, sums, options.seed)


def _entries(pool: Pool, images: Images, options: Entries) -> Marker:
    """Return the marker of the file of entries; every task can read that."""
    if done := pool.store.marker(marker_path(images.of.of(ENTRIES), task_name(0))):
        return done
    if options.path or options.languages:
        listed = entry_lists.read_all(options.path, options.languages)
        return pool_entries.write(images.of, *listed)
    return pool_entries.find(pool, images, options)


@lru_cache(maxsize=1)
def _matcher(store: Store, file: PartedFile, ignore_case: bool) -> Matcher:
    """Return what finds the entries of a file, made once per process."""
    table = parted.read(store, file, 0)
    return Matcher(table["language"].to_pylist(), table["entry"].to_pylist(), ignore_case)


def match(
    images: Images, entries: PartedFile, edges: Sequence[int], ignore_case: bool, block: Block
) -> Marker:
    """Match the captions of the images of a block, and commit what was found.

    The parts: entries and their pairs, by partition; uid and number of matches of each image; and
    the matches, one image after the other.
    """
    of, matcher = images.of, _matcher(block.store, entries, ignore_case)
    parts = [_matched(matcher, *each) for each in images.read(block, (UID, TEXT, LANGUAGE))]
    each, found, once = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    own, pairs = np.unique(found[np.repeat(once, each["size"])], return_counts=True)
    counts = pa.table({"entry": own, "pairs": pairs})
    cuts = np.searchsorted(own, edges).tolist()
    images_of = pa.table({name: each[name] for name in IMAGE.names or ()})
    tables = (*parted.cut(counts, cuts), images_of, pa.table({"entry": found}))
    path = of.new("matches", block.number)
    sink = parted.write(block.store, path, tables)
    return of.commit("matches", block.number, Marker(len(each), {path: sink.entry()}))


def _matched(matcher: Matcher, table: pa.Table, again: NDArray[np.bool_]) -> tuple[Any, Any, Any]:
    """Return IMAGE of each row, (n,), all matches, (m,), and which rows count, (n,)."""
    texts, languages = (table[column.name].to_pylist() for column in (TEXT, LANGUAGE))
    found = [matcher.match(text or "", of) for text, of in zip(texts, languages, strict=True)]
    each = np.empty(len(found), IMAGE)
    each["size"] = [len(one) for one in found]
    each["uid0"], each["uid1"] = words(table[UID.name], 2).T
    return each, np.array([index for one in found for index in one], np.int32), ~again


def add(of: Rounds, files: Sequence[PartedFile], edges: Sequence[int], number: int) -> Marker:
    """Add up the pairs of the entries of one partition, and commit the sums."""
    table = parted.read_all(of.store, files, number)
    sums = np.zeros(edges[number + 1] - edges[number], np.int64)
    np.add.at(sums, table["entry"].to_numpy() - edges[number], table["pairs"].to_numpy())
    path = of.new("matchsums", number)
    sink = parted.write(of.store, path, [pa.table({"pairs": sums})])
    return of.commit("matchsums", number, Marker(len(sums), {path: sink.entry()}))


@dataclass(frozen=True)
class _Pool:
    """What is known of the entries of the whole pool.

    Attributes:
        entries: Their texts.
        keys: Their hashes with the seed, (n,).
        pairs: How many pairs each has, (n,).
        lists: The number of the list in which each is, (n,).
    """

    entries: pa.Array
    keys: Hashes
    pairs: Ints
    lists: Ints

    @cached_property
    def tails(self) -> list[tuple[Ints, NDArray[np.float64]]]:
        """Return of each list the pairs of its entries, ascending, and the share before each."""
        found = []
        for number in range(int(self.lists.max(initial=-1)) + 1):
            pairs = np.sort(self.pairs[self.lists == number])
            before = np.append(0, np.cumsum(pairs))
            found.append((pairs, before / max(1, int(before[-1]))))
        return found


@lru_cache(maxsize=1)
def _pool(store: Store, entries: PartedFile, sums: tuple[PartedFile, ...], seed: int) -> _Pool:
    """Return what is known of all entries, read once per process."""
    table = parted.read(store, entries, 0)
    named = zip(table["language"].to_pylist(), table["entry"].to_pylist(), strict=True)
    keys = [xxh3_64_intdigest(f"{language}\0{entry}".encode(), seed) for language, entry in named]
    lists = table["language"].combine_chunks().dictionary_encode().indices.to_numpy()
    return _Pool(
        table["entry"].combine_chunks(),
        np.array(keys, np.uint64),
        parted.read_all(store, sums, 0)["pairs"].to_numpy(),
        lists,
    )


def columns(of: Rounds, concepts: Concepts, block: Block, rows: Ints) -> dict[str, pa.Array]:
    """Return the columns of BALANCED of these rows, all the images of a block in their order."""
    pool = _pool(block.store, concepts.entries, tuple(concepts.sums), concepts.seed)
    file = concepts.matches[block.number]
    images = parted.read(block.store, file, of.partitions)
    found = parted.read(block.store, file, of.partitions + 1)["entry"].to_numpy()
    ends = np.append(0, np.cumsum(images["size"].to_numpy(), dtype=np.int64))
    uids = np.column_stack([images[name].to_numpy() for name in ("uid0", "uid1")])
    each = []
    for first in range(0, max(1, len(rows)), AT_ONCE):
        last = min(first + AT_ONCE, len(rows))
        matches = found[ends[first] : ends[last]]
        each.append(_drawn(pool, uids[first:last], matches, np.diff(ends[first : last + 1])))
    return {
        column.name: pa.concat_arrays([part[column.name].cast(column.type) for part in each])
        for column in BALANCED
    }


def _drawn(pool: _Pool, uids: Hashes, matches: Ints, sizes: Ints) -> dict[str, pa.Array]:
    """Return the columns of BALANCED of some images, given all their matches."""
    known = np.flatnonzero(sizes)
    begins = (np.cumsum(sizes) - sizes)[known]
    owners = np.repeat(np.arange(len(sizes)), sizes)
    pairs = pool.pairs[matches]
    drawn = _uniform(uids[owners, 0], uids[owners, 1], pool.keys[matches]) * pairs
    ranks = np.full(len(sizes), np.inf)
    rarest = np.zeros(len(sizes), np.int64)
    tails = np.zeros(len(sizes))
    if len(known):
        ranks[known] = np.minimum.reduceat(drawn, begins)
        rarest[known] = np.minimum.reduceat(pairs * len(pool.pairs) + matches, begins)
        rarest %= len(pool.pairs)
        lists = pool.lists[rarest]
        for number, (ascending, before) in enumerate(pool.tails):
            own = known[lists[known] == number]
            tails[own] = before[np.searchsorted(ascending, ranks[own])]
    none = sizes == 0
    indices = pa.array(rarest, mask=none)
    return {
        CONCEPT_MATCHES.name: pa.array(sizes),
        CONCEPT_ENTRY.name: pool.entries.take(indices),
        CONCEPT_PAIRS.name: pa.array(pool.pairs).take(indices),
        CONCEPT_RANK.name: pa.array(ranks, mask=none),
        CONCEPT_TAIL.name: pa.array(tails, mask=none),
    }


def _uniform(one: Hashes, other: Hashes, keys: Hashes) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each uid, given as two words, and key of an entry, (n,)."""
    numbers = mixed(one ^ mixed(other + keys))
    return (numbers >> np.uint64(11)).astype(np.float64) * 2.0**-53
