"""The work on one file of a crawl: finding its pairs, and writing those that stay."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import xxhash

from pairsieve.pipeline.dataset.commit import commit, marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.extraction.first_of_each import (
    ENDS,
    buckets_for,
    read_beyond,
    write_keys,
)
from pairsieve.pipeline.extraction.sources import Source, open_source
from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.pages.crawl import Place, Tally, pairs_of
from pairsieve.pipeline.pages.page import REPEATED, Page, Pair
from pairsieve.pipeline.pages.rows import ROWS_AT_ONCE, SCHEMA, tables
from pairsieve.schemas.recipe_pages import Pages

FOUND, REPEATS, HOSTS, OVER_HOST, WRITTEN = "found", "repeats", "hosts", "over_host", "written"
ROWS_SUFFIX = ".rows.parquet"
OVER_LIMIT_OF_HOST = "over_host_limit"
PAGES, BAD, LEFT_OUT, EXAMPLES = "pages", "bad", "left_out", "examples"


@dataclass(frozen=True, slots=True)
class Work:
    """What all tasks of an extraction have in common.

    Attributes:
        out: Where pairs are written.
        work: Where everything else is.
        options: Which pairs are taken from a page.
        files: How many files there are.
        limit_hosts: Whether pairs of a host are limited.
    """

    out: Store
    work: Store
    options: Pages
    files: int
    limit_hosts: bool

    @property
    def buckets(self) -> int:
        """Return how many buckets keys are cut into."""
        return buckets_for(self.files)


@dataclass(frozen=True, slots=True)
class FileTask:
    """A task: one file of the crawl, by its number."""

    common: Work
    number: int
    source: Source

    @property
    def name(self) -> str:
        """Return under which name the task is committed."""
        return task_name(self.number)

    def __str__(self) -> str:
        return self.source.location


def part_name(number: int) -> str:
    """Return how the file of pairs from this file of the crawl is called."""
    return f"part-{number:06d}.parquet"


def find(task: FileTask) -> Marker:
    """Write the pairs of a file, each once, and their keys."""
    import pyarrow.parquet as pq

    common, tally = task.common, Tally()
    keys: dict[int, None] = {}
    path = content(FOUND, task.name, ROWS_SUFFIX)
    with (
        open_source(task.source) as file,
        common.work.writer(path) as sink,
        pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer,
    ):
        for table in tables(_once(task, file, tally, keys)):
            writer.write_table(table)
    hashes = np.fromiter(keys, np.uint64, len(keys))
    rows = np.arange(len(hashes), dtype=np.uint32)
    keys_path, entry, ends = write_keys(common.work, FOUND, task.name, hashes, rows, common.buckets)
    marker = Marker(
        len(hashes),
        {path: sink.entry(), keys_path: entry},
        extra={
            ENDS: ends,
            PAGES: tally.pages,
            BAD: dict(sorted(tally.bad.items())),
            LEFT_OUT: dict(sorted(tally.left_out.items())),
            EXAMPLES: [list(each) for each in tally.examples],
        },
    )
    return commit(common.work, marker_path(FOUND, task.name), marker)


def _once(
    task: FileTask, file: BinaryIO, tally: Tally, keys: dict[int, None]
) -> Iterator[tuple[Page, Place, list[Pair]]]:
    """Yield the pages of a file, each pair of URL and text once; `keys` gets their hashes."""
    source = task.source
    for page, place, pairs in pairs_of(
        file, source.location, source.format, task.common.options, tally
    ):
        first = []
        for pair in pairs:
            key = xxhash.xxh3_64_intdigest(f"{pair.url}\n{pair.text}".encode())
            if key not in keys:
                keys[key] = None
                first.append(pair)
        if len(first) < len(pairs):
            tally.left_out[REPEATED] += len(pairs) - len(first)
        if first:
            yield page, place, first


def find_hosts(task: FileTask) -> Marker:
    """Write which host each pair of a file is of, for those that are no repeats."""
    common = task.common
    found = _found(task)
    kept = np.ones(found.rows, bool)
    kept[read_beyond(common.work, REPEATS, common.buckets, task.number, common.files)] = False
    hashes = np.fromiter(_hosts(common.work, found), np.uint64, len(kept))
    rows = np.flatnonzero(kept).astype(np.uint32)
    path, entry, ends = write_keys(
        common.work, HOSTS, task.name, hashes[kept], rows, common.buckets
    )
    marker = Marker(len(rows), {path: entry}, extra={ENDS: ends})
    return commit(common.work, marker_path(HOSTS, task.name), marker)


def _hosts(work: Store, found: Marker) -> Iterator[int]:
    """Yield the hash of the host of each row's page."""
    for batch in _batches(work, found, ["page_url"]):
        for url in batch.column("page_url").to_pylist():
            page = canonical(url)
            host = page.host_name if page else ""
            yield xxhash.xxh3_64_intdigest(host.encode())


def write(task: FileTask) -> Marker:
    """Write the pairs of a file that are the first of their kind."""
    import pyarrow.parquet as pq

    common = task.common
    args = common.buckets, task.number, common.files
    repeats = read_beyond(common.work, REPEATS, *args)
    over = read_beyond(common.work, OVER_HOST, *args) if common.limit_hosts else repeats[:0]
    found = _found(task)
    kept = np.ones(found.rows, bool)
    kept[repeats] = kept[over] = False
    first = 0
    with (
        common.out.writer(part_name(task.number)) as sink,
        pq.ParquetWriter(sink, SCHEMA, compression="zstd") as writer,
    ):
        for batch in _batches(common.work, found, None):
            stays = kept[first : first + len(batch)]
            first += len(batch)
            if stays.any():
                writer.write_batch(batch.filter(pa.array(stays)))
    counts = {REPEATED: len(repeats), OVER_LIMIT_OF_HOST: len(over)}
    marker = Marker(int(kept.sum()), {}, counts)
    return commit(common.work, marker_path(WRITTEN, task.name), marker)


def _found(task: FileTask) -> Marker:
    """Return the marker of what was found in a file."""
    return marker_of(task.common.work, marker_path(FOUND, task.name))


def _batches(work: Store, found: Marker, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield what was found in a file, given its marker."""
    import pyarrow.parquet as pq

    with work.reader(found.file(ROWS_SUFFIX)) as file, pq.ParquetFile(file) as rows:
        yield from rows.iter_batches(ROWS_AT_ONCE, columns=columns)
