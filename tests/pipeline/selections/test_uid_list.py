"""The list of uids is the file that DataComp's own code writes of the same uids."""

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.selections import uid_list
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

UIDS = [f"{random.Random(n).getrandbits(128):032x}" for n in range(50)]
UIDS[3:6] = ["f" * 32, "0" * 32, "0" * 16 + "f" * 16]


def as_datacomp_does(uids: list[str]) -> bytes:
    """Return the file that `baselines.py` saves of some uids."""
    halves = [(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids]
    array = np.array(halves, np.dtype("u8,u8"))
    array.sort()
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


@pytest.fixture
def store(tmp_path: Path, put_gathered: Callable[..., None]) -> Store:
    dataset = Store.at(tmp_path / "dataset")
    rows: list[dict[str, Any]] = [{"uid": uid} for uid in UIDS]
    put_gathered(dataset, [*rows, {"uid": UIDS[0]}, {"uid": "0" * 31 + "1", "outcome": "dns"}])
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": [{"where": "row <> 7"}]})
    select.run(recipe, dataset, Serial(), "default")
    return dataset


def test_the_file_has_the_bytes_that_datacomp_saves(store: Store, tmp_path: Path) -> None:
    kept = [uid for row, uid in enumerate(UIDS) if row != 7]
    assert uid_list.run(store, str(tmp_path / "kept.npy"), "default") == len(kept)
    assert (tmp_path / "kept.npy").read_bytes() == as_datacomp_does(kept)


def test_the_resharder_finds_every_uid_and_no_other(store: Store, tmp_path: Path) -> None:
    uid_list.run(store, str(tmp_path / "kept.npy"), "default")
    subset = np.load(tmp_path / "kept.npy", mmap_mode="r")
    for row, uid in enumerate(UIDS):
        sought = np.array([(int(uid[:16], 16), int(uid[16:], 16))], np.dtype("u8,u8"))
        place = int(np.searchsorted(subset, sought[0]))
        assert (place < len(subset) and subset[place] == sought[0]) == (row != 7)


def test_no_survivor_makes_an_empty_list(store: Store, tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": [{"where": "false"}]})
    select.run(recipe, store, Serial(), "none")
    uid_list.run(store, str(tmp_path / "none.npy"), "none")
    assert (tmp_path / "none.npy").read_bytes() == as_datacomp_does([])


def test_uids_of_the_input_go_before_our_own(store: Store) -> None:
    with connect(store) as connection:
        connection.register("ledger", pa.table({"uid": ["a"], "input_uid": ["b"]}))
        assert uid_list._column(connection, None) == "input_uid"
        assert uid_list._column(connection, "uid") == "uid"


@pytest.mark.parametrize(
    ("out", "name", "column", "said"),
    [
        ("kept.parquet", "default", None, "is one file: name it ...\\.npy"),
        ("dataset/kept.npy", "default", None, "is in the dataset"),
        ("kept.npy", "other", None, "there is no selection `other`"),
        ("kept.npy", "default", "uidd", "no column `uidd`; did you mean `uid`"),
        ("kept.npy", "default", "url", "`url` must hold 32 hex digits.*one is 'http://127"),
    ],
)
def test_what_cannot_be_is_refused(
    store: Store, tmp_path: Path, out: str, name: str, column: str | None, said: str
) -> None:
    with pytest.raises(BadOption, match=said):
        uid_list.run(store, str(tmp_path / out), name, column)
    assert not (tmp_path / "kept.npy").exists()
