"""Counts over the pool: rounds that count, exactly, how often a caption, URL, host or file occurs.

1. `poolkeys`: the keys of every row of a block are parted, each kind by its own hash; `group` does
   so in the tasks that part what copies are found by;
2. `poolcounts`: of a partition of one kind, how many different pairs, or captions, each key has; in
   those of captions also what their rows add to each host, since a host can have a tenth of a pool;
3. `poolhosts`: of a partition of the hosts, the sums of that;
4. `columns`: in the task that writes a block, what was counted for its rows.

A result lies in the order in which the block has sent its keys, so no row number travels. Counted
are pairs, not rows: of rows with the same URL and text one counts, whatever became of its image.
One caption is never divided: one of a hundred million pairs needs 10 GB in one task.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pairsieve.pipeline.counts.caption_keys import caption_keys, host_keys
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dedup import keys as keys_of_copies
from pairsieve.pipeline.dedup.keys import Ints, Rounds, column_of, words
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.schemas.columns import HOST, OUTCOME, ROW, SHA256, TEXT, UID, URL_HASH, arrow_schema
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.pool_columns import (
    CAPTION_COUNT,
    CAPTIONS_OF_HOST,
    CAPTIONS_OF_IMAGE,
    COUNTED,
    HOST_COUNT,
    URL_COUNT,
)

CAPTIONS, URLS, IMAGES = KINDS = range(3)
KEYED = (UID, TEXT, HOST, URL_HASH, OUTCOME, SHA256)
COUNT, AGAIN = "count", "again"
NONE = -1  # the partition or index of a row that has no such key
Keys = NDArray[np.uint64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the rounds have counted, for the tasks that write it.

    Attributes:
        keys: The files of keys, one of each block.
        counts: Of each kind, the files of its partitions, by block.
        hosts: The files of the partitions of hosts, by block.
    """

    keys: Sequence[PartedFile]
    counts: Sequence[Sequence[PartedFile]]
    hosts: Sequence[PartedFile]


def find(pool: Pool, of: Rounds) -> Counted:
    """Go through the rounds but the last.

    Raises:
        Stopped: a task's process kept dying.
    """
    count, parts = len(pool.blocks), of.partitions
    keys = parted_files(pool.run(partial(scatter, of), of.of("poolkeys")), 4 * parts + 1)
    tallying = partial(tally, of, keys)
    markers = pool.run_numbered(tallying, of.of("poolcounts"), len(KINDS) * parts)
    of_kind = [markers[kind * parts : (kind + 1) * parts] for kind in KINDS]
    sizes = [count + parts, count, count]
    counts = [parted_files(*each) for each in zip(of_kind, sizes, strict=True)]
    task = partial(add_hosts, of, keys, counts[CAPTIONS])
    hosts = parted_files(pool.run_numbered(task, of.of("poolhosts"), parts), count)
    return Counted(keys, counts, hosts)


def scatter_all(of: Rounds, block: Block) -> Marker:
    """Part the keys of a block, read once, of these rounds and of those that find copies.

    Returned is the marker of the latter (`dedup/keys.py`), which is committed at last.
    """
    counted, compared, first = [], [], None
    columns = {*KEYED, *keys_of_copies.compared(of.options)}
    for table in block.tables([column.name for column in columns]):
        if first is None and len(table):
            first = table[ROW.name][0].as_py()
        counted.append(_keys(table))
        compared.append(keys_of_copies.of_images(of.options, table))
    _write(of, block, counted)
    return keys_of_copies.write(of, block, compared, first)


def scatter(of: Rounds, block: Block) -> Marker:
    """Part the keys of the rows of a block; of each the latest retry layer is read."""
    return _write(of, block, [*map(_keys, block.tables([column.name for column in KEYED]))])


def _write(of: Rounds, block: Block, found: Sequence[Columns]) -> Marker:
    """Commit keys by part: captions, URLs, files and hosts by partition, and the rows."""
    keys = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    path = of.new("poolkeys", block.number)
    sink = parted.write(block.store, path, _parts(keys, of.partitions), compression=None)
    return of.commit("poolkeys", block.number, Marker(len(keys[ROW.name]), {path: sink.entry()}))


def _keys(table: pa.Table) -> Columns:
    """Return the keys of some rows; their texts are not kept."""
    uid, text, host, url, outcome, sha256 = (column_of(table, column) for column in KEYED)
    captions, worded = caption_keys(text)
    files_of = words(sha256.fill_null("0" * 64), 4)
    return {
        ROW.name: table[ROW.name].to_numpy(),
        "uid": np.ascontiguousarray(words(uid, 2)[:, 0]),
        "caption": captions[:, 0],
        "caption_rest": captions[:, 1],
        "worded": worded,
        "host": host_keys(host),
        "url": url.fill_null(0).to_numpy(),
        "has_url": url.is_valid().to_numpy(),
        "file": files_of[:, 0],
        "file_rest": files_of[:, 1],
        "has_image": worded
        & sha256.is_valid().to_numpy()
        & pc.equal(outcome, str(Outcome.OK)).to_numpy(),
    }


def _parts(keys: Columns, parts: int) -> Iterator[pa.Table]:
    """Yield the keys of each kind by partition, and then the rows: in which partition they are."""
    rows = {ROW.name: keys[ROW.name]}
    every = np.ones(len(keys["uid"]), bool)
    route = np.where(keys["worded"], keys["caption"], keys["uid"])  # repeated pairs meet either way
    for name, by, known, columns in (
        ("captions", route, every, ("caption", "caption_rest", "worded", "uid", "host")),
        ("urls", keys["url"], keys["has_url"], ("url", "uid")),
        ("images", keys["file"], keys["has_image"], ("file", "file_rest", "caption")),
    ):
        partition = np.where(known, parted.share(by, parts).astype(np.int64), NONE)
        rows[name] = partition.astype(np.int32)
        table = pa.table({column: keys[column][known] for column in columns})
        yield from parted.split(table, partition[known], parts)
    hosts, places = np.unique(keys["host"], return_inverse=True)  # in the order of partitions, too
    unknown = int(len(hosts) > 0 and hosts[0] == 0)  # 0 stands for none
    rows["hosts"] = (places - unknown).astype(np.int32)
    hosts = hosts[unknown:]
    yield from parted.split(pa.table({"host": hosts}), parted.share(hosts, parts), parts)
    yield pa.table(rows)


def tally(of: Rounds, files: Sequence[PartedFile], number: int) -> Marker:
    """Count the keys of one partition of one kind; commit the counts by block."""
    kind, partition = divmod(number, of.partitions)
    tables = parted.read_each(of.store, files, number)
    table = pa.concat_tables(tables)
    keys = {name: table[name].to_numpy() for name in table.column_names}
    hosts: Iterator[pa.Table] = iter(())
    if kind == CAPTIONS:
        counts, hosts = _of_captions(keys, of.partitions)
    elif kind == URLS:
        counts = {COUNT: _different(_groups(keys["url"]), keys["uid"])[0]}
    else:
        counts = {COUNT: _different(_groups(keys["file"], keys["file_rest"]), keys["caption"])[0]}
    edges = np.cumsum([0, *map(len, tables)]).tolist()
    whole = pa.table(counts)
    path = of.new("poolcounts", number)
    sink = parted.write(of.store, path, chain(parted.cut(whole, edges), hosts))
    return of.commit("poolcounts", number, Marker(len(whole), {path: sink.entry()}))


def _of_captions(keys: Columns, parts: int) -> tuple[Columns, Iterator[pa.Table]]:
    """Return the counts of captions and which rows repeat a pair; and what they add to hosts."""
    captions = _groups(np.where(keys["worded"], keys["caption"], keys["uid"]), keys["caption_rest"])
    counts, first = _different(captions, keys["uid"])
    own = first & (keys["host"] != 0)
    hosts, places = np.unique(keys["host"][own], return_inverse=True)
    worded, several = keys["worded"][own], counts[own] > 1
    pairs = np.unique(
        captions[own][worded & several] * np.int64(len(hosts)) + places[worded & several]
    )
    table = pa.table(
        {
            "host": hosts,
            "pairs": np.bincount(places, minlength=len(hosts)),
            "captions": np.bincount(places[worded & ~several], minlength=len(hosts))
            + np.bincount(pairs % max(1, len(hosts)), minlength=len(hosts)),
        }
    )
    counts[~keys["worded"]] = 0
    return {COUNT: counts, AGAIN: ~first}, parted.split(table, parted.share(hosts, parts), parts)


def _groups(*keys: Keys) -> Ints:
    """Return the group of each row, (n,), from 0: rows are in one if all their keys are equal."""
    order = np.argsort(keys[0], kind="stable")
    if any(np.any(changes(keys[0][order]) < changes(key[order])) for key in keys[1:]):
        order = np.lexsort(keys[::-1])
    begins = np.logical_or.reduce([changes(key[order]) for key in keys])
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(begins) - 1
    return groups


def changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a value differs from that before it, (n,); the first does."""
    return np.append(np.ones(min(1, len(values)), bool), values[1:] != values[:-1])


def _different(groups: Ints, values: Keys) -> tuple[Ints, NDArray[np.bool_]]:
    """Return how many different values the group of each row has, and which rows add one, (n,)."""
    shared = np.flatnonzero(np.bincount(groups)[groups] > 1)
    order = shared[np.lexsort((values[shared], groups[shared]))]
    first = np.ones(len(groups), bool)
    first[order] = changes(groups[order]) | changes(values[order])
    return np.bincount(groups[first], minlength=int(groups.max(initial=-1)) + 1)[groups], first


def add_hosts(
    of: Rounds, keys: Sequence[PartedFile], files: Sequence[PartedFile], number: int
) -> Marker:
    """Add up what the captions of all partitions have of the hosts of one; commit it by block."""
    blocks_of = len(keys)
    added = parted.read_all(of.store, files, blocks_of + number)
    hosts, places = np.unique(added["host"].to_numpy(), return_inverse=True)
    sums = {}
    for name in ("pairs", "captions"):
        sums[name] = np.zeros(len(hosts) + 1, np.int64)  # the last of a host that nothing has
        np.add.at(sums[name], places, added[name].to_numpy())
    path = of.new("poolhosts", number)
    sink = parted.write(of.store, path, _sums_by_block(of, keys, number, hosts, sums))
    return of.commit("poolhosts", number, Marker(len(hosts), {path: sink.entry()}))


def _sums_by_block(
    of: Rounds, files: Sequence[PartedFile], number: int, hosts: Keys, sums: Columns
) -> Iterator[pa.Table]:
    """Yield the sums of the hosts that each block has sent, in their order."""
    for table in parted.read_each(of.store, files, len(KINDS) * of.partitions + number):
        theirs = table["host"].to_numpy()
        found = np.minimum(np.searchsorted(hosts, theirs), max(0, len(hosts) - 1))
        if len(hosts):
            found = np.where(hosts[found] == theirs, found, len(hosts))
        yield pa.table({name: values[found] for name, values in sums.items()})


def columns(of: Rounds, counted: Counted, block: Block, rows: Ints) -> dict[str, pa.Array]:
    """Return the columns of COUNTED of these rows of a block, which are sorted."""
    sent = parted.read(block.store, counted.keys[block.number], 4 * of.partitions)
    wanted = np.searchsorted(sent[ROW.name].to_numpy(), rows)
    found = {}
    for column, kind, name in (
        (CAPTION_COUNT, CAPTIONS, "captions"),
        (URL_COUNT, URLS, "urls"),
        (CAPTIONS_OF_IMAGE, IMAGES, "images"),
    ):
        counts = parted.read_all(block.store, counted.counts[kind], block.number)[COUNT].to_numpy()
        found[column.name] = _returned(sent[name].to_numpy(), counts)[wanted]
    places = sent["hosts"].to_numpy()[wanted]
    sums = parted.read_all(block.store, counted.hosts, block.number)
    for column, name in ((HOST_COUNT, "pairs"), (CAPTIONS_OF_HOST, "captions")):
        found[column.name] = np.append(sums[name].to_numpy(), 0)[places]
    types = {field.name: field.type for field in arrow_schema(COUNTED)}
    return {name: pa.array(values, types[name], mask=values == 0) for name, values in found.items()}


def repeats(of: Rounds, counted: Counted, block: Block) -> NDArray[np.bool_]:
    """Return which rows of a block, all in their order, have a pair that is in an earlier one."""
    sent = parted.read(block.store, counted.keys[block.number], 4 * of.partitions)
    again = parted.read_all(block.store, counted.counts[CAPTIONS], block.number)[AGAIN]
    found = again.to_numpy(zero_copy_only=False).astype(np.int64)
    return _returned(sent["captions"].to_numpy(), found) > 0


def _returned(partitions: NDArray[np.int32], counts: Ints) -> Ints:
    """Return the counts of rows, 0 where none was sent, from those by partition."""
    known = np.flatnonzero(partitions != NONE)
    found = np.zeros(len(partitions), np.int64)
    found[known[np.argsort(partitions[known], kind="stable")]] = counts
    return found
