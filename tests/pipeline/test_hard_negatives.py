"""Hard negatives of a small dataset, against comparing all with all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pairsieve.pipeline import hard_negatives, select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PAIRS, WIDTH = 40, 8
SAME_TEXT, SAME_FILE = (3, 4), (5, 6)
DROPPED = 7
PutGathered = Callable[[Store, list[dict[str, Any]]], None]
PutVectors = Callable[..., None]


def vectors(seed: int) -> NDArray[np.float16]:
    drawn = np.random.default_rng(seed).normal(size=(PAIRS, WIDTH))
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return np.asarray(unit, np.float16)


@pytest.fixture
def store(tmp_path: Path, put_gathered: PutGathered, put_vectors: PutVectors) -> Store:
    """Return 40 pairs, all with vectors; the pairs of a tuple above have one text or one file."""
    dataset = Store.at(tmp_path / "dataset")
    rows: list[dict[str, Any]] = [
        {"text": f"text {row}", "sha256": f"{row:064x}"} for row in range(PAIRS)
    ]
    rows[SAME_TEXT[1]]["text"] = rows[SAME_TEXT[0]]["text"]
    rows[SAME_FILE[1]]["sha256"] = rows[SAME_FILE[0]]["sha256"]
    rows[9]["text"] = rows[8]["text"] = None
    put_gathered(dataset, rows)
    put_vectors(dataset, "tiny", list(range(PAIRS)), vectors(0), vectors(1), "00000000")
    keep = [{"where": f"row <> {DROPPED}"}]
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": keep})
    select.run(recipe, dataset, Serial(), "some")
    return dataset


def expected(among: int) -> list[tuple[list[int], list[int]]]:
    """Return the three nearest captions and pictures of each kept row, by all cosines."""
    images, texts = (each.astype(np.float64) for each in (vectors(0), vectors(1)))
    images, texts = (each / np.linalg.norm(each, axis=1)[:, None] for each in (images, texts))
    kept = [row for row in range(PAIRS) if row != DROPPED]
    found = []
    for place, row in enumerate(kept):
        part = kept[place // among * among :][:among]
        own = {row} | {r for same in (SAME_TEXT, SAME_FILE) if row in same for r in same}
        others = np.array([other for other in part if other not in own])
        by_text, by_image = texts[others] @ images[row], images[others] @ texts[row]
        nearest = (np.argsort(-each, kind="stable")[:3] for each in (by_text, by_image))
        found.append(tuple(others[each].tolist() for each in nearest))
    return found


@pytest.mark.parametrize("among", [100, 10])
def test_the_nearest_of_others_are_found(store: Store, tmp_path: Path, among: int) -> None:
    out = Store.at(tmp_path)
    assert hard_negatives.run(store, out, "n.parquet", None, "some", 3, among) == PAIRS - 1
    table = pq.read_table(tmp_path / "n.parquet")
    row_of = {uid: row for row, uid in enumerate(uids(store))}
    names = ("captions", "pictures")
    found = [
        tuple([row_of[uid] for uid in uids] for uids in each)
        for each in zip(*(table[name].to_pylist() for name in names), strict=True)
    ]
    assert found == expected(among)
    own = np.sum(vectors(0).astype(np.float64) * vectors(1).astype(np.float64), axis=1)
    kept = np.delete(own, DROPPED)
    np.testing.assert_allclose(table["clip_similarity"].to_numpy(), kept, atol=2e-3)
    cosines = table["caption_cosines"].to_pylist()
    assert all(one == sorted(one, reverse=True) for one in cosines)


def uids(store: Store) -> list[str]:
    (file,) = (path for path, _, _ in store.list("gather") if path.endswith(".parquet"))
    found: list[str] = pq.read_table(store.location(file))["uid"].to_pylist()
    return found


def test_a_part_of_one_pair_has_none(store: Store, tmp_path: Path) -> None:
    hard_negatives.run(store, Store.at(tmp_path), "n.parquet", None, "some", 3, among=1)
    assert pq.read_table(tmp_path / "n.parquet")["captions"].to_pylist() == [[]] * (PAIRS - 1)


def test_a_selection_that_is_not_there_is_refused_before_anything_is_written(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(BadOption, match="there is no selection `other`; known: some"):
        hard_negatives.run(store, Store.at(tmp_path), "n.parquet", None, "other", 3)
    assert not (tmp_path / "n.parquet").exists()
