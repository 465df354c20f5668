"""Both mixes over units, blocks and partitions of any number: the same bytes, killed or not."""

import hashlib
import io
import itertools
import json
import math
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated
from webdataset import TarWriter

from pairsieve.pipeline import gc, select, shard
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe

UNIT = 5  # rows
DROPPED = 4  # every so many-th row
OF_MIXES: dict[str, dict[str, int]] = {"pool": {}, "window": {"window_units": 2}}
PutPlan = Callable[[Store], None]


def image(row: int) -> bytes:
    return bytes([row % 251]) * (row * 97 % 900 + 1)


def uid(row: int) -> str:
    return hashlib.md5(str(row).encode()).hexdigest()


def put(store: Store, rows: int) -> Store:
    """Commit units of `UNIT` rows with an image each; the last of each unit is fetched again."""
    for unit, start in enumerate(range(0, rows, UNIT)):
        part = list(range(start, min(start + UNIT, rows)))
        put_slice(store, f"{unit:08d}", part, 0)
        put_slice(store, f"{unit:08d}.r1", part[-1:], 1)
    return store


def put_slice(store: Store, name: str, rows: list[int], layer: int) -> None:
    tar, parquet = (f"gather/{name}.000000000000.{suffix}" for suffix in ("tar", "parquet"))
    table: list[dict[str, Any]] = []
    with store.writer(tar) as sink:
        for row in reversed(rows):
            table.insert(0, {"image_offset": sink.size, "image_bytes": sink.write(image(row))})
            table[0] |= {"image_checksum": of_image(image(row))}
            table[0] |= {"row": row, "uid": uid(row), "text": f"pair {row}", "image_file": tar}
            table[0] |= {"outcome": "ok", "retry_layer": layer, "sharpness": row / 7}
    with store.writer(parquet) as written:
        pq.write_table(pa.Table.from_pylist(table, arrow_schema(GATHERED)), written)
    files = {tar: sink.entry(), parquet: written.entry()}
    commit(store, f"gather/{name}.json", Marker(len(rows), files, {}))


def recipe(samples: int, **options: Any) -> Recipe:
    keep = [{"where": f"row % {DROPPED} != 1", "name": "some"}]
    content = {"input": {"path": "p"}, "keep": keep, "shard": {"samples": samples, **options}}
    return Recipe.model_validate(content)


def pack(
    store: Store,
    recipe: Recipe,
    engine: Engine | None = None,
    blocks: int = 20,
    partition: int = 99,
) -> dict[str, bytes]:
    """Select and shard; return the shards, sizes and manifest by name."""
    select.run(recipe, store, Serial(), "default")
    list(shard.run(recipe, store, engine or Serial(), "default", blocks, partition))
    listed = (path for path, _, _ in store.list("shards/default"))
    names = (path for path in listed if "done" not in path and "/members/" not in path)
    return {path.rpartition("/")[2]: store.read(path) for path in names}


def plain_shards(kept: list[int], samples: int, seed: int) -> list[bytes]:
    """Return the shards by one sort of all rows, written by webdataset."""
    ordered = sorted(kept, key=lambda row: hashlib.md5(f"{seed}:{uid(row)}".encode()).digest())
    tars = []
    for first in range(0, len(ordered), samples):
        sink = io.BytesIO()
        writer = TarWriter(sink, encoder=False, mtime=0)
        for row in ordered[first : first + samples]:
            sharpness = float(f"{float(pa.scalar(row / 7, pa.float32()).as_py()):.7g}")
            content = {"sharpness": sharpness, "text": f"pair {row}", "uid": uid(row)}
            text = json.dumps(content, sort_keys=True).encode()
            sample = {"__key__": uid(row), "jpg": image(row), "txt": f"pair {row}".encode()}
            writer.write(sample | {"json": text})
        writer.close()
        tars.append(sink.getvalue())
    return tars


def kept_of(rows: int) -> list[int]:
    return [row for row in range(rows) if row % DROPPED != 1]


def rows_of(shards: dict[str, bytes]) -> dict[str, list[int]]:
    """Return the rows of each shard, in order."""
    rows: dict[str, list[int]] = {}
    for row in pq.read_table(io.BytesIO(shards["manifest.parquet"])).to_pylist():
        rows.setdefault(row["shard"], []).append(row["row"])
    return rows


@settings(max_examples=repeated(4, 12), deadline=None)
@given(
    rows=st.integers(1, 40),
    samples=st.integers(1, 30),
    seed=st.integers(0, 3),
    blocks=st.integers(1, 7),
    partitions=st.integers(1, 7),
)
def test_the_pool_is_sorted_as_one_in_any_blocks_and_partitions(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    samples: int,
    seed: int,
    blocks: int,
    partitions: int,
) -> None:
    store = put(Store.at(tmp_path_factory.mktemp("pool") / "dataset"), rows)
    partition = math.ceil(len(kept_of(rows)) / partitions)
    shards = pack(store, recipe(samples, seed=seed), None, blocks, partition)
    expected = plain_shards(kept_of(rows), samples, seed)
    assert [shards[name] for name in sorted(shards) if name.endswith(".tar")] == expected


@settings(max_examples=repeated(4, 12), deadline=None)
@given(
    rows=st.integers(1, 40),
    samples=st.integers(1, 30),
    seed=st.integers(0, 3),
    units=st.integers(1, 7),
    blocks=st.integers(1, 7),
)
def test_a_shard_draws_from_its_window_in_the_seeded_order(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    samples: int,
    seed: int,
    units: int,
    blocks: int,
) -> None:
    store = put(Store.at(tmp_path_factory.mktemp("window") / "dataset"), rows)
    asked = recipe(samples, seed=seed, mix="window", window_units=units)
    shards = pack(store, asked, None, blocks)
    rows_by_shard = rows_of(shards)
    assert sorted(itertools.chain(*rows_by_shard.values())) == kept_of(rows)
    order = sorted(
        range(math.ceil(rows / UNIT)), key=lambda u: hashlib.md5(f"{seed}:{u}".encode()).digest()
    )
    for name, members in rows_by_shard.items():
        places = [order.index(row // UNIT) for row in members]
        assert max(places) - min(places) < units
        assert len(members) <= samples
        assert plain_shards(members, samples, seed) == [shards[name]]
    assert [*rows_by_shard] == [f"{number:05d}.tar" for number in range(len(rows_by_shard))]


def test_shards_of_a_window_are_equal_but_for_one_sample(tmp_path: Path) -> None:
    shards = pack(put(Store.at(tmp_path), 60), recipe(8, mix="window", window_units=12))
    assert sorted(json.loads(shards["sizes.json"]).values()) == [7, 7, 7, 8, 8, 8]


def test_the_seed_alone_decides_on_the_windows(tmp_path: Path) -> None:
    store = put(Store.at(tmp_path), 20)
    first = pack(store, recipe(5, mix="window", window_units=2, seed=1))
    other = pack(store, recipe(5, mix="window", window_units=2, seed=2))
    assert first["00000.tar"] != other["00000.tar"]
    assert pack(store, recipe(5, mix="window", window_units=2, seed=1), None, 3) == first


@pytest.fixture(scope="module", params=["pool", "window"])
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, put_plan: PutPlan
) -> tuple[Recipe, Path, dict[str, bytes]]:
    """Return a recipe of a mix, a dataset of six units, and what is packed of it."""
    asked = recipe(3, mix=request.param, **OF_MIXES[request.param])
    folder = tmp_path_factory.mktemp("undisturbed")
    put_plan(put(Store.at(folder / "dataset"), 30))
    whole = Store.at(shutil.copytree(folder / "dataset", folder / "whole"))
    return asked, folder / "dataset", pack(whole, asked, None, 2, 5)


@pytest.mark.parametrize("tasks", [1, 4, 6])
def test_what_was_killed_ends_in_the_same_bytes(
    tmp_path: Path,
    undisturbed: tuple[Recipe, Path, dict[str, bytes]],
    dying: Callable[[int], Engine],
    tasks: int,
) -> None:
    asked, dataset, whole = undisturbed
    store = Store.at(shutil.copytree(dataset, tmp_path / "killed"))
    with pytest.raises(KeyboardInterrupt):
        pack(store, asked, dying(tasks), 2, 5)
    names = [path for path, _, _ in store.list("shards")]
    assert [path for path in names if role(path) not in (Role.MARKER, Role.CONTENT)] == []
    assert pack(store, asked, None, 2, 5) == whole
    assert gc.run(store, 0) == []
    left = (path for path, _, _ in store.list("shards"))
    assert {path for path in left if "/members/" not in path} == {
        f"shards/default/{name}" for name in (*whole, "done.json")
    }


def test_a_window_killed_among_its_shards_is_made_again(tmp_path: Path) -> None:
    asked = recipe(4, mix="window", window_units=6)
    store = put(Store.at(tmp_path), 30)
    select.run(asked, store, Serial(), "default")
    list(itertools.islice(shard.run(asked, store, Serial(), "default"), 3))
    store.delete(["shards/default/parts/00001.json"])
    again = pack(store, asked)
    assert again == pack(put(Store.at(tmp_path / "whole"), 30), asked)


def test_a_full_disk_stops_the_windows_and_leaves_no_file(tmp_path: Path) -> None:
    asked = recipe(60, mix="window", window_units=12)
    store = put(Store.at(tmp_path), 60)
    select.run(asked, store, Serial(), "default")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(Stopped, match=r"storage failed at .*scratch\."):
            list(shard.run(asked, store, Serial(), "default"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.glob("scratch.*")) == []
    assert len(pack(store, asked)) == 3


def test_an_object_store_gets_the_same_shards(tmp_path: Path, s3: str) -> None:
    asked = recipe(3, mix="window", window_units=2)  # four units in two windows, of two blocks
    local = pack(put(Store.at(tmp_path), 20), asked, blocks=3)
    assert len([name for name in local if name.endswith(".tar")]) == 6  # eight and seven samples
    assert pack(put(Store.at(f"{s3}/mixes"), 20), asked, blocks=3) == local


def test_ray_packs_the_same_shards(tmp_path: Path, ray: Engine) -> None:
    windows = recipe(3, mix="window", window_units=2)
    serial = {
        r: pack(put(Store.at(tmp_path / str(r)), 30), recipe_)
        for r, recipe_ in enumerate((recipe(3), windows))
    }
    for number, asked in enumerate((recipe(3), windows)):
        store = put(Store.at(tmp_path / f"ray{number}"), 30)
        assert pack(store, asked, ray, 2, 5) == serial[number]
