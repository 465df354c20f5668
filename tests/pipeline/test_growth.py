"""More input files make more units and more shards; what was there keeps its bytes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.pipeline.growing_pool import add, check_clean, files, indexed, keys_in, recipe
from tests.pipeline.until_shards import walk

from pairsieve.pipeline import forget, group, plan, shard
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, PLAN_FILE, shard_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.removal.names import keys
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Recipe, Store, Path]:
    """A dataset of five pairs, in units of two, made of a file whose name is the last."""
    add(tmp_path / "in", "m.tar", {n: n for n in range(5)})
    options, store = recipe(tmp_path), Store.at(tmp_path / "out")
    walk(options, store)
    return options, store, tmp_path


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_further_files_append_units_and_shards_and_the_rest_keeps_its_bytes(
    tmp_path: Path, mix: str
) -> None:
    add(tmp_path / "in", "m.tar", {n: n for n in range(5)})
    options = recipe(tmp_path, mix, {"index": ["wids", "energon"]})
    store = Store.at(tmp_path / "out")
    walk(options, store)
    gathered, tars = files(store, GATHER_FOLDER), files(store, "shards/", ".tar")
    samples = keys_in(store)
    add(tmp_path / "in", "a.tar", {5: 5, 6: 2, 7: 7, 8: 8})
    walk(options, store)
    planned = plan.run(options, store)
    assert planned.units == [[[0, 0, 2]], [[0, 2, 2]], [[0, 4, 1]], [[1, 0, 2]], [[1, 2, 2]]] or (
        planned.staged and len(planned.units) == 5
    )
    assert planned.grown == [3]
    assert files(store, GATHER_FOLDER).items() >= gathered.items()
    assert files(store, "shards/", ".tar").items() > tars.items()
    assert len(keys_in(store)) == len(samples) + 3  # but for the larger copy of picture 2
    assert set(keys_in(store)) > set(samples)
    assert indexed(store) == json.loads(store.read("shards/default/sizes.json"))
    assert sum(indexed(store).values()) == len(keys_in(store))
    beside = files(store, "shards/", ".tar.idx")
    assert {path.removesuffix(".idx") for path in beside} == files(store, "shards/", ".tar").keys()
    check_clean(store)
    every = files(store)
    walk(options, store)
    assert {p: b for p, b in files(store).items() if "report" not in p} == {
        p: b for p, b in every.items() if "report" not in p
    }


def test_killed_while_shards_are_appended_it_goes_on_to_the_same_bytes(
    begun: tuple[Recipe, Store, Path], dying: Callable[[int], Serial]
) -> None:
    options, store, folder = begun
    marker, members = files(store, shard_marker("default")), files(store, "shards/", ".pq")
    before = files(store, "shards/", ".tar")
    add(folder / "in", "n.tar", {5: 5, 6: 6, 7: 7, 8: 8})
    walk(options, store)
    after = files(store, "shards/", ".tar")
    for path, body in (members | marker).items():  # as if killed before the marker was put
        store.write(path, body)
    list(shard.run(options, store, Serial(), "default"))
    assert files(store, "shards/", ".tar") == after
    check_clean(store)
    for path, body in (members | marker).items():
        store.write(path, body)
    store.delete(after.keys() - before.keys())
    kills = 0
    for tasks in range(1, 20):
        try:
            list(shard.run(options, store, dying(tasks), "default"))
            break
        except KeyboardInterrupt:
            kills += 1
            assert files(store, "shards/", ".tar").items() >= before.items()
    assert kills > 1
    assert files(store, "shards/", ".tar") == after
    check_clean(store)


def test_a_growing_pool_leaves_out_what_was_forgotten(begun: tuple[Recipe, Store, Path]) -> None:
    options, store, folder = begun
    gone = keys_in(store)[0]
    forget.run(store, Serial(), keys({"uid": [gone]}, ()))
    tars = files(store, "shards/", ".tar")
    add(folder / "in", "n.tar", {5: 5, 6: 6})
    walk(options, store)
    assert files(store, "shards/", ".tar").items() > tars.items()
    assert gone not in keys_in(store)
    assert len(keys_in(store)) == 6
    check_clean(store)


def test_a_file_that_is_gone_or_changed_is_refused_beside_new_ones(
    begun: tuple[Recipe, Store, Path],
) -> None:
    options, store, folder = begun
    before = store.read(PLAN_FILE)
    add(folder / "in", "n.tar", {5: 5})
    add(folder / "in", "m.tar", {n: n + 1 for n in range(5)})
    with pytest.raises(BadOption, match=r"another input: 1 changed \(.*m\.tar\)"):
        plan.run(options, store)
    (folder / "in/m.tar").unlink()
    with pytest.raises(BadOption, match=r"another input: 1 new \(.*n\.tar\), 1 gone \(.*m\.tar\)"):
        plan.run(options, store)
    assert store.read(PLAN_FILE) == before


def test_a_check_does_not_let_the_plan_grow(begun: tuple[Recipe, Store, Path]) -> None:
    options, store, folder = begun
    before = store.read(PLAN_FILE)
    add(folder / "in", "n.tar", {5: 5})
    assert plan.run(options, store, grow=False).pairs == 5
    assert store.read(PLAN_FILE) == before
    assert plan.run(options, store).pairs == 6


def test_repair_makes_appended_shards_anew(begun: tuple[Recipe, Store, Path]) -> None:
    options, store, folder = begun
    add(folder / "in", "n.tar", {5: 5, 6: 6})
    walk(options, store)
    there = keys_in(store)
    (folder / "out/shards/default/00000.tar").write_bytes(b"damaged")
    group.run(options, store, Serial())
    list(shard.run(options, store, Serial(), "default"))
    assert keys_in(store) == there
    assert store.exists(shard_marker("default"))
    check_clean(store)


def test_further_files_append_parquet_shards(tmp_path: Path) -> None:
    add(tmp_path / "in", "m.tar", {n: n for n in range(5)})
    options, store = recipe(tmp_path, packed={"layout": "parquet"}), Store.at(tmp_path / "out")
    walk(options, store)
    before = files(store, "shards/default/0", ".parquet")
    add(tmp_path / "in", "n.tar", {5: 5, 6: 6})
    walk(options, store)
    after = files(store, "shards/default/0", ".parquet")
    assert [name.rpartition("/")[2] for name in after] == [f"0000{n}.parquet" for n in range(3)]
    assert after.items() > before.items()
    assert json.loads(store.read("shards/default/sizes.json")) == {
        "00000.parquet": 3,
        "00001.parquet": 2,
        "00002.parquet": 2,
    }
    check_clean(store)
