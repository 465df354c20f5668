"""A dataset is made only where nothing of somebody else's lies."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.paths import staged
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    pq.write_table(pa.table({"url": ["http://a"], "text": ["t"]}), tmp_path / "p.parquet")
    return Recipe.model_validate({"input": {"path": str(tmp_path / "p.parquet")}})


@pytest.mark.parametrize(
    "name", ["mine.txt", "gather/notes.md", "plan.json.bak", ".hidden", "shards/default/a.tar"]
)
def test_a_folder_with_somebodys_file_is_refused_and_left_alone(
    recipe: Recipe, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(BadOption, match=f"holds {name}, which is no part of a dataset"):
        plan.run(recipe, Store.at(tmp_path / "out"))
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("name", ["link", "gather"])
def test_a_link_is_somebodys_whatever_lies_behind_it(
    recipe: Recipe, tmp_path: Path, name: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "out" / name)
    with pytest.raises(BadOption, match=f"holds {name}, which"):
        plan.run(recipe, Store.at(tmp_path / "out"))


def test_what_a_killed_plan_left_behind_is_no_ones(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    store.write(staged("0123456789ab", 0), b"half")
    Path(store.location(f"{staged('0123456789ab', 1)}#1")).write_bytes(b"half")
    assert plan.run(recipe, store).pairs == 1


def test_a_prefix_with_somebodys_object_is_refused(recipe: Recipe, s3: str) -> None:
    store = Store.at(f"{s3}/foreign")
    store.write("a/b.txt", b"mine")
    with pytest.raises(BadOption, match=r"holds a/b\.txt, which is no part of a dataset"):
        plan.run(recipe, store)


def test_a_dataset_that_is_there_may_hold_other_files(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    made = plan.run(recipe, store)
    (tmp_path / "out/notes.md").write_text("mine")
    assert plan.run(recipe, store) == made
