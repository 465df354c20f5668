"""Indexes for loaders: what wids and Megatron-Energon read by them is what the manifest lists."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import gc, verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial

Packed = Callable[..., Store]
SPLIT = {"val": 0.25}
DONE = "shards/default/done.json"


def listed(store: Store, part: str) -> list[str]:
    data = store.read(f"shards/default/{part}manifest.parquet")
    uids: list[str] = pq.read_table(io.BytesIO(data))["uid"].to_pylist()
    return uids


def contents(store: Store) -> dict[str, bytes]:
    return {path: store.read(path) for path, _, _ in store.list("shards")}


def but_for_attempts(store: Store) -> dict[str, bytes]:
    """Return all but the marker and the rows in shards, which each attempt names in its own way."""
    found = contents(store).items()
    return {
        path: data
        for path, data in found
        if not path.endswith("/done.json") and "/members/" not in path
    }


@pytest.mark.parametrize("part", ["train/", "val/"])
def test_wids_reads_what_the_manifest_lists(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    from wids import ShardListDataset

    packed(samples=4, index=["wids"], split=SPLIT)
    folder = tmp_path / "dataset/shards/default" / part
    cache = tmp_path / "cache"
    dataset = ShardListDataset(str(folder / "index.json"), cache_dir=str(cache), keep=True)
    read = [dataset[number] for number in range(len(dataset))]
    assert [sample["__key__"] for sample in read] == listed(Store.at(tmp_path / "dataset"), part)


@pytest.mark.parametrize("split", [{}, SPLIT])
def test_energon_reads_what_the_manifest_lists(packed: Packed, split: dict[str, float]) -> None:
    store = packed(samples=4, index=["energon"], split=split)
    for part in ["train", *split]:
        samples = read_by_energon(store, part)
        listed_ = listed(store, f"{part}/" if split else "")
        assert sorted(sample.__key__ for sample in samples) == sorted(listed_)
        for sample in samples:
            row = int(sample.__key__, 16)
            assert (sample.caption, sample.image.shape) == (f"pair {row}", (3, 9, row + 8))


def read_by_energon(store: Store, part: str) -> list[Any]:
    from megatron.energon import TaskEncoder, WorkerConfig, get_loader, get_val_dataset

    class Unbatched(TaskEncoder):  # type: ignore[misc]
        def batch(self, samples: list[Any]) -> list[Any]:
            return samples

    alone = WorkerConfig(rank=0, world_size=1, num_workers=0)
    path = f"{store.local}/shards/default"
    dataset = get_val_dataset(
        path, split_part=part, worker_config=alone, batch_size=1, task_encoder=Unbatched()
    )
    return [sample for batch in get_loader(dataset) for sample in batch]


def test_an_index_of_energon_is_what_its_own_writer_writes(packed: Packed) -> None:
    from megatron.energon.epathlib import EPath
    from megatron.energon.flavors.webdataset.prepare import WebdatasetPreparator

    store = packed(samples=4, index=["energon"])
    ours = contents(store)
    folder = EPath(f"{store.local}/shards/default")
    list(WebdatasetPreparator._preprocess_tar("00000.tar", {"00000.tar": 0}, folder, 9))
    assert contents(store) == ours


def test_another_index_packs_nothing_again(packed: Packed, put_plan: Callable[..., None]) -> None:
    plain = packed(samples=4)
    put_plan(plain)
    before = versions(plain)
    both = versions(packed(samples=4, index=["wids", "energon"]))
    added = {path for path in both if path not in before}
    assert {path: both[path] for path in before if path != DONE} == {
        path: version for path, version in before.items() if path != DONE
    }
    assert len(added) == 1 + 3 + 10  # of wids, of Energon, of Energon for each shard
    assert [found for one in verify.run(plain, Serial()) for found in one.findings] == []
    assert gc.run(plain, 0) == []
    assert contents(packed(samples=4)).keys() == before.keys()


def test_a_changed_index_is_found(packed: Packed, put_plan: Callable[..., None]) -> None:
    store = packed(samples=4, index=["wids", "energon"])
    put_plan(store)
    for path in ("index.json", "00001.tar.idx", ".nv-meta/split.yaml"):
        whole = store.read(f"shards/default/{path}")
        store.write(f"shards/default/{path}", whole[:-1] + b"~")
        found = [found.path for one in verify.run(store, Serial()) for found in one.findings]
        assert found == [f"shards/default/{path}"]
        store.write(f"shards/default/{path}", whole)


@pytest.mark.parametrize(
    "tasks", [13, 20]
)  # of 2 that sort, 10 that pack, 1 that lists members, 10 that index
def test_killed_while_it_indexes_it_goes_on(
    packed: Packed, dying: Callable[[int], Engine], tasks: int
) -> None:
    whole = but_for_attempts(packed(samples=4, index=["energon"]))
    packed(samples=5)
    with pytest.raises(KeyboardInterrupt):
        packed(dying(tasks), samples=4, index=["energon"])
    assert but_for_attempts(packed(samples=4, index=["energon"])) == whole


def versions(store: Store) -> dict[str, str]:
    return {path: version for path, _, version in store.list("shards")}
