"""The drawn pool of `bench decide`: that it is a dataset like those that the verbs leave."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pairsieve.jobs.bench.decide import _recipe
from pairsieve.jobs.bench_data.pool import Pool, build
from pairsieve.pipeline.dataset.commit import damaged
from pairsieve.pipeline.dataset.marker import outcome_counts
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.status import status
from pairsieve.pipeline.unit.ledger_part import uid
from pairsieve.pipeline.vectors.folders import scores_folders, unscored_slices
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import load

POOL = Pool(6_500, seed=3, unit=1_000)


def built(folder: Path, pool: Pool = POOL) -> tuple[Recipe, Store]:
    """Make the pool; return its recipe and its dataset."""
    (folder / "recipe.yaml").write_text(_recipe("first", 0.2))
    recipe = load(folder / "recipe.yaml")
    build(pool, recipe, folder / "dataset")
    return recipe, Store.at(folder / "dataset")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Store]:
    return built(tmp_path_factory.mktemp("pool"))


def test_every_pair_is_answered_for_once(pool: tuple[Recipe, Store]) -> None:
    recipe, store = pool
    told = status(store, "default")
    assert told.pairs == sum(told.outcomes.values()) == 6_500
    assert told.pending == 0
    assert told.complaints == []
    assert [(layer.retry_layer, layer.pending) for layer in told.retries] == [(1, 0), (2, 0)]
    assert unscored_slices(store, recipe) == 0


def test_markers_name_what_is_there(pool: tuple[Recipe, Store]) -> None:
    assert list(damaged(pool[1], pool[1].markers(GATHER_FOLDER).values())) == []


def test_the_parts_have_the_columns_and_the_names_of_gather(pool: tuple[Recipe, Store]) -> None:
    _, store = pool
    assert store.local
    markers = store.markers(GATHER_FOLDER)
    assert {"00000000", "00000000.r1", "00000000.r2", "00000001"} <= markers.keys()
    part = pq.read_schema(store.local / markers["00000002"].file(".parquet"))
    assert part.equals(arrow_schema(GATHERED))


def test_hashes_and_hosts_are_those_of_the_texts(pool: tuple[Recipe, Store]) -> None:
    _, store = pool
    assert store.local
    marker = store.markers(GATHER_FOLDER)["00000001"]
    for row in pq.read_table(store.local / marker.file(".parquet")).slice(0, 200).to_pylist():
        url = canonical(row["url"])
        assert url
        assert row["uid"] == uid(row["url"], row["text"])
        assert (row["host"], row["url_hash"]) == (url.host, url.hash)
        assert len(row["text"].split()) == row["caption_words"]


def test_copies_failures_and_scores_are_there(pool: tuple[Recipe, Store]) -> None:
    recipe, store = pool
    with connect(store) as connection:
        attach(connection, store, scores_folders(recipe))
        query = "SELECT row, sha256, perceptual_hash, outcome, clip_similarity FROM ledger"
        found = connection.execute(f"{query} ORDER BY row").fetchnumpy()
    assert found["row"].tolist() == list(range(6_500))
    ok = found["outcome"] == "ok"
    assert 0.85 < ok.mean() < 0.92
    assert (np.ma.getmaskarray(found["clip_similarity"]) == ~ok).all()
    files = Counter(found["sha256"][ok].tolist())
    assert 150 < sum(n for n in files.values() if n > 1) < 700
    hashes = np.asarray(found["perceptual_hash"][ok], np.uint64)
    near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= 4
    assert 300 < (near.sum(axis=1) > 1).sum() < 1_500


def test_what_failed_for_a_passing_reason_was_fetched_again(pool: tuple[Recipe, Store]) -> None:
    markers = pool[1].markers(GATHER_FOLDER)
    first = {name: m for name, m in markers.items() if ".r" not in name}
    again = [m.rows for name, m in markers.items() if ".r1" in name]
    assert 0.01 * 6_500 < sum(again) < 0.03 * 6_500
    assert outcome_counts(markers.values())["ok"] > outcome_counts(first.values())["ok"]


def costless(body: bytes) -> object:
    """Return what a file holds but for the CPU time that a marker says."""
    if not body.startswith(b'{"checksum'):
        return body
    marker = json.loads(body)
    marker.get("extra", marker).pop("cpu_s", None)
    del marker["checksum"]
    return marker


def test_the_same_size_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    small = Pool(900, seed=1, unit=300)
    stores = []
    for name in "ab":
        (tmp_path / name).mkdir()
        stores.append(built(tmp_path / name, small)[1])
    one, other = ({p: store.read(p) for p, _, _ in store.list()} for store in stores)
    assert all(costless(one[path]) == costless(other[path]) for path in one.keys() | other.keys())
    assert len(one) > 20


def test_a_longer_pool_begins_otherwise_but_each_unit_stands_alone() -> None:
    whole = POOL.rows_of(0, 3_000)
    part = POOL.rows_of(2_000, 1_000)
    assert (whole.picture[2_000:] == part.picture).all()
    assert (whole.pair[2_000:] == part.pair).all()
