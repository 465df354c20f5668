from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pairsieve.pipeline import gc
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors import index as vector_index
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.index import nearest
from pairsieve.schemas.columns import IMAGE_EMBEDDING

DIMENSIONS, UNITS, EACH = 32, 4, 1000
PutVectors = Callable[..., None]
PutPlan = Callable[[Store], None]


def clustered(count: int, seed: int) -> NDArray[np.float16]:
    """Return vectors around 50 centres, length 1, (n, d)."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(50, DIMENSIONS))
    random = np.random.default_rng(seed)
    drawn = centres[random.integers(50, size=count)] + 0.3 * random.normal(size=(count, DIMENSIONS))
    unit: NDArray[np.float16] = (drawn / np.linalg.norm(drawn, axis=1)[:, None]).astype(np.float16)
    return unit


STORED = clustered(UNITS * EACH, 1)
QUERIES = clustered(20, 2).astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Let faiss use one thread: many, waiting for one another on a busy machine, take minutes."""
    faiss.omp_set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path, put_vectors: PutVectors) -> Store:
    """Return a dataset of 4,000 vectors in four units; rows count from 0 in steps of 3."""
    dataset = Store.at(tmp_path)
    for unit in range(UNITS):
        part = slice(unit * EACH, (unit + 1) * EACH)
        rows = list(range(3 * part.start, 3 * part.stop, 3))
        put_vectors(dataset, "tiny", rows, STORED[part], STORED[part], f"{unit:08d}")
    return dataset


def expected(query: NDArray[np.float32], count: int) -> tuple[list[int], list[float]]:
    """Return what faiss's flat index finds in the vectors, as rows, and the cosines."""
    flat = faiss.IndexFlatIP(DIMENSIONS)
    exact = STORED.astype(np.float32)
    faiss.normalize_L2(exact)
    flat.add(exact)
    cosines, indices = flat.search(query[None] / np.linalg.norm(query), count)
    return [3 * index for index in indices[0].tolist()], cosines[0].tolist()


def unit(query: NDArray[np.float32]) -> NDArray[np.float32]:
    return query / np.linalg.norm(query)


def test_few_rows_are_all_compared_as_a_flat_index_does(store: Store) -> None:
    for query in QUERIES:
        result = nearest(store, "tiny", unit(query), 10)
        rows, cosines = expected(query, 10)
        assert result.rows == rows
        assert result.cosines == pytest.approx(cosines, abs=1e-6)
        assert result.exact
    assert not list(store.list("search"))


def test_more_rows_than_there_are_give_all(store: Store) -> None:
    assert len(nearest(store, "tiny", unit(QUERIES[0]), 5000).rows) == UNITS * EACH


def test_equal_cosines_stand_in_row_order(tmp_path: Path, put_vectors: PutVectors) -> None:
    same = np.repeat(STORED[:1], 5, axis=0)
    put_vectors(Store.at(tmp_path), "tiny", [9, 4, 7, 1, 3], same, same)
    result = nearest(Store.at(tmp_path), "tiny", unit(STORED[0].astype(np.float32)), 3)
    assert result.rows == [1, 3, 4]


def test_the_index_finds_nearly_all_of_them_with_true_cosines(store: Store) -> None:
    hits = 0
    for query in QUERIES:
        result = nearest(store, "tiny", unit(query), 10, exact_rows=100)
        rows, _ = expected(query, 10)
        hits += len(set(result.rows) & set(rows))
        of_row = dict(zip(*expected(query, UNITS * EACH), strict=True))
        assert result.cosines == pytest.approx([of_row[row] for row in result.rows], abs=1e-6)
        assert result.cosines == sorted(result.cosines, reverse=True)
        assert not result.exact
    assert hits >= 0.9 * 10 * len(QUERIES)


def test_the_index_is_built_once_and_again_when_vectors_come(
    store: Store, put_vectors: PutVectors
) -> None:
    query = unit(QUERIES[0])
    nearest(store, "tiny", query, 5, exact_rows=100)
    first = list(store.list("search"))
    nearest(store, "tiny", query, 5, exact_rows=100)
    assert list(store.list("search")) == first

    put_vectors(store, "tiny", [99_999], query[None], query[None], "00000009")
    assert nearest(store, "tiny", query, 1, exact_rows=100).rows == [99_999]
    second = list(store.list("search"))
    assert len(second) == len(first) == 2  # the marker and one index: the old one is deleted
    assert {path for path, _, _ in first} ^ {path for path, _, _ in second}


def test_garbage_collection_leaves_the_index_alone(store: Store, put_plan: PutPlan) -> None:
    put_plan(store)
    nearest(store, "tiny", unit(QUERIES[0]), 5, exact_rows=100)
    store.write("search/tiny/0123456789ab.faiss", b"left by a killed attempt")
    gc.run(store, 0)
    assert not store.exists("search/tiny/0123456789ab.faiss")
    assert len(list(store.list("search"))) == 2


def test_only_row_groups_with_candidates_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = unit(QUERIES[0])
    nearest(store, "tiny", query, 1, exact_rows=100)  # builds the index
    read: list[int] = []
    whole = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
        table = whole(self, group, columns)
        read.append(len(table))
        return table

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert nearest(store, "tiny", query, 1, exact_rows=100).rows == expected(query, 1)[0]
    assert 100 <= sum(read) <= vector_index.CANDIDATES * 100


def test_some_rows_of_a_unit_in_slices_are_read_by_their_index(
    tmp_path: Path, put_vectors: PutVectors
) -> None:
    store = Store.at(tmp_path)
    later, earlier = np.arange(1, 600, 2), np.arange(0, 600, 2)  # task slices of a unit, and rows
    for slice_name, rows in (("00000000.0+1", later), ("00000000.1+1", earlier)):
        put_vectors(store, "tiny", rows.tolist(), STORED[rows], STORED[rows], slice_name)
    (both,) = reader.units(store, "tiny")
    rows, matrix = reader.read_at(store, both, np.array([598, 3, 250, 2]), IMAGE_EMBEDDING)
    assert sorted(rows.tolist()) == [2, 3, 250, 598]
    np.testing.assert_array_equal(matrix, STORED[rows])


def test_an_index_lies_in_an_object_store_too(s3: str, put_vectors: PutVectors) -> None:
    dataset = Store.at(f"{s3}/vector-index")
    put_vectors(dataset, "tiny", list(range(EACH)), STORED[:EACH], STORED[:EACH])
    for _ in range(2):  # built, then read
        query = unit(STORED[17].astype(np.float32))
        assert nearest(dataset, "tiny", query, 1, exact_rows=100).rows == [17]


def test_the_training_sample_is_seeded_and_of_the_requested_size(store: Store) -> None:
    units = reader.units(store, "tiny")
    one, two = (vector_index._sample(store, units, 500) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (500, DIMENSIONS)
    assert len(np.unique(one, axis=0)) == 500
