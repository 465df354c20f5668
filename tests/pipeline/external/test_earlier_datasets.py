from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import gc, group, select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import SUPERSEDED
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.external import earlier_datasets, hash_file
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.schemas.columns import GATHERED, PERCEPTUAL_HASH, SHA256, UID, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

Row = dict[str, Any]
Put = Callable[[Store, list[Row]], None]
PutPlan = Callable[[Store], None]
SHA = {letter: letter * 64 for letter in "abcdef0123456789"}


def image(uid: str, sha256: str | None, perceptual_hash: int | None, **more: Any) -> Row:
    sha = None if sha256 is None else SHA[sha256]
    return {"uid": uid, "sha256": sha, "perceptual_hash": perceptual_hash, **more}


def recipe(*datasets: Path | str, **options: Any) -> Recipe:
    known = {"datasets": list(map(str, datasets)), **options}
    keep: list[Row] = [] if options.get("keep") == "newer" else [{"known": {}}]
    return Recipe.model_validate({"input": {"path": "p.parquet"}, "known": known, "keep": keep})


def file_of(path: Path, rows: list[Row]) -> Path:
    columns = (UID, SHA256, PERCEPTUAL_HASH)
    schema = pa.schema([(c.name, c.type) for c in columns])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def known_images(store: Store) -> dict[str, tuple[Any, ...]]:
    """Return known_in, known_uid and known_distance of what is known, by uid."""
    with connect(store) as connection:
        attach(connection, store)
        rows = connection.execute(
            "SELECT uid, known_in, known_uid, known_distance FROM ledger WHERE known_in IS NOT NULL"
        ).fetchall()
    return {uid: tuple(rest) for uid, *rest in rows}


def grouped(store: Store, deduplicated: Recipe) -> Marker:
    return group.run(deduplicated, store, Serial())


def test_same_file_or_near_hash_is_known(tmp_path: Path, put_gathered: Put) -> None:
    older, newer = Store.at(tmp_path / "older"), Store.at(tmp_path / "newer")
    put_gathered(older, [image("o1", "a", 0), image("o2", "b", 0xFFFF0000)])
    put_gathered(
        newer,
        [
            image("n1", "a", 0xAAAAAAAAAAAAAAAA),  # the same file, whatever its hash
            image("n2", "c", 0xFFFF000F),  # 4 bits from o2
            image("n3", "d", 0xFFFF001F),  # 5 bits
            image("n4", None, None),
            image("n5", "b", 0xFFFF0000, outcome="timeout_total"),
        ],
    )
    grouped(newer, recipe(older.url))
    assert known_images(newer) == {"n1": (older.url, "o1", 0), "n2": (older.url, "o2", 4)}


def test_the_rule_drops_it_and_the_funnel_says_so(tmp_path: Path, put_gathered: Put) -> None:
    older, newer = Store.at(tmp_path / "older"), Store.at(tmp_path / "newer")
    put_gathered(older, [image("o1", "a", 0)])
    put_gathered(newer, [image("n1", "a", 0), image("n2", "b", 0xFF)])
    deduplicated = recipe(older.url)
    grouped(newer, deduplicated)
    marker = select.run(deduplicated, newer, Serial(), "default")
    assert marker.counts == {"pairs": 2, "failed": 0, "dropped": 1, "kept": 1}
    assert [(step["rule"], step["dropped"]) for step in marker.extra["funnel"]][-1] == ("known", 1)


def test_the_same_file_then_fewer_bits_then_the_earlier_entry_wins(
    tmp_path: Path, put_gathered: Put
) -> None:
    store = Store.at(tmp_path / "newer")
    put_gathered(store, [image("n1", "a", 0), image("n2", "b", 0xF0), image("n3", "c", 0xF00)])
    first = file_of(
        tmp_path / "first.parquet",
        [image("f1", "d", 0b1), image("f2", "d", 0xF1), image("f3", "d", 0xF01)],
    )
    second = file_of(
        tmp_path / "second.parquet",
        [image("s1", "a", None), image("s2", "d", 0xF0), image("s3", "d", 0xF10)],
    )
    grouped(store, recipe(first, second))
    assert known_images(store) == {
        "n1": (str(second), "s1", 0),
        "n2": (str(second), "s2", 0),
        "n3": (str(first), "f3", 1),
    }


def test_only_survivors_of_a_selection_count_if_one_is_named(
    tmp_path: Path, put_gathered: Put
) -> None:
    older, newer = Store.at(tmp_path / "older"), Store.at(tmp_path / "newer")
    put_gathered(older, [image("o1", "a", 0, aspect_ratio=1.0), image("o2", "b", 0xFF)])
    put_gathered(newer, [image("n1", "a", 0), image("n2", "b", 0xFF)])
    plain = Recipe.model_validate({"input": {"path": "p"}, "keep": [{"aspect_ratio": {}}]})
    select.run(plain, older, Serial(), "square")
    grouped(newer, recipe(older.url, selection="square"))
    assert list(known_images(newer)) == ["n1"]
    grouped(newer, recipe(older.url))
    assert list(known_images(newer)) == ["n1", "n2"]


def test_a_file_of_hashes_gives_what_its_dataset_gives(tmp_path: Path, put_gathered: Put) -> None:
    chance = np.random.default_rng(0)
    values = chance.integers(0, 2**64, 300, np.uint64).tolist()
    older, newer = Store.at(tmp_path / "older"), Store.at(tmp_path / "newer")
    put_gathered(older, [image(f"o{n:03}", None, value) for n, value in enumerate(values)])
    put_gathered(
        newer, [image(f"n{n:03}", None, value ^ (1 << n % 64)) for n, value in enumerate(values)]
    )
    grouped(newer, recipe(older.url))
    by_dataset = {uid: rest[1:] for uid, rest in known_images(newer).items()}
    with (tmp_path / "hashes.parquet").open("wb") as sink:
        hash_file.write(older, None, sink)
    grouped(newer, recipe(tmp_path / "hashes.parquet"))
    assert {uid: rest[1:] for uid, rest in known_images(newer).items()} == by_dataset
    assert by_dataset == {f"n{n:03}": (f"o{n:03}", 1) for n in range(300)}


def test_how_many_are_searched_together_changes_nothing(
    tmp_path: Path, put_gathered: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).integers(0, 2**10, 160, np.uint64).tolist()
    earlier = [image(f"k{n}", "0123456789"[n % 10], v) for n, v in enumerate(values[:80])]
    store, path = Store.at(tmp_path / "newer"), file_of(tmp_path / "h.parquet", earlier)
    put_gathered(store, [image(f"n{n:03}", "a", value) for n, value in enumerate(values[80:])])
    grouped(store, recipe(path, max_distance=3))
    whole = known_images(store)
    monkeypatch.setattr(earlier_datasets, "ROWS_AT_ONCE", 7)
    grouped(store, recipe(path, max_distance=3, selection="another fingerprint"))
    assert known_images(store) == whole
    assert len(whole) > 40


def superseded(store: Store) -> list[tuple[Any, ...]]:
    table = pq.read_table(store.location(SUPERSEDED))
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("at_once", [1, 100])
def test_newer_lists_every_superseded_image_with_what_it_gives_way_to(
    tmp_path: Path,
    put_gathered: Put,
    put_plan: PutPlan,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    monkeypatch.setattr(earlier_datasets, "ROWS_AT_ONCE", at_once)
    older, newer = Store.at(tmp_path / "older"), Store.at(tmp_path / "newer")
    put_gathered(older, [image("o1", "a", 0), image("o2", "b", 0b1), image("o3", "c", 0xFFFF)])
    put_gathered(newer, [image("n1", "d", 0), image("n2", "e", 0b11)])
    deduplicated = recipe(older.url, keep="newer")
    grouped(newer, deduplicated)
    assert superseded(newer) == [(older.url, "o1", "n1", 0), (older.url, "o2", "n1", 1)]
    assert select.run(deduplicated, newer, Serial(), "default").counts["kept"] == 2
    put_plan(newer)
    assert gc.run(newer, 0) == []
    grouped(newer, recipe(older.url))
    assert not newer.exists(SUPERSEDED)


def test_run_again_does_nothing_and_a_changed_file_is_read_again(
    tmp_path: Path, put_gathered: Put
) -> None:
    store, path = Store.at(tmp_path / "newer"), file_of(tmp_path / "h.parquet", [])
    put_gathered(store, [image("n1", "a", 0)])
    first = grouped(store, recipe(path))
    assert grouped(store, recipe(path)) == first
    assert known_images(store) == {}
    file_of(path, [image("k", "a", 0)])
    assert grouped(store, recipe(path)) != first
    assert list(known_images(store)) == ["n1"]


def test_a_grown_dataset_is_read_again(tmp_path: Path, put_gathered: Put) -> None:
    older, newer = Store.at(tmp_path / "older"), Store.at(tmp_path / "newer")
    put_gathered(older, [image("o1", "b", 0xFF)])
    put_gathered(newer, [image("n1", "a", 0)])
    grouped(newer, recipe(older.url))
    assert known_images(newer) == {}
    more = {"row": 1, "retry_layer": 0, "outcome": "ok", **image("o2", "a", 0)}
    path = "gather/00000001.more.parquet"
    with older.writer(path) as sink:
        pq.write_table(pa.Table.from_pylist([more], arrow_schema(GATHERED)), sink)
    commit(older, "gather/00000001.json", Marker(1, {path: sink.entry()}))
    grouped(newer, recipe(older.url))
    assert known_images(newer) == {"n1": (older.url, "o2", 0)}


def test_datasets_and_files_may_lie_in_an_object_store(s3: str, put_gathered: Put) -> None:
    older, other = Store.at(f"{s3}/older"), Store.at(f"{s3}/other")
    put_gathered(older, [image("o1", "a", 0)])
    put_gathered(other, [image("o2", "b", 0xFF)])
    with Store.at(s3).writer("shared/hashes.parquet") as sink:
        hash_file.write(other, None, sink)
    newer = Store.at(f"{s3}/newer")
    put_gathered(newer, [image("n1", "a", 0xF0F0), image("n2", "c", 0xFE)])
    file = f"{s3}/shared/hashes.parquet"
    grouped(newer, recipe(older.url, file, keep="newer"))
    assert known_images(newer) == {"n1": (older.url, "o1", 0), "n2": (file, "o2", 1)}
    assert newer.exists(SUPERSEDED)


def test_select_refuses_what_group_has_not_compared(tmp_path: Path, put_gathered: Put) -> None:
    store, path = Store.at(tmp_path / "newer"), file_of(tmp_path / "h.parquet", [])
    put_gathered(store, [image("n1", "a", 0)])
    grouped(store, Recipe.model_validate({"input": {"path": "p"}}))
    with pytest.raises(BadOption, match="known_in, .* run `pairsieve group` with it first"):
        select.run(recipe(path), store, Serial(), "default")
    grouped(store, recipe(path))
    assert select.run(recipe(path), store, Serial(), "default").counts["kept"] == 1
    with pytest.raises(BadOption, match="run `pairsieve group`"):
        select.run(recipe(path, max_distance=3), store, Serial(), "default")


def refusal(deduplicated: Recipe, store: Store | None = None) -> str:
    assert deduplicated.known is not None
    with pytest.raises(BadOption) as refused:
        earlier_datasets.check(deduplicated.known, store)
    return str(refused.value)


def test_what_is_not_there_is_refused(tmp_path: Path, put_gathered: Put) -> None:
    assert "none.parquet: no such file" in refusal(recipe(tmp_path / "none.parquet"))
    assert "neither a dataset" in refusal(recipe(tmp_path / "none"))
    store = Store.at(tmp_path / "older")
    put_gathered(store, [image("o", "a", 0)])
    assert "no selection `strict`" in refusal(recipe(store.url, selection="strict"))
    assert "is the dataset being made" in refusal(recipe(store.url), store)
    assert "is listed twice" in refusal(recipe(store.url, store.url))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"perceptual_hash": pa.array([1], pa.uint64())}), "no column `uid`"),
        (pa.table({"uid": ["a"]}), "no column `perceptual_hash`"),
        (
            pa.table({"uid": ["a"], "perceptual_hash": [1]}),
            "`perceptual_hash` must be uint64, is int64",
        ),
        (
            pa.table({"uid": [1], "perceptual_hash": pa.array([1], pa.uint64())}),
            "`uid` must be string, is int64",
        ),
    ],
)
def test_a_file_with_other_columns_is_refused(tmp_path: Path, table: pa.Table, reason: str) -> None:
    pq.write_table(table, tmp_path / "h.parquet")
    assert f"known.datasets: {tmp_path}/h.parquet: {reason}" in refusal(
        recipe(tmp_path / "h.parquet")
    )


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "h.parquet").write_bytes(b"no")
    assert "not a readable Parquet file" in refusal(recipe(tmp_path / "h.parquet"))


def test_a_sha256_that_is_none_is_refused(tmp_path: Path, put_gathered: Put) -> None:
    store = Store.at(tmp_path / "newer")
    put_gathered(store, [image("n1", "a", 0)])
    path = file_of(tmp_path / "h.parquet", [{"uid": "k", "sha256": "a" * 63}])
    with pytest.raises(BadOption, match="`sha256` must be 64 hex digits, got 'aaa"):
        grouped(store, recipe(path))
