"""Which rows are beyond the first of their key, against a search row by row."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.extraction.first_of_each import (
    ENDS,
    FILES_PER_BUCKET,
    Bucket,
    buckets_for,
    find_beyond,
    read_beyond,
    write_keys,
)


def beyond(work: Store, files: list[list[int]], buckets: int, most: int) -> list[list[int]]:
    """Return the rows of each file that are beyond the first `most` of their key."""
    for number, keys in enumerate(files):
        rows = np.arange(len(keys), dtype=np.uint32)
        args = np.array(keys, np.uint64), rows, buckets
        path, entry, ends = write_keys(work, "keys", task_name(number), *args)
        marker = Marker(len(keys), {path: dict(entry)}, extra={ENDS: ends})
        commit(work, marker_path("keys", task_name(number)), marker)
    for number in range(buckets):
        find_beyond(Bucket(number, work, "keys", len(files), most, "found"))
    count = len(files)
    return [read_beyond(work, "found", buckets, file, count).tolist() for file in range(count)]


def expected(files: list[list[int]], most: int) -> list[list[int]]:
    seen: Counter[int] = Counter()
    found: list[list[int]] = []
    for keys in files:
        found.append([])
        for row, key in enumerate(keys):
            seen[key] += 1
            if seen[key] > most:
                found[-1].append(row)
    return found


@pytest.mark.parametrize("buckets", [1, 3])
@pytest.mark.parametrize("most", [1, 2, 5])
def test_rows_beyond_the_first_are_those_of_a_search_row_by_row(
    tmp_path: Path, buckets: int, most: int
) -> None:
    rng = np.random.default_rng(most)
    values = rng.integers(0, 1 << 64, 30, np.uint64)
    files = [rng.choice(values, size).tolist() for size in (40, 0, 1, 60, 7)]
    assert beyond(Store.at(tmp_path), files, buckets, most) == expected(files, most)


def test_the_smallest_and_the_largest_key_have_a_bucket(tmp_path: Path) -> None:
    files = [[0, (1 << 64) - 1], [(1 << 64) - 1, 0, 5]]
    assert beyond(Store.at(tmp_path), files, 7, 1) == [[], [0, 1]]


def test_nothing_is_beyond_in_files_without_rows(tmp_path: Path) -> None:
    assert beyond(Store.at(tmp_path), [[], []], 2, 1) == [[], []]


def test_there_are_buckets_for_all_files() -> None:
    counts = [buckets_for(files) for files in (1, FILES_PER_BUCKET, FILES_PER_BUCKET + 1, 90_000)]
    assert counts == [1, 1, 2, 225]
