"""Which rows of a crawl are among the first of their kind: the first of each pair, say.

Every file of the crawl has keys, 64-bit hashes, one a row. They are sorted and cut into buckets by
their value; a task per bucket reads that part of every file and finds the rows beyond the first
`most` of each key, in the order of files and rows. So no task holds more than a bucket, and nothing
is asked of the driver but names. Two different kinds share a key with a probability of n^2 / 2^65
in all, for n kinds: one in three for 3.5 billion pairs that one of them is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.commit import commit, marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, marker_path, task_name
from pairsieve.pipeline.dataset.store import Store

Keys = NDArray[np.uint64]
Rows = NDArray[np.uint32]
KEYS_SUFFIX, BEYOND_SUFFIX = ".keys.bin", ".beyond.bin"
ENDS = "ends"  # in `extra`: where the keys of each bucket end, or the rows of each file
KEY_BYTES, ROW_BYTES = 8, 4
FILES_PER_BUCKET = 400  # of a crawl, of 50,000 pairs each: 20 million keys, 320 MB, in a task


@dataclass(frozen=True, slots=True)
class Bucket:
    """A task: the rows beyond the first of each key, of one bucket.

    Attributes:
        number: Which bucket.
        work: Where everything is.
        keys: The folder of the files' keys.
        files: How many files there are.
        most: How many rows of a key are the first ones.
        folder: Where the result is committed.
    """

    number: int
    work: Store
    keys: str
    files: int
    most: int
    folder: str

    def __str__(self) -> str:
        return f"bucket {self.number} of {self.keys}"


def buckets_for(files: int) -> int:
    """Return how many buckets the keys of so many files are cut into."""
    return -(-files // FILES_PER_BUCKET)


def write_keys(
    work: Store, folder: str, name: str, keys: Keys, rows: Rows, buckets: int
) -> tuple[str, dict[str, object], list[int]]:
    """Write keys and their rows, in order of rows; return name, entry and the buckets' ends."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    bucket = ((keys >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32)
    ends = np.searchsorted(bucket, np.arange(buckets, dtype=np.uint64), "right")
    path = content(folder, name, KEYS_SUFFIX)
    with work.writer(path) as sink:
        sink.write(keys.astype("<u8").tobytes())
        sink.write(rows.astype("<u4").tobytes())
    return path, sink.entry(), ends.tolist()


def find_beyond(bucket: Bucket) -> Marker:
    """Find the rows beyond the first of each key; commit them by file."""
    found_keys, found_rows, sizes = [], [], []
    for number in range(bucket.files):
        keys, rows = _read(bucket, task_name(number))
        found_keys.append(keys)
        found_rows.append(rows)
        sizes.append(len(keys))
    beyond = _beyond(np.concatenate(found_keys), bucket.most)
    rows = np.concatenate(found_rows)[beyond]
    ends = np.cumsum(sizes)
    per_file = np.searchsorted(beyond, ends)
    name = task_name(bucket.number)
    path = content(bucket.folder, name, BEYOND_SUFFIX)
    with bucket.work.writer(path) as sink:
        sink.write(per_file.astype("<u8").tobytes())
        sink.write(rows.astype("<u4").tobytes())
    marker = Marker(len(rows), {path: sink.entry()})
    return commit(bucket.work, marker_path(bucket.folder, name), marker)


def read_beyond(work: Store, folder: str, buckets: int, file: int, files: int) -> Rows:
    """Return the rows of one file that are beyond the first, from all buckets, sorted."""
    parts: list[Rows] = []
    for number in range(buckets):
        marker = marker_of(work, marker_path(folder, task_name(number)))
        path = marker.file(BEYOND_SUFFIX)
        before = [(file - 1) * KEY_BYTES] if file else []
        starts = [*before, file * KEY_BYTES]
        read = work.read_ranges(path, starts, [KEY_BYTES] * len(starts))
        *others, end = (int.from_bytes(part, "little") for part in read)
        first = others[0] if others else 0
        if end > first:
            offset = files * KEY_BYTES + first * ROW_BYTES
            body = work.read_range(path, offset, (end - first) * ROW_BYTES)
            parts.append(np.frombuffer(body, "<u4"))
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.uint32)


def _read(bucket: Bucket, name: str) -> tuple[Keys, Rows]:
    """Return keys and rows of one file in a bucket, sorted by key."""
    marker = marker_of(bucket.work, marker_path(bucket.keys, name))
    ends: Sequence[int] = marker.extra[ENDS]
    first = ends[bucket.number - 1] if bucket.number else 0
    count, total = ends[bucket.number] - first, ends[-1]
    if not count:
        return np.empty(0, np.uint64), np.empty(0, np.uint32)
    starts = [first * KEY_BYTES, total * KEY_BYTES + first * ROW_BYTES]
    lengths = [count * KEY_BYTES, count * ROW_BYTES]
    keys, rows = bucket.work.read_ranges(marker.file(KEYS_SUFFIX), starts, lengths)
    return np.frombuffer(keys, "<u8"), np.frombuffer(rows, "<u4")


def _beyond(keys: Keys, most: int) -> NDArray[np.int64]:
    """Return the places, ascending, of keys beyond the first `most` of their value."""
    order = np.argsort(keys, kind="stable")
    if len(order) <= most:
        return np.empty(0, np.int64)
    values = keys[order]
    # In order of values, a key is beyond the first if the one `most` places before is its equal.
    return np.sort(order[most:][values[most:] == values[:-most]])
