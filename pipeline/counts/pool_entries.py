"""Entries of the pool: its words and pairs of words that enough captions have.

1. `words`: of a block, in how many captions each word is, parted by its hash;
2. `wordsums`: of a partition, the words that enough captions of the pool have;
3. `wordpairs` and `wordpairsums`: the same of two such words side by side;
4. `entries`: the commonest of both, in the order of their texts.

Words are what spaces part once they are put around marks (`filters/entry_lists.py`); a mark alone
is none, and two words with one between them are no pair. Every task of `wordpairs` has all words
that enough captions have.

Source: MetaCLIP's list (arXiv:2309.16671, table 1) has the words that Wikipedia has 100 times, and
pairs of words; it chooses pairs by how much likelier they are than by chance, not by their number.
"""

import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from pairsieve.filters.entry_lists import OTHERS, spaced
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dedup.keys import Ints, Rounds, column_of
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import OUTCOME, ROW, TEXT, Column
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_group import Entries

ENTRIES = "entries"  # the round that commits the list
MARKS = frozenset(string.punctuation)
LONGEST = 100  # code points of a word
SECOND = np.uint64(32)  # bits by which the first word of a pair is shifted
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Images:
    """The images of which captions count.

    Attributes:
        of: The rounds of `group`.
        repeats: Files of the rows whose pair is in an earlier one, by block.
    """

    of: Rounds
    repeats: Sequence[PartedFile]

    def read(
        self, block: Block, columns: Sequence[Column]
    ) -> Iterator[tuple[pa.Table, NDArray[np.bool_]]]:
        """Yield columns of the images of a block, some units at a time, and which repeat a pair."""
        again = parted.read_all(block.store, self.repeats, block.number)[ROW.name].to_numpy()
        names = [column.name for column in (OUTCOME, *columns)]
        for table in block.tables(names):
            table = table.filter(pc.equal(column_of(table, OUTCOME), str(Outcome.OK)))
            read = {column.name: column_of(table, column) for column in columns}
            rows = table[ROW.name].to_numpy()
            yield pa.table({ROW.name: rows} | read), np.isin(rows, again)

    def captions(self, block: Block, ignore_case: bool) -> Iterator[list[str]]:
        """Yield what spaces part of each caption of a block that counts: words, marks, nothing."""
        for table, again in self.read(block, (TEXT,)):
            for text in table.filter(pa.array(~again))[TEXT.name].drop_null().to_pylist():
                yield spaced(text.casefold() if ignore_case else text).split(" ")


def write(of: Rounds, languages: Sequence[str], entries: Sequence[str]) -> Marker:
    """Write a list of entries, of each the language of its list, and commit it."""
    table = pa.table({"language": pa.array(languages, pa.string()), "entry": entries})
    table = table.cast(pa.schema({"language": pa.string(), "entry": pa.string()}))
    path = of.new(ENTRIES, 0)
    sink = parted.write(of.store, path, [table])
    return of.commit(ENTRIES, 0, Marker(len(entries), {path: sink.entry()}))


def find(pool: Pool, images: Images, options: Entries) -> Marker:
    """Go through the rounds; return the marker of the list.

    Raises:
        Stopped: a task's process kept dying.
    """
    of = images.of

    def summed(scattered: Sequence[Marker], name: str) -> list[PartedFile]:
        files = parted_files(scattered, of.partitions)
        task = partial(add, of, files, name, options.min_pairs)
        return parted_files(pool.run_numbered(task, of.of(name), of.partitions), 1)

    task = partial(count_words, images, options.ignore_case)
    words = summed(pool.run(task, of.of("words")), "wordsums")
    task = partial(count_pairs, images, words, options.ignore_case)
    pairs = summed(pool.run(task, of.of("wordpairs")), "wordpairsums")
    task = partial(choose, of, words, pairs, options.max_entries)
    (marker,) = pool.run_numbered(task, of.of(ENTRIES), 1)
    return marker


def count_words(images: Images, ignore_case: bool, block: Block) -> Marker:
    """Count in how many captions of a block each word is, and commit that by partition."""
    counts: Counter[str] = Counter()
    for caption in images.captions(block, ignore_case):
        counts.update({word for word in caption if 0 < len(word) <= LONGEST} - MARKS)
    names = sorted(counts)
    keys = np.array([xxh3_64_intdigest(word.encode()) for word in names], np.uint64)
    pairs = np.array([counts[word] for word in names], np.int64)
    table = pa.table({"key": pa.array(names, pa.string()), "pairs": pairs})
    return _commit(images.of, "words", table, keys, block.number)


def count_pairs(
    images: Images, words: Sequence[PartedFile], ignore_case: bool, block: Block
) -> Marker:
    """Count in how many captions of a block each pair of known words is, and commit that."""
    listed = _words(images.of, words)[0]
    places = {word: place for place, word in enumerate(listed)}
    keys, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    found: list[int] = []
    for caption in images.captions(block, ignore_case):
        known = [places.get(word, -1) for word in caption]
        found += {one << 32 | other for one, other in pairwise(known) if one >= 0 and other >= 0}
        if len(found) > 1_000_000:
            keys, counts = _merged(keys, counts, found)
            found = []
    keys, counts = _merged(keys, counts, found)
    table = pa.table({"key": keys, "pairs": counts})
    return _commit(
        images.of, "wordpairs", table, keys * np.uint64(0x9E3779B97F4A7C15), block.number
    )


def _merged(keys: Hashes, counts: Ints, found: list[int]) -> tuple[Hashes, Ints]:
    """Return counts of keys, ascending, with more keys, each counted once."""
    every = np.append(keys, np.array(found, np.uint64))
    distinct, places = np.unique(every, return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, places, np.append(counts, np.ones(len(found), np.int64)))
    return distinct, sums


def _commit(of: Rounds, name: str, table: pa.Table, hashes: Hashes, number: int) -> Marker:
    """Commit what was counted in a block, by partition."""
    path = of.new(name, number)
    parts = parted.split(table, parted.share(hashes, of.partitions), of.partitions)
    sink = parted.write(of.store, path, parts)
    return of.commit(name, number, Marker(len(table), {path: sink.entry()}))


def add(of: Rounds, files: Sequence[PartedFile], name: str, least: int, number: int) -> Marker:
    """Add up the counts of one partition; commit the keys that enough captions have, ascending."""
    table = parted.read_all(of.store, files, number)
    table = table.group_by("key").aggregate([("pairs", "sum")])
    table = table.rename_columns(["key", "pairs"]).filter(pc.field("pairs") >= least)
    path = of.new(name, number)
    sink = parted.write(of.store, path, [table.sort_by("key")])
    return of.commit(name, number, Marker(len(table), {path: sink.entry()}))


def _words(of: Rounds, files: Sequence[PartedFile]) -> tuple[list[str], Ints]:
    """Return all words that enough captions have, and how many captions each has."""
    table = parted.read_all(of.store, files, 0)
    return table["key"].to_pylist(), table["pairs"].to_numpy()


def choose(
    of: Rounds, words: Sequence[PartedFile], pairs: Sequence[PartedFile], most: int, number: int
) -> Marker:
    """Commit the commonest words and pairs of words, in the order of their texts."""
    listed, counts = _words(of, words)
    table = parted.read_all(of.store, pairs, 0)
    keys = table["key"].to_numpy()
    firsts, seconds = (keys >> SECOND).tolist(), (keys & np.uint64(2**32 - 1)).tolist()
    two = [f"{listed[one]} {listed[other]}" for one, other in zip(firsts, seconds, strict=True)]
    falling = (-np.append(counts, table["pairs"].to_numpy())).tolist()
    every = zip(falling, [*listed, *two], strict=True)
    chosen = sorted(entry for _, entry in sorted(every)[:most])
    return write(of, [OTHERS] * len(chosen), chosen)
