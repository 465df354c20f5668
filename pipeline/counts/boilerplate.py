"""Boiler-plate of hosts: rounds that find the prefix and the suffix that most of its captions have.

1. `affixes`: prefix and suffix of each different caption of each host of a block, as hashes, parted
   by host and caption;
2. `affixcounts`: of a partition, how many captions of a host have each, parted by host, since one
   host can have a tenth of a pool;
3. `affixsums`: of a partition of the hosts, the one that enough have, if there is one;
4. `columns`: in the task that writes a block, what its rows have of that. Each such task has all
   hosts of which something was found, 28 bytes each.

Captions are cleaned, the affixes compared without case. A caption counts once per host.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from pairsieve.filters.affixes import affixes
from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.word_lists import comparable
from pairsieve.pipeline.counts.caption_keys import caption_keys, host_keys
from pairsieve.pipeline.counts.caption_ngrams import Hashes, mixed
from pairsieve.pipeline.counts.pool_counts import changes
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.keys import Ints, Rounds, column_of
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import HOST, ROW, TEXT
from pairsieve.schemas.pool_columns import (
    BOILERPLATE_CAPTIONS,
    BOILERPLATE_PREFIX,
    BOILERPLATE_SUFFIX,
)
from pairsieve.schemas.recipe_group import Affixes

PREFIX, SUFFIX, NEITHER = range(3)  # on which side an affix is; a caption is counted by the last
Found = tuple[tuple[Hashes, Hashes, Ints], ...]  # of both sides: hosts, affixes, captions


@dataclass(frozen=True, slots=True)
class Hosts:
    """What the rounds have found, for the tasks that write it.

    Attributes:
        files: Of the hosts that have boiler-plate.
    """

    files: tuple[PartedFile, ...]


def find(pool: Pool, of: Rounds, options: Affixes) -> Hosts:
    """Go through the rounds but the last.

    Raises:
        Stopped: a task's process kept dying.
    """
    parts = of.partitions
    scattered = parted_files(pool.run(partial(scatter, of), of.of("affixes")), parts)
    counts = pool.run_numbered(partial(count, of, scattered), of.of("affixcounts"), parts)
    task = partial(choose, of, parted_files(counts, parts), options)
    return Hosts(tuple(parted_files(pool.run_numbered(task, of.of("affixsums"), parts), 1)))


def scatter(of: Rounds, block: Block) -> Marker:
    """Part the affixes of the captions of a block by host and caption."""
    read = [_affixes(*each) for each in _texts(block)]
    table = _distinct(pa.concat_tables(read))
    parts = parted.split(table, parted.share(_of_both(table), of.partitions), of.partitions)
    path = of.new("affixes", block.number)
    sink = parted.write(block.store, path, parts)
    return of.commit("affixes", block.number, Marker(len(table), {path: sink.entry()}))


def _texts(block: Block) -> Iterator[tuple[pa.ChunkedArray, pa.ChunkedArray]]:
    """Yield captions and hosts of a block, some units at a time."""
    for table in block.tables([TEXT.name, HOST.name]):
        yield column_of(table, TEXT), column_of(table, HOST)


def _affixes(texts: pa.ChunkedArray, hosts: pa.ChunkedArray) -> pa.Table:
    """Return keys of host and caption and the hashes of affixes, 0 of none, of rows with both."""
    keys, known = caption_keys(texts)
    hosts_of = host_keys(hosts)
    known &= hosts_of != 0
    own, first, index = np.unique(keys[known, 0], return_index=True, return_inverse=True)
    distinct = texts.take(np.flatnonzero(known)[first]).to_pylist()
    found = np.array([_hashed(cleaned(text)) for text in distinct], np.uint64).reshape(-1, 2)
    return pa.table(
        {
            "host": hosts_of[known],
            "caption": own[index],
            "prefix": found[index, PREFIX],
            "suffix": found[index, SUFFIX],
        }
    )


def _hashed(text: str) -> list[int]:
    """Return the hashes of prefix and suffix of a cleaned caption."""
    return [_hash(affix) for affix in affixes(text)]


def _hash(affix: str) -> int:
    """Return the hash of an affix, 0 of none."""
    return xxh3_64_intdigest(comparable(affix).encode()) if affix else 0


def _of_both(table: pa.Table) -> Hashes:
    """Return a hash of host and caption of each row, (n,)."""
    host, caption = (table[name].to_numpy() for name in ("host", "caption"))
    return mixed(host * np.uint64(0x9E3779B97F4A7C15) + caption)


def _distinct(table: pa.Table) -> pa.Table:
    """Return of the rows with the same host and caption one."""
    return table.take(np.unique(_of_both(table), return_index=True)[1])


def count(of: Rounds, files: Sequence[PartedFile], number: int) -> Marker:
    """Count how many captions of one partition have each affix of a host; commit that by host."""
    table = _distinct(parted.read_all(of.store, files, number))
    every = [_of_side(table, side, name) for side, name in enumerate(("prefix", "suffix"))]
    every.append(_of_side(table, NEITHER, "host"))
    summed = _summed(pa.concat_tables(every))
    hosts = parted.share(summed["host"].to_numpy(), of.partitions)
    path = of.new("affixcounts", number)
    sink = parted.write(of.store, path, parted.split(summed, hosts, of.partitions))
    return of.commit("affixcounts", number, Marker(len(summed), {path: sink.entry()}))


def _of_side(table: pa.Table, side: int, name: str) -> pa.Table:
    """Return host, side and affix of each caption that has one on this side, counted once."""
    table = table.filter(pa.array(table[name].to_numpy() != 0))
    ones = np.ones(len(table), np.int64)
    sides = np.full(len(table), side, np.int8)
    return pa.table({"host": table["host"], "side": sides, "affix": table[name], "captions": ones})


def _summed(table: pa.Table) -> pa.Table:
    """Return the captions of each affix added up, by host, side and affix."""
    keys = ["host", "side", "affix"]
    table = table.group_by(keys).aggregate([("captions", "sum")])
    return table.rename_columns([*keys, "captions"]).sort_by([(key, "ascending") for key in keys])


def choose(of: Rounds, files: Sequence[PartedFile], options: Affixes, number: int) -> Marker:
    """Commit the boiler-plate of the hosts of one partition, by side and host."""
    table = _summed(parted.read_all(of.store, files, number))
    totals = table.filter(pc.equal(table["side"], NEITHER))
    affixed = table.filter(pc.not_equal(table["side"], NEITHER))
    hosts, all_of = (totals[name].to_numpy() for name in ("host", "captions"))
    captions = affixed["captions"].to_numpy()
    of_host = all_of[np.searchsorted(hosts, affixed["host"].to_numpy())]
    most = (captions >= options.min_share * of_host) & (of_host >= options.min_captions)
    kept = affixed.filter(pa.array(most)).sort_by(
        [("side", "ascending"), ("host", "ascending"), ("captions", "descending")]
    )
    host, side = (kept[name].to_numpy() for name in ("host", "side"))
    first = changes(host) | changes(side)
    path = of.new("affixsums", number)
    sink = parted.write(of.store, path, [kept.filter(pa.array(first))])
    return of.commit("affixsums", number, Marker(int(first.sum()), {path: sink.entry()}))


@lru_cache(maxsize=1)
def _found(store: Store, files: tuple[PartedFile, ...]) -> Found:
    """Return the boiler-plate of all hosts, by side and host, read once per process."""
    table = parted.read_all(store, files, 0).sort_by([("side", "ascending"), ("host", "ascending")])
    sides = [table.filter(pc.equal(table["side"], side)) for side in (PREFIX, SUFFIX)]
    return tuple(
        tuple(one[name].to_numpy() for name in ("host", "affix", "captions")) for one in sides
    )


def columns(hosts: Hosts, block: Block, rows: Ints) -> dict[str, Any]:
    """Return the columns of BOILERPLATE of these rows of a block, which are sorted."""
    found = _found(block.store, hosts.files)
    affixed: tuple[list[str | None], ...] = ([None] * len(rows), [None] * len(rows))
    captions = np.zeros(len(rows), np.int64)
    before = 0
    for table in block.tables([TEXT.name, HOST.name]):
        table = table.filter(pa.array(np.isin(table[ROW.name].to_numpy(), rows)))
        of_host = [_looked_up(side, host_keys(column_of(table, HOST))) for side in found]
        texts = column_of(table, TEXT)
        for row in np.flatnonzero(np.any([counts > 0 for _, counts in of_host], axis=0)).tolist():
            text = cleaned(texts[row].as_py() or "")
            for side, affix in enumerate(affixes(text)):
                hashes, counts = of_host[side]
                if counts[row] and affix and _hash(affix) == hashes[row]:
                    affixed[side][before + row] = affix
                    captions[before + row] = max(captions[before + row], counts[row])
        before += len(table)
    return {
        BOILERPLATE_PREFIX.name: pa.array(affixed[PREFIX], pa.string()),
        BOILERPLATE_SUFFIX.name: pa.array(affixed[SUFFIX], pa.string()),
        BOILERPLATE_CAPTIONS.name: pa.array(captions, mask=captions == 0),
    }


def _looked_up(
    side: tuple[Hashes, Hashes, Ints], hosts: Hashes
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return affix of the host of each row on one side, and how many captions have it, or 0."""
    known, hashes = (np.append(array, np.uint64(0)) for array in side[:2])
    captions = np.append(side[2], np.int64(0))
    places = np.searchsorted(side[0], hosts)
    there = known[places] == hosts
    there &= places < len(side[0])
    return hashes[places], np.where(there, captions[places], 0)
