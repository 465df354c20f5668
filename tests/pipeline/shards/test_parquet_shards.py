"""Shards as Parquet: what `datasets` reads of them, and that the other commands know them."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from pairsieve.pipeline import select, shard, verify
from pairsieve.pipeline.check import check_input
from pairsieve.pipeline.dataset.shard_names import is_shard
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.integrity.repair import repair
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_shard import Shard

Packed = Callable[..., Store]
SURVIVORS = [f"{row:032x}" for row in range(40) if row != 5]
FOLDER = "shards/default"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[Any]]]:
    """Return a function that reads the shards by Hugging Face's `datasets`, by split."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from datasets import load_dataset

    def read(store: Store) -> dict[str, list[Any]]:
        folder = store.url.removeprefix("file://")
        return {
            split: list(rows)
            for split, rows in load_dataset(f"{folder}/{FOLDER}", streaming=True).items()
        }

    return read


def shards(store: Store) -> dict[str, bytes]:
    names = [path for path, _, _ in store.list(FOLDER) if is_shard(path)]
    return {name: store.read(name) for name in sorted(names)}


def manifest(store: Store, part: str = "") -> list[dict[str, Any]]:
    path = "/".join(filter(None, (FOLDER, part, "manifest.parquet")))
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(store.read(path))).to_pylist()
    return rows


def findings(store: Store, decode: bool = True) -> list[str]:
    checked = verify.run(store, Serial(), "default" if decode else None)
    return [f"{found.path}: {found.wrong}" for one in checked for found in one.findings]


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_datasets_reads_images_texts_and_columns_in_the_order_of_the_manifest(
    packed: Packed, load: Callable[..., Any], put_plan: Callable[[Store], None], mix: str
) -> None:
    store = packed(layout="parquet", mix=mix, samples=15)
    put_plan(store)
    rows = load(store)["train"]
    assert [row["uid"] for row in rows] == [row["uid"] for row in manifest(store)]
    assert sorted(row["uid"] for row in rows) == SURVIVORS
    for row in rows:
        number = int(row["uid"], 16)
        assert row["image"].size == (number + 8, 9)
        assert (row["text"], row["width"]) == (f"pair {number}", 640)
    assert not {"row", "outcome", "image_file", "clip_similarity"} & rows[0].keys()
    assert findings(store) == []


def test_parts_are_splits(packed: Packed, load: Callable[..., Any]) -> None:
    store = packed(layout="parquet", samples=9, split={"val": 0.3}, columns=["width", "cluster"])
    read = load(store)
    assert list(read) == ["train", "val"]
    for part, rows in read.items():
        assert [row["uid"] for row in rows] == [row["uid"] for row in manifest(store, part)]
        assert set(rows[0]) == {"image", "text", "uid", "width", "cluster"}


def test_captions_and_the_original_have_columns_of_their_own(
    packed: Packed, load: Callable[..., Any]
) -> None:
    store = packed(layout="parquet", captions="all", text="cleaned", columns=[])
    by_uid = {row["uid"]: row for row in load(store)["train"]}
    keeper = by_uid[f"{7:032x}"]
    assert (keeper["text"], keeper["original_text"]) == ("pair 7", "pair 7")
    assert keeper["captions"] == ["a & b", "c"]
    assert by_uid[f"{8:032x}"]["captions"] == []
    assert keeper["image"].size == (15, 9)


def test_the_bytes_depend_on_the_samples_alone(packed: Packed) -> None:
    store = packed(layout="parquet", samples=30)
    expected = shards(store)
    store.delete([path for path, _, _ in store.list("shards")])
    content = {"input": {"path": "p"}, "keep": [{"where": "row <> 5"}]}
    recipe = Recipe.model_validate(content | {"shard": {"layout": "parquet", "samples": 30}})
    select.run(recipe, store, Serial(), "default")
    list(shard.run(recipe, store, Serial(), "default", partition=7))
    assert shards(store) == expected
    assert [name.rpartition("/")[2] for name in expected] == ["00000.parquet", "00001.parquet"]


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_tasks_on_ray_leave_the_same_bytes(packed: Packed, ray: Engine, mix: str) -> None:
    options = {"layout": "parquet", "samples": 15, "mix": mix, "captions": "all"}
    expected = shards(packed(**options))
    packed(samples=5)
    assert shards(packed(ray, **options)) == expected


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_on_an_object_store_they_are_the_same(
    packed: Packed, put_plan: Callable[[Store], None], s3: str, tmp_path: Path, mix: str
) -> None:
    options = {"layout": "parquet", "samples": 15, "mix": mix}
    local = packed(**options)
    put_plan(local)
    expected, store = shards(local), Store.at(f"{s3}/{tmp_path.name}")
    for path in (path for path in local.paths() if not path.startswith("shards/")):
        store.write(path, local.read(path))
    recipe = Recipe.model_validate({"input": {"path": "p"}, "shard": options})
    list(shard.run(recipe, store, Serial(), "default"))
    assert shards(store) == expected
    assert findings(store) == []


def test_packing_goes_on_where_it_was_killed(
    packed: Packed, dying: Callable[[int], Engine]
) -> None:
    whole = shards(packed(layout="parquet", samples=9))
    packed(samples=5)
    with pytest.raises(KeyboardInterrupt):
        packed(dying(4), layout="parquet", samples=9)
    assert shards(packed(layout="parquet", samples=9)) == whole


def test_verify_finds_damage_in_bytes_and_in_samples(
    packed: Packed, put_plan: Callable[[Store], None]
) -> None:
    store = packed(layout="parquet", samples=20)
    put_plan(store)
    path = f"{FOLDER}/00000.parquet"
    whole = store.read(path)
    store.write(path, whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert findings(store) == [f"{path}: its bytes are not those that were committed (SHA-256)"]
    store.write(path, whole)
    extra = f"{FOLDER}/00007.parquet"
    store.write(extra, whole)
    assert findings(store) == [f"{extra}: it lies among the shards, and no marker names it"]


def test_a_damaged_shard_is_packed_anew_and_the_others_stay(
    packed: Packed, put_plan: Callable[[Store], None]
) -> None:
    store = packed(layout="parquet", samples=20)
    put_plan(store)
    whole, path = shards(store), f"{FOLDER}/00000.parquet"
    store.write(path, whole[path][:200])
    found = [one for checked in verify.run(store, Serial()) for one in checked.findings]
    (told,) = repair(store, found)
    assert "packs 1 shards anew and keeps 1" in told
    assert list(shards(store)) == [f"{FOLDER}/00001.parquet"]
    assert shards(packed(layout="parquet", samples=20)) == whole
    assert findings(store) == []


def test_a_row_without_its_own_image_is_found(packed: Packed) -> None:
    from pairsieve.pipeline.integrity.samples import rows

    store = packed(layout="parquet", samples=100)
    table = pq.read_table(io.BytesIO(store.read(f"{FOLDER}/00000.parquet")))
    assert [wrong for _, _, wrong in rows(_file(table), True)] == [None] * 39
    images = table["image"].to_pylist()
    images[0], images[1] = None, images[2]
    images[3] = images[3] | {"bytes": images[3]["bytes"][:200]}
    field = table.schema.field("image")
    spoiled = table.set_column(0, field, [pa.array(images, field.type)])
    wrong = [wrong for _, _, wrong in rows(_file(spoiled), True)]
    assert wrong[:3] == ["it has no image or no text", "its image has another uid", None]
    assert "the file is damaged" in str(wrong[3])


def _file(table: Any) -> io.BytesIO:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    sink.seek(0)
    return sink


def test_sizes_count_the_rows_of_each_file(packed: Packed) -> None:
    store = packed(layout="parquet", by="bytes", bytes=10_240)
    sizes = json.loads(store.read(f"{FOLDER}/sizes.json"))
    for name, rows in sizes.items():
        file = pq.ParquetFile(io.BytesIO(store.read(f"{FOLDER}/{name}")))
        assert file.metadata.num_rows == rows
        image = file.read_row_group(0)["image"][0].as_py()
        with Image.open(io.BytesIO(image["bytes"])) as opened:
            assert opened.format == "JPEG"
    assert len(sizes) > 1


@pytest.mark.parametrize("index", ["wids", "energon"])
def test_indexes_of_tars_are_refused(index: str) -> None:
    with pytest.raises(ValidationError, match=f"`{index}` is for tars; `layout: parquet` has none"):
        Shard.model_validate({"layout": "parquet", "index": [index]})


def test_a_column_of_the_input_that_shards_have_themselves_is_refused(
    pool: Store, put_plan: Callable[[Store], None]
) -> None:
    put_plan(pool)
    plan = replace(plan_file.read(pool), schema=pa.schema([("original_text", pa.string())]))
    content = {"input": {"path": "p"}, "fetch": {"user_agent": "a (+a@b.c)"}}
    recipe = Recipe.model_validate(content | {"shard": {"layout": "parquet"}})
    with pytest.raises(BadOption, match="a column `original_text` of its own, and the input"):
        check_input(recipe, plan)
