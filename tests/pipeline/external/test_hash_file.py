from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.external import hash_file
from pairsieve.schemas.columns import arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

Put = Callable[[Store, list[dict[str, Any]]], None]


def written(store: Store, selection: str | None = None) -> bytes:
    sink = BytesIO()
    hash_file.write(store, selection, sink)
    return sink.getvalue()


@pytest.fixture
def store(tmp_path: Path, put_gathered: Put) -> Store:
    made = Store.at(tmp_path / "dataset")
    rows: list[dict[str, Any]] = [
        {"uid": "c", "sha256": "1" * 64, "perceptual_hash": 2**64 - 1, "aspect_ratio": 1.0},
        {"uid": "a", "sha256": "2" * 64, "perceptual_hash": None, "aspect_ratio": 9.0},
        {"uid": "b", "outcome": "dns"},
        {"uid": "c", "sha256": "3" * 64, "perceptual_hash": 5, "aspect_ratio": 1.0},
    ]
    put_gathered(made, rows)
    return made


def test_one_row_per_pair_with_an_image_sorted_by_uid(store: Store) -> None:
    table = pq.read_table(pa.BufferReader(written(store)))
    assert table.schema.equals(arrow_schema(hash_file.COLUMNS))
    assert table.to_pylist() == [
        {"uid": "a", "sha256": "2" * 64, "perceptual_hash": None},
        {"uid": "c", "sha256": "1" * 64, "perceptual_hash": 2**64 - 1},
    ]


def test_of_a_selection_only_the_survivors(store: Store) -> None:
    content = {"input": {"path": "p"}, "keep": [{"aspect_ratio": {}}]}
    select.run(Recipe.model_validate(content), store, Serial(), "square")
    assert pq.read_table(pa.BufferReader(written(store, "square")))["uid"].to_pylist() == ["c"]


def test_the_same_bytes_every_time(store: Store) -> None:
    assert written(store) == written(store)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(BadOption, match="neither a dataset with gathered images nor a Parquet"):
        hash_file.check(Store.at(tmp_path / "none"), None)
    with pytest.raises(BadOption, match="no selection `strict` in this dataset"):
        hash_file.check(store, "strict")


def test_uids_are_found_by_their_rows_across_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_file, "BATCH_ROWS", 3)
    pq.write_table(pa.table({"uid": [f"u{n}" for n in range(10)]}), tmp_path / "h.parquet")
    found = hash_file.uids(str(tmp_path / "h.parquet"), np.array([0, 2, 3, 9]))
    assert found.to_pylist() == ["u0", "u2", "u3", "u9"]
