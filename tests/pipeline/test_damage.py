"""What has happened to committed files is told, and made again where it can be."""

import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.run import run
from pairsieve.pipeline.status import status
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        for number in range(4):
            sink = BytesIO()
            Image.linear_gradient("L").rotate(40 * number).resize((60, 50)).save(sink, "PNG")
            for suffix, body in (("png", sink.getvalue()), ("txt", b"a picture")):
                member = tarfile.TarInfo(f"{number}.{suffix}")
                member.size = len(body)
                tar.addfile(member, BytesIO(body))
    content: dict[str, Any] = {"input": {"path": str(tmp_path / "in.tar")}, "shard": {"samples": 2}}
    return Recipe.model_validate(content)


def walk(recipe: Recipe, store: Store) -> None:
    run(recipe, store, Serial(), "default", lambda stage, marker, new=True: None)


@pytest.mark.parametrize(
    ("pattern", "again"),
    [
        ("group/*.parquet", "`pairsieve group` makes it again"),
        ("select/default/**/*.parquet", "`pairsieve select` makes it again"),
        ("shards/default/00001.tar", "`pairsieve shard` makes it again"),
        ("shards/default/sizes.json", "`pairsieve shard` makes it again"),
        ("shards/default/manifest.parquet", "`pairsieve shard` makes it again"),
    ],
)
@pytest.mark.parametrize("cut", [True, False])
def test_a_file_that_is_gone_or_cut_is_told_and_made_again(
    recipe: Recipe, tmp_path: Path, pattern: str, again: str, cut: bool
) -> None:
    store = Store.at(tmp_path / "out")
    walk(recipe, store)
    assert status(store, "default").complaints == []
    tars = {path.name: path.read_bytes() for path in (tmp_path / "out/shards").rglob("*.tar")}
    (file,) = (tmp_path / "out").glob(pattern)
    before = file.read_bytes()
    if cut:
        file.write_bytes(before[:-1])
    else:
        file.unlink()
    (complaint, *_) = status(store, "default").complaints
    name = str(file.relative_to(tmp_path / "out"))
    size = len(before)
    wrong = f"it has {size - 1:,} bytes, {size:,} were committed" if cut else "it is gone"
    assert complaint == f"{name}: {wrong}; {again}"
    walk(recipe, store)
    assert status(store, "default").complaints == []
    assert tars == {p.name: p.read_bytes() for p in (tmp_path / "out/shards").rglob("*.tar")}


def test_gathered_files_that_are_gone_are_told(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    walk(recipe, store)
    (tar,) = (tmp_path / "out/gather").glob("*.tar")
    tar.unlink()
    (complaint,) = status(store, "default").complaints
    assert complaint.startswith(f"gather/{tar.name}: it is gone; delete the marker")
    with pytest.raises(Stopped, match=f"{tar.name}: it is gone; delete the marker"):
        walk(recipe, store)
    (tmp_path / "out/gather/00000000.json").unlink()
    walk(recipe, store)
    assert status(store, "default").complaints == []
