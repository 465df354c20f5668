"""Shards of so many bytes: cut where they would be if all were one file, in any partitions."""

import io
import itertools
from collections.abc import Callable

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pairsieve.pipeline import select, shard
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_shard import Shard

Packed = Callable[..., Store]
SIZE = 20_000


def samples(store: Store) -> dict[str, list[tuple[str, int]]]:
    """Return uid and bytes of the samples of each shard, in order."""
    rows = pq.read_table(io.BytesIO(store.read("shards/default/manifest.parquet"))).to_pylist()
    found = {}
    for name, of in itertools.groupby(rows, lambda row: str(row["shard"])):
        listed = list(of)
        tar = store.read(f"shards/default/{name}").rstrip(b"\0")
        begins = [row["shard_offset"] for row in listed]
        ends = [*begins[1:], -(-len(tar) // 512) * 512]
        sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
        found[name] = list(zip((row["uid"] for row in listed), sizes, strict=True))
    return found


def test_a_sample_goes_by_where_it_would_begin_in_one_file(packed: Packed) -> None:
    whole = samples(packed(samples=100))["00000.tar"]
    begins = itertools.accumulate((size for _, size in whole), initial=0)
    expected = [
        [uid for _, (uid, _) in of]
        for _, of in itertools.groupby(
            zip(begins, whole, strict=False), lambda sample: sample[0] // SIZE
        )
    ]
    cut = samples(packed(by="bytes", bytes=SIZE))
    assert [[uid for uid, _ in of] for of in cut.values()] == expected
    assert len(expected) > 3


def test_partitions_leave_no_trace(packed: Packed) -> None:
    store = packed(by="bytes", bytes=SIZE)
    every = [path for path, _, _ in store.list("shards")]
    tars = {path: store.read(path) for path in every if path.endswith(".tar")}
    content = {"input": {"path": "p"}, "keep": [{"where": "row <> 5"}]}
    recipe = Recipe.model_validate(content | {"shard": {"by": "bytes", "bytes": SIZE}})
    store.delete(every)
    select.run(recipe, store, Serial(), "default")
    list(shard.run(recipe, store, Serial(), "default", partition=7))
    assert {path: store.read(path) for path in tars} == tars


def test_windows_have_as_many_shards_as_that_takes(packed: Packed) -> None:
    counts = [len(of) for of in samples(packed(mix="window", by="bytes", bytes=SIZE)).values()]
    assert sum(counts) == 39
    assert max(counts) - min(counts) <= 1
    # 39 images of some hundred bytes, each with a guess of 4,096 for the rest.
    assert len(counts) in range(39 * 4096 // SIZE, 39 * 5200 // SIZE + 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bytes": 20_000}, "bytes is not what shards are cut by: samples"),
        ({"by": "bytes", "samples": 5}, "samples is not what shards are cut by: bytes"),
        ({"by": "bytes", "bytes": 10}, "greater than or equal to 10240"),
    ],
)
def test_two_sizes_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Shard.model_validate(options)
