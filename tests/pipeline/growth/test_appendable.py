"""Shards of a pool that has grown: what is appended, what leaves, and what stays as it was."""

import io
import itertools
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from tests.pipeline.growing_pool import Files, add, check_clean, files, keys_in, recipe
from tests.pipeline.killed_store import Dying, Killed
from tests.pipeline.until_shards import walk
from tests.repetition import repeated

from pairsieve.pipeline import forget, select, shard
from pairsieve.pipeline.dataset.shard_names import is_shard
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.removal.names import keys
from pairsieve.schemas.recipe import Recipe

SIZED = {"samples": None, "by": "bytes", "bytes": 20_480}
SPLIT = {"samples": 2, "split": {"val": 0.4}}
WINDOW = {"mix": "window", "window_units": 2}
SINGLE = WINDOW | {"samples": 1}
FEW = [{"sample": {"n": 5}}]  # first of seven, then of eleven


class Grown(NamedTuple):
    """Where a dataset and its input are, and what was in its shards before the input grew."""

    store: Store
    options: Recipe
    before: Files
    held: dict[str, str]


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of seven pairs, in units of two, and its input."""
    folder: Path = tmp_path_factory.mktemp("pool")
    add(folder / "in", "m.tar", {n: n for n in range(7)})
    walk(recipe(folder), Store.at(folder / "gathered"))
    return folder


@pytest.fixture
def folder(gathered: Path) -> Path:
    """Return that folder, with a copy of the dataset as `out`; a plan names the whole paths."""
    for path in (gathered / "in").glob("[!m]*.tar"):
        path.unlink()
    shutil.rmtree(gathered / "out", ignore_errors=True)
    shutil.copytree(gathered / "gathered", gathered / "out")
    return gathered


def pack(options: Recipe, store: Store) -> None:
    select.run(options, store, Serial(), "default")
    list(shard.run(options, store, Serial(), "default"))


def shards(store: Store) -> Files:
    return {path: store.read(path) for path in store.paths() if is_shard(path)}


def samples(store: Store) -> dict[str, str]:
    """Return the shard of each sample, by uid."""
    found: dict[str, str] = {}
    for body in files(store, "shards/", "/manifest.parquet").values():
        table = pq.read_table(io.BytesIO(body), columns=["uid", "shard"])
        names = [f"shards/default/{name}" for name in table["shard"].to_pylist()]
        found |= dict(zip(table["uid"].to_pylist(), names, strict=True))
    return found


def packed_and_grown(folder: Path, options: Recipe) -> Grown:
    """Pack seven pairs, then let there be four more, on which nothing is decided yet."""
    store = Store.at(folder / "out")
    pack(options, store)
    grown = Grown(store, options, shards(store), samples(store))
    add(folder / "in", "n.tar", {n: n for n in range(7, 11)})
    return grown


@pytest.mark.parametrize("options", [SPLIT, SIZED, SPLIT | WINDOW, SIZED | WINDOW])
def test_shards_of_parts_and_of_a_size_in_bytes_are_appended(
    folder: Path, options: dict[str, Any]
) -> None:
    store, wanted, before, held = packed_and_grown(folder, recipe(folder, packed=options))
    walk(wanted, store)
    after = shards(store)
    assert after.items() > before.items()
    assert samples(store).items() > held.items()
    assert keys_in(store) == sorted(samples(store))
    assert len(keys_in(store)) == 11
    for _, of in itertools.groupby(sorted(after), lambda path: path.rpartition("/")[0]):
        assert [int(path[-9:-4]) == number for number, path in enumerate(of)].count(False) == 0
    check_clean(store)


@pytest.mark.parametrize("options", [{"samples": 2}, SPLIT, {"layout": "parquet"}, SINGLE])
def test_what_survives_no_more_leaves_the_shards_that_hold_it(
    folder: Path, options: dict[str, Any]
) -> None:
    few = recipe(folder, packed=options, keep=FEW)
    store, _, before, held = packed_and_grown(folder, few)
    walk(few, store)
    after, now = shards(store), samples(store)
    gone = held.keys() - now.keys()
    assert len(now) == 5
    assert 0 < len(gone) < 5
    assert all(now[uid] == held[uid] for uid in held.keys() - gone)
    changed = {path for path, body in before.items() if after[path] != body}
    assert changed == {held[uid] for uid in gone} != before.keys()
    check_clean(store)


def test_appended_to_what_was_left_of_them_they_stay_as_they_are(folder: Path) -> None:
    few = recipe(folder, packed={"samples": 2}, keep=[{"sample": {"n": 2}}])
    store, _, _, _ = packed_and_grown(folder, few)
    walk(few, store)
    before, held = shards(store), samples(store)
    add(folder / "in", "o.tar", {n: n for n in range(11, 30)})
    walk(few, store)
    gone = held.keys() - samples(store).keys()
    assert gone
    after = shards(store)
    assert {path for path in before if after[path] != before[path]} == {held[u] for u in gone}
    check_clean(store)


def test_with_other_rules_all_shards_are_made_anew(folder: Path) -> None:
    store, _, _, _ = packed_and_grown(folder, recipe(folder, keep=FEW))
    other = recipe(folder, keep=[{"sample": {"n": 4}}])
    walk(other, store)
    after = shards(store)
    assert len(samples(store)) == 4
    shutil.rmtree(folder / "out/shards")
    pack(other, store)
    assert shards(store) == after


@pytest.fixture(params=[SPLIT, SIZED | WINDOW], ids=["split", "bytes"])
def selected(folder: Path, request: pytest.FixtureRequest) -> Grown:
    """A dataset that has grown and of which all is decided, but whose shards are as before."""
    few = recipe(folder, packed=request.param, keep=FEW)
    grown = packed_and_grown(folder, few)
    walk(few, grown.store, ("shard", "report"))
    return grown


def copied(grown: Grown, folder: Path) -> Store:
    shutil.rmtree(folder / "copy", ignore_errors=True)
    shutil.copytree(folder / "out", folder / "copy")
    return Store.at(folder / "copy")


def changes_of(grown: Grown, store: Store, most: int) -> int:
    """Return how many changes packing takes; Killed where these are more."""
    Dying.left[0] = most
    list(shard.run(grown.options, Dying(store.url), Serial(), "default"))
    return most - Dying.left[0]


def test_killed_at_any_change_it_goes_on_to_the_same_bytes(selected: Grown, folder: Path) -> None:
    whole = copied(selected, folder)
    changes = changes_of(selected, whole, 1000)
    expected, listed = shards(whole), samples(whole)
    assert expected != selected.before
    for most in range(0, changes, repeated(17, 1)):
        store = copied(selected, folder)
        with pytest.raises(Killed):
            changes_of(selected, store, most)
        list(shard.run(selected.options, store, Serial(), "default"))
        assert (shards(store), samples(store)) == (expected, listed), most
        check_clean(store)
    assert changes > 30


@pytest.mark.parametrize("selected", [SPLIT], indirect=True)
def test_what_is_forgotten_is_nowhere_though_packing_was_killed(
    selected: Grown, folder: Path
) -> None:
    changes = changes_of(selected, copied(selected, folder), 1000)
    for most in range(2, changes, repeated(29, 3)):
        store = copied(selected, folder)
        with pytest.raises(Killed):
            changes_of(selected, store, most)
        gone = keys_in(store)[0]
        forget.run(store, Serial(), keys({"uid": [gone]}, ()))
        list(shard.run(selected.options, store, Serial(), "default"))
        assert gone not in keys_in(store), most
        assert sorted(samples(store)) == keys_in(store)
        check_clean(store)
