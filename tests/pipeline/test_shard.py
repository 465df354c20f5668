import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import select, shard
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import current_shards
from pairsieve.schemas.columns import scores_of
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PutGathered = Callable[[Store, list[dict[str, Any]]], None]
HOSTILE = (
    "NUL \0, <b>, '; DROP TABLE ledger; --, \u202ertl\u202c, \N{GRINNING FACE}\n" + "x" * 10**6
)


def recipe(samples: int = 3, seed: int = 0, keep: tuple[Any, ...] = (), **options: Any) -> Recipe:
    shard = {"samples": samples, "seed": seed, **options}
    return Recipe.model_validate({"input": {"path": "p"}, "keep": keep, "shard": shard})


def images(store: Store, count: int) -> list[dict[str, Any]]:
    """Store `count` pictures; return the ledger rows that point at them."""
    bodies = b""
    rows: list[dict[str, Any]] = []
    random = np.random.default_rng(3)
    for _ in range(count):
        sink = io.BytesIO()
        Image.fromarray(random.integers(0, 255, (16, 24, 3), np.uint8)).save(sink, "JPEG")
        rows.append(
            {
                "image_file": "gather/images.tar",
                "image_offset": len(bodies),
                "image_bytes": len(sink.getvalue()),
                "fetch_ms": len(rows),
                "sharpness": 0.1,
            }
        )
        bodies += sink.getvalue()
    store.write("gather/images.tar", bodies)
    return rows


@pytest.fixture
def store(tmp_path: Path, put_gathered: PutGathered) -> Store:
    """A dataset of seven pairs with pictures and one that failed."""
    dataset = Store.at(tmp_path)
    rows = images(dataset, 7)
    rows[2]["text"] = HOSTILE
    put_gathered(dataset, [*rows, {"outcome": "dns"}])
    return dataset


def sharded(store: Store, recipe: Recipe, name: str = "default") -> list[int]:
    select.run(recipe, store, Serial(), name)
    return [marker.rows for marker in shard.run(recipe, store, Serial(), name)]


def members(store: Store, name: str) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(store.read(name))) as tar:
        files = []
        for member in tar:
            body = tar.extractfile(member)
            assert body is not None
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            files.append((member.name, body.read()))
        return files


def test_survivors_are_cut_into_shards_with_their_sizes(store: Store) -> None:
    assert sharded(store, recipe(samples=3)) == [3, 3, 1]
    sizes = json.loads(store.read("shards/default/sizes.json"))
    assert sizes == {"00000.tar": 3, "00001.tar": 3, "00002.tar": 1}
    files = {path for path, _, _ in store.list("shards/default")}
    assert {path for path in files if "/members/" not in path} == {
        f"shards/default/{name}" for name in [*sizes, "sizes.json", "manifest.parquet", "done.json"]
    }


def test_a_sample_is_image_text_and_json_under_its_uid(store: Store) -> None:
    sharded(store, recipe(samples=10))
    files = members(store, "shards/default/00000.tar")
    uids = [name.partition(".")[0] for name, _ in files]
    assert uids[::3] == uids[1::3] == uids[2::3]
    assert [name.partition(".")[2] for name, _ in files[:3]] == ["jpg", "json", "txt"]
    by_name = dict(files)
    hostile = f"{2:032x}"
    assert by_name[f"{hostile}.txt"].decode() == HOSTILE
    content = json.loads(by_name[f"{hostile}.json"])
    assert (content["uid"], content["text"], content["sharpness"]) == (hostile, HOSTILE, 0.1)
    assert not {"fetch_ms", "image_file", "row", "outcome", "host", "url_hash"} & set(content)
    for name, body in files:
        if name.endswith(".jpg"):
            with Image.open(io.BytesIO(body)) as image:
                assert image.size == (24, 16)


def test_the_caption_may_be_cleaned_and_the_original_stays_beside_it(
    tmp_path: Path, put_gathered: PutGathered
) -> None:
    dataset = Store.at(tmp_path)
    texts = [" a&nbsp;dog<br>runs ", "<br>", HOSTILE]
    rows = images(dataset, len(texts))
    put_gathered(dataset, [row | {"text": text} for row, text in zip(rows, texts, strict=True)])
    sharded(dataset, recipe(text="cleaned"))
    files = dict(members(dataset, "shards/default/00000.tar"))
    captions = [files[f"{row:032x}.txt"].decode() for row in range(3)]
    assert captions[:2] == ["a dog runs", "<br>"]  # where nothing would be left, the original
    assert captions[2].startswith("NUL , , '; DROP TABLE ledger; --, rtl, \N{GRINNING FACE} xxx")
    assert [json.loads(files[f"{row:032x}.json"])["text"] for row in range(3)] == texts


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_personal_data_may_be_masked(tmp_path: Path, put_gathered: PutGathered, mix: str) -> None:
    dataset = Store.at(tmp_path)
    (row,) = images(dataset, 1)
    put_gathered(dataset, [row | {"text": "write to&nbsp;a.b@example.org"}])
    sharded(dataset, recipe(text="cleaned", personal_data="mask", mix=mix))
    files = dict(members(dataset, "shards/default/00000.tar"))
    assert files[f"{0:032x}.txt"] == b"write to [email]"
    assert json.loads(files[f"{0:032x}.json"])["text"] == "write to&nbsp;[email]"


def test_scores_of_further_models_follow_the_main_ones() -> None:
    named = {column.name: column.in_sample for column in scores_of(["l14"])}
    assert (named["nsfw_l14"], named["minor_safety_l14"]) == (True, False)


def test_the_manifest_finds_every_sample_and_checks_every_shard(store: Store) -> None:
    sharded(store, recipe(samples=3))
    with store.reader("shards/default/manifest.parquet") as source:
        rows = pq.read_table(source).to_pylist()
    assert sorted(row["row"] for row in rows) == list(range(7))
    for row in rows:
        body = store.read(f"shards/default/{row['shard']}")
        assert hashlib.sha256(body).hexdigest() == row["shard_sha256"]
        header = tarfile.TarInfo.frombuf(
            body[row["shard_offset"] : row["shard_offset"] + 512], "utf-8", "strict"
        )
        assert header.name == f"{row['uid']}.jpg"


def test_the_order_is_that_of_md5_of_seed_and_uid(store: Store) -> None:
    sharded(store, recipe(samples=10, seed=5))
    names = [name for name, _ in members(store, "shards/default/00000.tar") if "jpg" in name]
    uids = [f"{number:032x}" for number in range(7)]
    by_hash = sorted(uids, key=lambda uid: hashlib.md5(f"5:{uid}".encode()).hexdigest())
    assert names == [f"{uid}.jpg" for uid in by_hash]


def test_doing_it_again_does_nothing(store: Store) -> None:
    sharded(store, recipe())
    before = list(store.list())
    assert sharded(store, recipe()) == []
    assert list(store.list()) == before


def test_a_killed_packing_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    sharded(store, recipe(), "undisturbed")
    select.run(recipe(), store, Serial(), "default")
    running = shard.run(recipe(), store, Serial(), "default")
    next(running)
    running.close()
    first = (tmp_path / "shards/default/00000.tar").stat()
    assert [marker.rows for marker in shard.run(recipe(), store, Serial(), "default")] == [3, 3, 1]
    assert (tmp_path / "shards/default/00000.tar").stat().st_mtime_ns == first.st_mtime_ns
    for tar in ("00000.tar", "00001.tar", "00002.tar"):
        assert store.read(f"shards/default/{tar}") == store.read(f"shards/undisturbed/{tar}")


def test_a_smaller_selection_leaves_no_old_shard(store: Store) -> None:
    sharded(store, recipe(samples=3))
    few = ({"where": "row < 2"},)
    assert sharded(store, recipe(samples=3, keep=few)) == [2]
    tars = [path for path, _, _ in store.list("shards/default") if path.endswith(".tar")]
    assert tars == ["shards/default/00000.tar"]


def test_shards_of_an_older_selection_are_not_those_of_the_new_one(store: Store) -> None:
    sharded(store, recipe())
    assert current_shards(store, "default") is not None
    select.run(recipe(keep=({"where": "row < 2"},)), store, Serial(), "default")
    assert current_shards(store, "default") is None


def test_no_survivors_make_no_shards(store: Store) -> None:
    assert sharded(store, recipe(keep=({"where": "false"},))) == []
    assert json.loads(store.read("shards/default/sizes.json")) == {}


def test_webdataset_reads_what_was_kept(store: Store, tmp_path: Path) -> None:
    import webdataset

    sharded(store, recipe(samples=10))
    path = str(tmp_path / "shards/default/00000.tar")
    samples = list(webdataset.WebDataset(path, shardshuffle=False).decode("pil"))
    assert len(samples) == 7
    assert all(sample["jpg"].size == (24, 16) for sample in samples)
    assert HOSTILE in [sample["txt"] for sample in samples]


def test_a_shard_has_the_bytes_of_webdatasets_own_writer(store: Store, tmp_path: Path) -> None:
    from webdataset import TarWriter

    sharded(store, recipe(samples=10))
    written, again = (tmp_path / "shards/default/00000.tar").read_bytes(), io.BytesIO()
    samples: dict[str, dict[str, str | bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(written)) as tar:
        for member in tar:
            key, _, extension = member.name.partition(".")
            body = tar.extractfile(member)
            assert body is not None
            samples.setdefault(key, {"__key__": key})[extension] = body.read()
    writer = TarWriter(again, encoder=False, mtime=0)
    for sample in samples.values():
        writer.write(sample)
    writer.close()
    assert (len(samples), again.getvalue() == written) == (7, True)


def test_shards_need_a_selection(store: Store) -> None:
    with pytest.raises(BadOption, match="no selection `other` yet"):
        list(shard.run(recipe(), store, Serial(), "other"))
