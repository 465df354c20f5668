"""Training and validation: who goes where, what each reader finds there, and what is refused."""

import hashlib
import io
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from pydantic import ValidationError

from pairsieve.pipeline import verify
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import PLAN_FILE
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.unit import plan_file
from pairsieve.schemas.columns import GROUPED, ROW, arrow_schema
from pairsieve.schemas.recipe_shard import Shard

Packed = Callable[..., Store]
SURVIVORS = [f"{row:032x}" for row in range(40) if row != 5]
KEEPER = f"{7:032x}"
KEEPER_OF = {f"{row:032x}": KEEPER for row in (3, 21)}


def side(uid: str, seed: int = 0) -> str:
    """Return where a pair belongs with a fifth to test and a quarter to validate."""
    hashed = hashlib.md5(f"{seed}:part:{KEEPER_OF.get(uid, uid)}".encode()).hexdigest()
    share = int(hashed[:16], 16) / 2**64
    return "test" if share < 0.2 else "val" if share < 0.45 else "train"


def manifest(store: Store, part: str) -> list[dict[str, Any]]:
    data = store.read(f"shards/default/{part}/manifest.parquet")
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows


def read_by_webdataset(store: Store, part: str) -> list[str]:
    tars = sorted(Path(store.url.removeprefix("file://"), "shards/default", part).glob("*.tar"))
    dataset = webdataset.WebDataset([str(tar) for tar in tars], shardshuffle=False)
    return [sample["__key__"] for sample in dataset]


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_every_part_has_its_pairs_and_its_own_listing(packed: Packed, mix: str) -> None:
    store = packed(samples=4, mix=mix, split={"val": 0.25, "test": 0.2})
    for part in ("train", "val", "test"):
        expected = {uid for uid in SURVIVORS if side(uid) == part}
        listed = manifest(store, part)
        assert {row["uid"] for row in listed} == expected != set()
        assert read_by_webdataset(store, part) == [row["uid"] for row in listed]
        sizes = json.loads(store.read(f"shards/default/{part}/sizes.json"))
        assert list(sizes.values()) == [
            len(list(rows)) for _, rows in itertools.groupby(row["shard"] for row in listed)
        ]
        assert {row["shard"] for row in listed} == {f"{part}/{name}" for name in sizes}


def test_copies_are_on_the_side_of_their_keeper(packed: Packed) -> None:
    for seed in range(4):
        store = packed(seed=seed, keep="row IN (3, 7, 21, 22, 23)", split={"val": 0.5})
        parts = [{row["uid"] for row in manifest(store, part)} for part in ("train", "val")]
        copies = {KEEPER, *KEEPER_OF}
        assert sum(copies <= part for part in parts) == 1
        assert sum(bool(copies & part) for part in parts) == 1


def test_the_ledger_says_in_which_part_a_pair_is(packed: Packed) -> None:
    store = packed(samples=4, split={"val": 0.25, "test": 0.2})
    with connect(store) as connection:
        attach(connection, store, selection="default")
        query = "SELECT uid, split_part(shard, '/', 1) FROM ledger WHERE shard IS NOT NULL"
        found = dict(connection.execute(query).fetchall())
    assert found == {uid: side(uid) for uid in SURVIVORS}


def test_verify_finds_what_is_wrong_in_a_part(
    packed: Packed, put_plan: Callable[[Store], None]
) -> None:
    store = packed(samples=4, split={"val": 0.25})
    put_plan(store)
    assert [found for one in verify.run(store, Serial()) for found in one.findings] == []
    path = "shards/default/val/sizes.json"
    store.write(path, store.read(path).replace(b"00000", b"00009"))
    found = [found.wrong for one in verify.run(store, Serial(), None) for found in one.findings]
    assert {"it lists 00009.tar, which is no shard", "it does not list 00000.tar"} <= set(found)


@pytest.mark.parametrize("tasks", [2, 5])
def test_packing_goes_on_where_it_was_killed(
    packed: Packed, dying: Callable[[int], Engine], tasks: int
) -> None:
    whole = shards_in(packed(samples=4, split={"val": 0.25}))
    packed(samples=5)
    with pytest.raises(KeyboardInterrupt):
        packed(dying(tasks), samples=4, split={"val": 0.25})
    assert shards_in(packed(samples=4, split={"val": 0.25})) == whole


def test_without_parts_no_folder_of_one_stays(packed: Packed) -> None:
    plain = shards_in(packed(samples=4))
    packed(samples=4, split={"val": 0.25})
    assert shards_in(packed(samples=4)) == plain
    assert [name for name in plain if "/" in name] == []


def shards_in(store: Store) -> dict[str, bytes]:
    """Return all but the marker and the rows in shards, which each attempt names in its own way."""
    found = contents(store).items()
    return {name: data for name, data in found if name != "done.json" and "members/" not in name}


def contents(store: Store) -> dict[str, bytes]:
    folder = "shards/default/"
    names = [path.removeprefix(folder) for path, _, _ in store.list(folder[:-1])]
    return {name: store.read(folder + name) for name in names}


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"train": 0.9}, "split: `train` is what the others leave"),
        ({"val": 0.5, "test": 0.5}, "the shares must add to less than 1"),
        ({"parts": 0.1}, "split: `parts` is a folder of its own"),
        ({"members": 0.1}, "split: `members` is a folder of its own"),
        ({"Val": 0.1}, "split: `Val` is no name"),
        ({"val": 0}, "greater than 0"),
    ],
)
def test_parts_that_cannot_be_are_refused(split: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Shard.model_validate({"split": split})


def test_shares_are_taken_as_they_are_written() -> None:
    tenths = {f"p{number}": 0.1 for number in range(9)}
    assert Shard.model_validate({"split": tenths}).split == tenths


def test_a_pair_whose_keeper_is_found_later_leaves_its_part_and_is_packed_in_the_other(
    packed: Packed, put_plan: Callable[[Store], None]
) -> None:
    store = packed(samples=4, split={"val": 0.25})
    train, val = ({row["uid"] for row in manifest(store, part)} for part in ("train", "val"))
    moved, keeper = max(train - {KEEPER, *KEEPER_OF}), max(val - {KEEPER, *KEEPER_OF})
    before = {path: data for path, data in contents(store).items() if path.endswith(".tar")}
    (held,) = [row["shard"] for row in manifest(store, "train") if row["uid"] == moved]
    put_plan(store)
    grown = replace(plan_file.read(store), units=[[(0, 0, 1)]])  # more than there were
    store.write(PLAN_FILE, grown.dumps())
    marker, group = store.marker("group/done.json"), "group/000000000000.parquet"
    assert marker
    rows = pq.read_table(io.BytesIO(store.read(group))).to_pylist()
    rows[int(moved, 16)]["duplicate_of"] = keeper
    with store.writer(group) as sink:
        pq.write_table(pa.Table.from_pylist(rows, arrow_schema((ROW, *GROUPED))), sink)
    store.write(
        "group/done.json",
        Marker(40, {group: sink.entry()}, {}, {"fingerprint": "1"}).dumps(),
    )
    after = contents(packed(samples=4, split={"val": 0.25}))
    assert {row["uid"] for row in manifest(store, "train")} == train - {moved}
    assert {row["uid"] for row in manifest(store, "val")} == val | {moved}
    assert {path for path, data in before.items() if after[path] != data} == {held}
