"""Taking out and appending as tasks on Ray leave what they leave one after the other."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.input_tar import gradient, put_samples

from pairsieve.pipeline import forget, verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.removal.names import keys
from pairsieve.pipeline.run import run
from pairsieve.schemas.recipe import Recipe

SHARD = re.compile(r"shards/default/\d+\.tar")


def add(folder: Path, name: str, numbers: range) -> None:
    """Write a tar of pictures of their own."""
    samples = {number: (gradient(37 * number), f"text no {number}") for number in numbers}
    put_samples(folder / name, samples)


def walk(recipe: Recipe, store: Store, engine: Engine) -> None:
    run(recipe, store, engine, "default", lambda stage, marker, new=True: None)


def shards(store: Store) -> dict[str, bytes]:
    return {path: store.read(path) for path in sorted(store.paths()) if SHARD.fullmatch(path)}


def uids(store: Store) -> list[str]:
    """Return the uids of all samples."""
    with store.reader("shards/default/manifest.parquet") as source:
        found: list[str] = pq.read_table(source)["uid"].to_pylist()
    return sorted(found)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Recipe, Store, Store]:
    """A finished dataset of seven pairs in units of two, twice."""
    add(tmp_path / "in", "a.tar", range(7))
    content = {"input": {"path": str(tmp_path / "in"), "format": "webdataset", "unit_pairs": 2}}
    packed = {"shard": {"samples": 2}, "keep": [{"sample": {"n": 6}}]}
    recipe = Recipe.model_validate(content | packed)
    walk(recipe, Store.at(tmp_path / "serial"), Serial())
    shutil.copytree(tmp_path / "serial", tmp_path / "ray")
    return recipe, Store.at(tmp_path / "serial"), Store.at(tmp_path / "ray")


def check_clean(store: Store) -> None:
    assert [found for one in verify.run(store, Serial()) for found in one.findings] == []


def test_forget_leaves_the_same_shards(
    made: tuple[Recipe, Store, Store],
    ray: Engine,
    found_in: Callable[[Store, dict[str, bytes]], list[tuple[str, str]]],
) -> None:
    _, serial, on_ray = made
    named = keys({"uid": uids(serial)[1:4]}, ())
    before = shards(serial)
    for store, engine in ((serial, Serial()), (on_ray, ray)):
        (taken,) = forget.run(store, engine, named, units=1)
        assert (taken.pairs, taken.images) == (3, 3)
    assert shards(on_ray) == shards(serial) != before
    texts = {text: text.encode() for text in (f"text no {number}" for number in range(7))}
    assert len({name for name, _ in found_in(on_ray, texts)}) == 4
    check_clean(on_ray)


def test_appending_leaves_the_same_shards(
    made: tuple[Recipe, Store, Store], ray: Engine, tmp_path: Path
) -> None:
    recipe, serial, on_ray = made
    before = shards(serial)
    add(tmp_path / "in", "b.tar", range(7, 12))
    for store, engine in ((serial, Serial()), (on_ray, ray)):
        walk(recipe, store, engine)
    assert shards(on_ray) == shards(serial)
    changed = [path for path, body in before.items() if shards(on_ray)[path] != body]
    assert 0 < len(changed) < len(before)  # of which some samples are not among the six any more
    assert len(uids(on_ray)) == 6
    check_clean(on_ray)
