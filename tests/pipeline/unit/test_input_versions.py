"""Size and content decide whether the input is the planned one; its times do not."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from pairsieve.pipeline import plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

SOME_TIME = (1_500_000_000, 1_500_000_000)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / f"in/{name}.csv").write_text(f"url,text\nhttp://{name},t\n")
    return Recipe.model_validate({"input": {"path": str(tmp_path / "in")}})


def test_a_file_with_another_time_alone_is_the_same_input(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    made = plan.run(recipe, store)
    os.utime(tmp_path / "in/a.csv", SOME_TIME)
    assert plan.run(recipe, store) == made


def test_another_content_of_the_same_size_is_another_input(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    plan.run(recipe, store)
    (tmp_path / "in/a.csv").write_text("url,text\nhttp://a,u\n")
    os.utime(tmp_path / "in/a.csv", SOME_TIME)
    with pytest.raises(BadOption, match=r"another input: 1 changed \(.*a\.csv\)"):
        plan.run(recipe, store)


def test_files_with_the_same_size_and_time_are_not_read_again(
    recipe: Recipe, tmp_path: Path
) -> None:
    store = Store.at(tmp_path / "out")
    os.utime(tmp_path / "in/a.csv", SOME_TIME)
    made = plan.run(recipe, store)
    (tmp_path / "in/a.csv").write_text("url,text\nhttp://a,u\n")  # reading it would tell
    os.utime(tmp_path / "in/a.csv", SOME_TIME)
    assert plan.run(recipe, store) == made


def test_touched_files_are_read_once_and_remembered(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    made = plan.run(recipe, store)
    os.utime(tmp_path / "in/a.csv", SOME_TIME)
    plan.run(recipe, store)
    (tmp_path / "in/a.csv").write_text("url,text\nhttp://a,u\n")
    os.utime(tmp_path / "in/a.csv", SOME_TIME)
    assert plan.run(recipe, store) == made


def test_a_table_beside_a_tar_counts_by_its_content(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in/00000.tar", "w") as tar:
        for suffix in ("jpg", "txt"):
            member = tarfile.TarInfo(f"a.{suffix}")
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    table = tmp_path / "in/00000.parquet"
    pq.write_table(pa.table({"key": ["a"], "url": ["http://a"]}), table)
    recipe = Recipe.model_validate(
        {"input": {"path": str(tmp_path / "in"), "format": "webdataset"}}
    )
    store = Store.at(tmp_path / "out")
    made = plan.run(recipe, store)
    os.utime(table, SOME_TIME)
    assert plan.run(recipe, store) == made
    body = table.read_bytes()
    table.write_bytes(body.replace(b"http://a", b"http://b"))
    with pytest.raises(BadOption, match="another input"):
        plan.run(recipe, store)
