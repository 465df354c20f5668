"""The step of `group` that finds what shows the same, over real task slices of vectors."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pairsieve.filters.semantic_duplicate import SemanticDuplicate
from pairsieve.pipeline import group
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import semantic, semantic_rounds, semantic_settle
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger.rules import rules
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.schemas.columns import EMBEDDED, GATHERED, ROW, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

MODEL = {"model": "ViT-B-32", "pretrained": "openai"}
Vectors = NDArray[np.float16]


def recipe(*keep: dict[str, Any], **options: Any) -> Recipe:
    """Return a recipe with the rule, with these options, and other rules."""
    asked = [*keep, {"semantic_duplicate": options}]
    return Recipe.model_validate({"input": {"path": "p.parquet"}, "embed": MODEL, "keep": asked})


def put(store: Store, rows: list[dict[str, Any]], vectors: Vectors, slice_name: int = 50) -> None:
    """Commit pairs and their vectors, `task slice` to a task slice, as `gather` and `embed` do."""
    for low in range(0, len(rows), slice_name):
        given = [
            {
                "row": low + number,
                "uid": f"{low + number:04d}",
                "retry_layer": 0,
                "outcome": "ok",
                "sha256": f"f{low + number}",
                "perceptual_hash": (low + number) * 0x9E3779B97F4A7C15 % 2**64,
                "width": 100,
                "height": 100,
            }
            | row
            for number, row in enumerate(rows[low : low + slice_name])
        ]
        there = [number for number, row in enumerate(given) if row["outcome"] == "ok"]
        own = [given[number]["row"] for number in there]
        table = pa.Table.from_pylist(given, arrow_schema(GATHERED))
        name = f"{low // slice_name:08d}"
        put_files(store, f"gather/{name}", {".parquet": table}, {"ok": len(there)})
        kind = pa.list_(pa.float16(), vectors.shape[1])
        flat = pa.array(vectors[low + np.array(there, int)].reshape(-1))
        made = pa.table(
            {"row": own, "image_embedding": pa.FixedSizeListArray.from_arrays(flat, type=kind)}
        )
        scores = [{"row": row, "clip_similarity": 0.3} for row in own]
        files = {
            ".scores.parquet": pa.Table.from_pylist(scores, arrow_schema((ROW, *EMBEDDED))),
            ".vectors.parquet": made,
        }
        model = recipe().embed
        assert model is not None
        put_files(store, f"embed/{model_folder(model)}/{name}", files, {"embedded": len(own)})


def put_files(
    store: Store, place: str, tables: dict[str, pa.Table], counts: dict[str, int]
) -> None:
    files = {}
    for suffix, table in tables.items():
        with store.writer(f"{place}.x{suffix}") as sink:
            pq.write_table(table, sink)
        files[f"{place}.x{suffix}"] = sink.entry()
    commit(store, f"{place}.json", Marker(sum(counts.values()), files, counts))


def clustered(count: int, seed: int = 0, width: int = 32) -> Vectors:
    """Return vectors around a few directions, so that many are near to another."""
    generator = np.random.default_rng(seed)
    topics = generator.normal(size=(count // 10, width))
    made = topics[generator.integers(0, len(topics), count)]
    made = made + 0.22 * generator.normal(size=(count, width))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float16)


def at(*degrees: float) -> Vectors:
    oriented = np.radians(degrees)
    return np.stack((np.cos(oriented), np.sin(oriented)), axis=1).astype(np.float16)


def found(store: Store) -> dict[str, tuple[str, float]]:
    """Return uid -> uid kept, cosine, as committed."""
    marker = store.marker(GROUP_MARKER)
    assert marker is not None
    table = pa.concat_tables(pq.read_table(store.reader(name)) for name in sorted(marker.files))
    return {
        f"{row['row']:04d}": (row["semantic_of"], row["semantic_cosine"])
        for row in table.to_pylist()
        if row["semantic_of"] is not None
    }


def grouped(store: Store, asked: Recipe) -> dict[str, tuple[str, float]]:
    group.run(asked, store, Serial())
    return found(store)


def both_stay(gone: Iterable[str], vectors: Vectors, min_cosine: float) -> int:
    """Return how many near pairs are left after those gone."""
    stay = np.setdiff1d(np.arange(len(vectors)), [int(uid) for uid in gone])
    wide = vectors[stay].astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return int(np.triu(wide @ wide.T >= min_cosine, 1).sum())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "dataset")


def test_of_images_that_show_the_same_the_one_with_most_pixels_is_kept(store: Store) -> None:
    put(store, [{}, {"width": 200}, {}, {}], at(0, 5, 90, 10))
    gone = grouped(store, recipe())
    assert {uid: kept for uid, (kept, _) in gone.items()} == {"0000": "0001", "0003": "0001"}
    assert gone["0000"][1] == pytest.approx(np.cos(np.radians(5)), abs=1e-3)


def test_the_marker_counts_what_goes_and_no_task_is_left(store: Store) -> None:
    put(store, [{}, {}, {}], at(0, 5, 90))
    assert group.run(recipe(), store, Serial()).counts["semantic"] == 1
    assert not list(store.list("group/near"))


def test_without_the_rule_nothing_is_searched(store: Store) -> None:
    put(store, [{}, {}], at(0, 0))
    asked = Recipe.model_validate({"input": {"path": "p.parquet"}, "embed": MODEL})
    assert group.run(asked, store, Serial()).counts["semantic"] == 0
    assert found(store) == {}


def test_the_threshold_is_the_recipes(store: Store) -> None:
    put(store, [{}, {}], at(0, 20))  # cos 20 degrees = 0.940
    assert grouped(store, recipe(min_cosine=0.95)) == {}
    assert set(grouped(store, recipe(min_cosine=0.93))) == {"0001"}


def test_pairs_without_an_image_and_repeated_ones_take_no_part(store: Store) -> None:
    rows: list[dict[str, Any]] = [{"outcome": "dns", "sha256": None}, {}, {"uid": "0001"}, {}]
    put(store, rows, at(0, 0, 0, 3))
    assert {uid: kept for uid, (kept, _) in grouped(store, recipe()).items()} == {"0003": "0001"}


def test_a_copy_stands_for_nothing_if_copies_are_dropped(store: Store) -> None:
    # 0 and 1 have one file; 1 has less pixels. 2 is near to 1 alone.
    rows: list[dict[str, Any]] = [{"sha256": "f"}, {"sha256": "f", "width": 50}, {"width": 40}]
    put(store, rows, at(0, 60, 65))
    assert grouped(store, recipe({"duplicate": {}})) == {}
    assert {uid: kept for uid, (kept, _) in grouped(store, recipe()).items()} == {"0002": "0001"}


def test_a_pool_without_vectors_has_an_empty_result(store: Store) -> None:
    put(store, [{"outcome": "dns", "sha256": None}], at(0))
    assert grouped(store, recipe()) == {}


def test_one_cluster_leaves_no_near_pair(store: Store) -> None:
    vectors = clustered(600)
    put(store, [{}] * 600, vectors)
    gone = grouped(store, recipe(min_cosine=0.9, clusters=1))
    assert 100 < len(gone) < 590
    assert both_stay(gone, vectors, 0.9) == 0
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    for uid, (kept, cosine) in gone.items():
        assert kept not in gone
        assert cosine == pytest.approx(wide[int(uid)] @ wide[int(kept)], abs=1e-6)
        assert cosine >= 0.9


def test_more_probes_find_more(store: Store) -> None:
    vectors = clustered(3_000, seed=1)
    put(store, [{}] * 3_000, vectors, 500)
    every = both_stay([], vectors, 0.9)
    left = []
    for probes in (1, 2, 4):
        gone = grouped(store, recipe(min_cosine=0.9, clusters=60, probes=probes))
        assert not any(kept in gone for kept, _ in gone.values())
        left.append(both_stay(gone, vectors, 0.9))
    assert every > 5_000
    assert left[0] >= left[1] >= left[2]
    assert left[1] < 0.05 * every


def test_neither_pieces_nor_blocks_nor_tasks_nor_the_engine_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray: Engine
) -> None:
    vectors = clustered(2_000, seed=2)
    asked = recipe(min_cosine=0.9, clusters=20)
    one, other = Store.at(tmp_path / "one"), Store.at(tmp_path / "other")
    for store in (one, other):
        put(store, [{}] * 2_000, vectors, 250)
    group.run(asked, one, ray)
    monkeypatch.setattr(semantic, "SCATTERED", 250)
    monkeypatch.setattr(semantic, "SEARCHED", 300)
    monkeypatch.setattr(semantic_rounds, "SETTLED", 300)
    monkeypatch.setattr(semantic_rounds, "AT_ONCE", 37)
    marker = group.run(asked, other, Serial(), partitions=2, units=3)
    assert marker.counts["semantic"] == len(found(other))
    assert found(one) == found(other)
    assert len(found(one)) > 300


def test_a_search_that_stopped_goes_on_with_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dying: Callable[[int], Engine]
) -> None:
    monkeypatch.setattr(semantic, "SCATTERED", 200)
    monkeypatch.setattr(semantic, "SEARCHED", 300)
    vectors, asked = clustered(1_000, seed=3), recipe(min_cosine=0.9, clusters=10)
    whole, stopped = Store.at(tmp_path / "whole"), Store.at(tmp_path / "stopped")
    for store in (whole, stopped):
        put(store, [{}] * 1_000, vectors, 100)
    wanted = grouped(whole, asked)
    for tasks in (0, 1, 2, 5, 3, 4):  # 1 trains, 5 scatter, 7 search, and others before them
        with pytest.raises(KeyboardInterrupt):
            group.run(asked, stopped, dying(tasks))
    markers = [path for path, _, _ in stopped.list("group/near") if path.endswith(".json")]
    assert len(markers) == 1 + sum((0, 1, 2, 5, 3, 4))  # the first task commits twice
    assert grouped(stopped, asked) == wanted


@pytest.mark.parametrize("of_range", [1, 2, 5])
def test_ranks_are_settled_in_order_by_hand(of_range: int) -> None:
    pairs = pa.table(
        {
            "gone": [3, 2, 2, 4, 1],
            "kept": [2, 1, 0, 3, 0],
            "cosine": pa.array([0.9, 0.91, 0.92, 0.93, 0.94], pa.float32()),
        }
    )
    # 1 goes for 0; 2 cannot go for 1 but for 0; so 3 stays, and 4 goes for it.
    ranges = pairs["gone"].to_numpy() // of_range
    parts = (pairs.filter(ranges == number) for number in range(5))
    held = pa.concat_tables(semantic_settle.settled(5, parts)).select(["gone", "kept"])
    rows = [{"gone": 1, "kept": 0}, {"gone": 2, "kept": 0}, {"gone": 4, "kept": 3}]
    assert held.to_pylist() == rows


def test_the_sample_of_training_is_from_as_few_files_as_are_enough() -> None:
    files = [(f"f{number:03}", 10_000) for number in range(500)]
    looked = semantic_rounds.sampled_files(files, 1_000)
    assert len(looked) == 26  # 4 x 64 x 1,000 rows, and none in vain at the edge
    assert looked == sorted(looked)
    assert semantic_rounds.sampled_files(files[:3], 1_000) == ["f000", "f001", "f002"]


def test_two_rules_that_do_not_agree_are_refused() -> None:
    rule = {"semantic_duplicate": {"min_cosine": 0.5}, "name": "second"}
    with pytest.raises(BadOption, match="different options; choose one"):
        semantic.rule(recipe(rule))
    assert semantic.rule(recipe({"semantic_duplicate": {}, "name": "second"}))


def test_the_rule_needs_a_model() -> None:
    asked = {"input": {"path": "p.parquet"}, "keep": [{"semantic_duplicate": {}}]}
    with pytest.raises(BadOption, match="semantic_of, which a model measures"):
        rules(Recipe.model_validate(asked))


def test_another_threshold_is_another_result(store: Store) -> None:
    put(store, [{}, {}], at(0, 20))
    first = group.run(recipe(), store, Serial())
    assert group.run(recipe({"aspect_ratio": {}}), store, Serial()) == first
    assert group.run(recipe(min_cosine=0.9), store, Serial()) != first


def test_options_are_those_of_the_filter() -> None:
    assert semantic.rule(recipe(clusters="auto")) == SemanticDuplicate()
