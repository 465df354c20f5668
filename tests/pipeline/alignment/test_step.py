"""Alignment as a step of `group`, over task slices of stored vectors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import check, group
from pairsieve.pipeline.alignment import batches, targets
from pairsieve.pipeline.alignment.batches import part_of
from pairsieve.pipeline.alignment.measures import Pairs, neg_clip_loss, norm_sim
from pairsieve.pipeline.dataset import checked_json
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER, model_record
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.pipeline.vectors.lengths import of_length_1_float32
from pairsieve.pipeline.vectors.model_record import ModelRecord
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

WIDTH, COUNT, SLICE = 6, 30, 7
MODEL = {"model": "ViT-B-32", "pretrained": "openai"}
RECORD = ModelRecord("ViT-B-32", "openai", WIDTH, 100.0, 0.0, "a", "b")


def recipe(**alignment: Any) -> Recipe:
    return Recipe.model_validate(
        {"input": {"path": "p.parquet"}, "embed": MODEL, "alignment": alignment}
    )


def uid(row: int) -> str:
    return f"{row * 7919 % 1000:032x}"


def put(store: Store) -> Pairs:
    """Commit pairs with drawn vectors in slices; return them as they are stored."""
    numbers = np.random.default_rng(3).normal(size=(2, COUNT, WIDTH))
    stored = [(part / np.linalg.norm(part, axis=1)[:, None]).astype(np.float16) for part in numbers]
    made = recipe(norm_sim={"targets": "x"})
    assert made.embed is not None
    folder = model_folder(made.embed)
    store.create(model_record(folder), checked_json.dumps(RECORD.to_json()))
    for start in range(0, COUNT, SLICE):
        rows = list(range(start, min(start + SLICE, COUNT)))
        gathered = [
            {"row": row, "uid": uid(row), "retry_layer": 0, "outcome": "ok"} for row in rows
        ]
        vectors = {
            name: pa.FixedSizeListArray.from_arrays(
                pa.array(part[rows].reshape(-1)), type=pa.list_(pa.float16(), WIDTH)
            )
            for name, part in zip(("image_embedding", "text_embedding"), stored, strict=True)
        }
        name = f"{start // SLICE:08d}"
        table = pa.Table.from_pylist(gathered, arrow_schema(GATHERED))
        put_file(store, f"gather/{name}", ".parquet", table, {"ok": len(rows)})
        table = pa.table({"row": rows, **vectors})
        put_file(
            store, f"embed/{folder}/{name}", ".vectors.parquet", table, {"embedded": len(rows)}
        )
    return Pairs(np.arange(COUNT), of_length_1_float32(stored[0]), of_length_1_float32(stored[1]))


def put_file(
    store: Store, place: str, suffix: str, table: pa.Table, counts: dict[str, int]
) -> None:
    path = f"{place}.000000000000{suffix}"
    with store.writer(path) as sink:
        pq.write_table(table, sink)
    commit(store, f"{place}.json", Marker(table.num_rows, {path: sink.entry()}, counts))


def measured(store: Store, made: Recipe, units: int = 50) -> dict[str, list[Any]]:
    group.run(made, store, Serial(), units=units)
    with connect(store) as connection:
        attach(connection, store)
        query = "SELECT neg_clip_loss, norm_sim FROM ledger ORDER BY row"
        table: pa.Table = connection.sql(query).to_arrow_table()
        columns: dict[str, list[Any]] = table.to_pydict()
        return columns


def test_every_pair_is_measured_with_batches_drawn_by_the_hash_of_its_uid_in_blocks_after_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dying: Callable[[int], Engine]
) -> None:
    store = Store.at(tmp_path / "dataset")
    pairs = put(store)
    np.save(tmp_path / "targets.npy", pairs.images[:3])
    monkeypatch.setattr(batches, "SLICES_AT_ONCE", 2)
    made = recipe(
        neg_clip_loss={"batch": 8, "batches": 3, "seed": 5},
        norm_sim={"targets": str(tmp_path / "targets.npy"), "norm": "l2"},
    )
    for tasks in (8, 2, 3):  # group has begun; some pairs are drawn; some are measured
        with pytest.raises(KeyboardInterrupt):
            group.run(made, store, dying(tasks), units=2)
    found = measured(store, made, units=2)
    parts = np.array([part_of(5, uid(row), 4) for row in range(COUNT)])  # round(30 / 8) = 4
    drawn = [pairs.take(parts == number) for number in range(3)]
    assert all(len(each.rows) for each in drawn)
    assert found["neg_clip_loss"] == neg_clip_loss(pairs, drawn, 0.01).tolist()
    assert found["norm_sim"] == norm_sim(pairs.images, pairs.images[:3], "l2").tolist()
    for units in (1, 3, 7):
        store.delete([GROUP_MARKER])
        assert measured(store, made, units) == found


def test_what_is_not_asked_for_is_null(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    pairs = put(store)
    found = measured(store, recipe(neg_clip_loss={}))
    assert found["neg_clip_loss"] == neg_clip_loss(pairs, [pairs], 0.01).tolist()
    assert found["norm_sim"] == [None] * COUNT


def test_a_dataset_that_was_grouped_before_the_columns_were_there_can_be_read(
    tmp_path: Path,
) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store)
    group.run(recipe(neg_clip_loss={}), store, Serial())
    marker = store.marker(GROUP_MARKER)
    assert marker is not None
    name = marker.file(".parquet")
    older = pq.read_table(store.reader(name)).drop_columns(["neg_clip_loss", "norm_sim"])
    with store.writer(name) as sink:
        pq.write_table(older, sink)
    store.write(GROUP_MARKER, replace(marker, files={name: sink.entry()}).dumps())
    with connect(store) as connection:
        attach(connection, store)
        query = "SELECT count(*), count(neg_clip_loss), typeof(any_value(norm_sim)) FROM ledger"
        assert connection.execute(query).fetchall() == [(COUNT, 0, "FLOAT")]


def test_targets_are_read_from_numpy_and_from_vectors_of_a_dataset(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    pairs = put(store)
    np.save(tmp_path / "dataset" / "embed" / "more.npy", 2 * pairs.images[:1])
    found = targets.read(str(tmp_path / "dataset" / "embed"), WIDTH)
    assert found.shape == (COUNT + 1, WIDTH)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)


def test_targets_that_are_no_vectors_of_the_model_are_refused(tmp_path: Path) -> None:
    for name, array, says in (
        ("wide", np.ones((2, 3)), r"wide.npy holds an array of shape \(2, 3\)"),
        ("flat", np.ones(4), r"shape \(4,\)"),
        ("nan", np.full((1, WIDTH), np.nan), "not numbers"),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(BadOption, match=says):
            targets.read(str(tmp_path / f"{name}.npy"), WIDTH)
    (tmp_path / "a.npy").write_text("no")
    with pytest.raises(BadOption, match=r"neither a \.npy"):
        targets.read(str(tmp_path / "a.npy"), WIDTH)
    with pytest.raises(BadOption, match="no such file"):
        targets.read(str(tmp_path / "none"), WIDTH)


def test_a_rule_on_alignment_needs_the_section() -> None:
    made = Recipe.model_validate(
        {
            "input": {"path": "p.parquet"},
            "fetch": {"user_agent": "me/1 (+https://me.example/x)"},
            "embed": MODEL,
            "keep": [{"top_fraction": 0.3, "of": "neg_clip_loss"}],
        }
    )
    with pytest.raises(BadOption, match="does not ask for it; name `neg_clip_loss`"):
        check.check(made, verbs=())


def test_alignment_needs_a_model_and_something_to_measure() -> None:
    for content, says in (
        ({"alignment": {"neg_clip_loss": {}}}, "of whose vectors"),
        ({"embed": MODEL, "alignment": {}}, "`neg_clip_loss`, `norm_sim` or both"),
    ):
        with pytest.raises(ValueError, match=says):
            Recipe.model_validate({"input": {"path": "p"}, **content})
