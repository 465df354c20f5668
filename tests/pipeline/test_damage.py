"""What has happened to committed files is told, and made again where it can be."""

import shutil
import tarfile
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.input_tar import gradient, put_samples
from tests.pipeline.until_shards import walk

from pairsieve.pipeline import report, shard, verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.integrity.repair import repair
from pairsieve.pipeline.run import run
from pairsieve.pipeline.status import status
from pairsieve.pipeline.vectors import reader
from pairsieve.schemas.columns import IMAGE_EMBEDDING
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe import Recipe


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    """Return a recipe and a folder with what came of it."""
    folder = tmp_path_factory.mktemp("made")
    samples = {number: (gradient(40 * number, (60, 50)), "a picture") for number in range(4)}
    put_samples(folder / "in.tar", samples)
    content: dict[str, Any] = {"input": {"path": str(folder / "in.tar")}, "shard": {"samples": 2}}
    recipe = Recipe.model_validate(content)
    walk(recipe, Store.at(folder / "out"))
    return recipe, folder / "out"


@pytest.fixture
def recipe(made: tuple[Recipe, Path], tmp_path: Path) -> Recipe:
    """Return the recipe; the folder `out` has a copy of what came of it, to be damaged."""
    shutil.copytree(made[1], tmp_path / "out")
    return made[0]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "shards").rglob("*.tar")}


@pytest.mark.parametrize(
    ("pattern", "again"),
    [
        ("group/blocks/*/*.parquet", "`pairsieve group` makes it again"),
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
    assert status(store, "default").complaints == []
    tars = shards(tmp_path / "out")
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
    assert tars == shards(tmp_path / "out")


def test_gathered_files_that_are_gone_are_told(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    before = shards(tmp_path / "out")
    (tar,) = (tmp_path / "out/gather").glob("*.tar")
    tar.unlink()
    (complaint,) = status(store, "default").complaints
    folder = tmp_path / "out"
    repair = f"run `pairsieve verify {folder} --repair`"
    again = f"{repair}, then `pairsieve run RECIPE --dataset {folder}`, which makes it again"
    assert complaint == f"gather/{tar.name}: it is gone; {again}"
    with pytest.raises(Stopped, match=f"{tar.name}: it is gone; {repair}"):
        run(recipe, store, Serial(), "default", lambda stage, marker, new=True: None)
    assert mended(store) == [("gather/00000000.json", f"gather/{tar.name}")]
    walk(recipe, store)
    assert status(store, "default").complaints == []
    assert shards(tmp_path / "out") == before


def flip(file: Path, at: int = -9) -> None:
    """Flip one bit of a file; its size stays."""
    body = bytearray(file.read_bytes())
    body[at] ^= 4
    file.write_bytes(body)


def mended(store: Store) -> list[tuple[str, str]]:
    """Verify and repair; return the marker and the file of all that was wrong."""
    findings = [found for checked in verify.run(store, Serial()) for found in checked.findings]
    list(repair(store, findings))
    return [(found.marker, found.path) for found in findings]


def undecided(folder: Path) -> None:
    """Take away what was decided, so that the next run reads what was gathered."""
    for name in ("group", "select", "shards"):
        shutil.rmtree(folder / name)


@pytest.mark.parametrize("number", [0, 2])
def test_a_bit_flipped_in_a_stored_image_never_reaches_a_shard(
    recipe: Recipe, tmp_path: Path, number: int
) -> None:
    store = Store.at(tmp_path / "out")
    before = shards(tmp_path / "out")
    undecided(tmp_path / "out")
    (tar,) = (tmp_path / "out/gather").glob("*.tar")
    with tarfile.open(tar) as opened:
        member = opened.getmembers()[number]
    flip(tar, member.offset_data + member.size // 2)
    told = f"{tar.name}: the image at byte {member.offset_data}: its bytes are not those"
    with pytest.raises(Stopped, match=told):
        walk(recipe, store)
    assert not (tmp_path / "out/shards/default/done.json").exists()
    assert mended(store) == [("gather/00000000.json", f"gather/{tar.name}")]
    walk(recipe, store)
    assert shards(tmp_path / "out") == before
    assert mended(store) == []


def test_a_bit_flipped_in_a_ledger_part_is_told_before_anything_is_decided(
    recipe: Recipe, tmp_path: Path
) -> None:
    store = Store.at(tmp_path / "out")
    before = shards(tmp_path / "out")
    undecided(tmp_path / "out")
    (part,) = (tmp_path / "out/gather").glob("*.parquet")
    flip(part, 200)
    told = f"{part.name}: its bytes are not .* run `pairsieve verify {tmp_path}/out --repair`"
    with pytest.raises(Stopped, match=told):
        walk(recipe, store)
    assert mended(store) == [("gather/00000000.json", f"gather/{part.name}")]
    walk(recipe, store)
    assert shards(tmp_path / "out") == before


@pytest.mark.parametrize("folder", ["group", "select/default"])
def test_a_bit_flipped_in_a_result_is_seen_and_the_result_made_again(
    recipe: Recipe, tmp_path: Path, folder: str
) -> None:
    store = Store.at(tmp_path / "out")
    before = shards(tmp_path / "out")
    (file,) = (tmp_path / "out" / folder).rglob("*.parquet")
    flip(file, 20)
    with pytest.raises(Stopped, match=f"{file.name}: its bytes are not .* makes it again"):
        report.run(recipe, store, Serial(), "default")
    walk(recipe, store)
    assert not file.exists()
    assert shards(tmp_path / "out") == before


def test_a_bit_flipped_in_a_shard_is_found_by_verify(recipe: Recipe, tmp_path: Path) -> None:
    store = Store.at(tmp_path / "out")
    before = shards(tmp_path / "out")
    flip(tmp_path / "out/shards/default/00001.tar")
    assert {path for _, path in mended(store)} == {"shards/default/00001.tar"}
    walk(recipe, store)
    assert shards(tmp_path / "out") == before


def _first_page(file: Path) -> int:
    """Return a place in the first page of a Parquet file, where its bytes are."""
    column = pq.read_metadata(file).row_group(0).column(0)
    return int(column.data_page_offset + column.total_compressed_size - 3)


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_a_bit_flipped_in_a_ledger_part_never_reaches_a_shard(
    recipe: Recipe, tmp_path: Path, mix: str
) -> None:
    store = Store.at(tmp_path / "out")
    shutil.rmtree(tmp_path / "out/shards")
    (part,) = (tmp_path / "out/gather").glob("*.parquet")
    flip(part, 200)
    mixed = recipe.model_copy(update={"shard": recipe.shard.model_copy(update={"mix": mix})})
    with pytest.raises(Stopped, match=f"{part.name}: its bytes are not those that were committed"):
        list(shard.run(mixed, store, Serial(), "default"))


class Flipping(Serial):
    """Flips a bit of the first file that a pattern finds, before the next round of tasks."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self.folder, self.pattern = folder, pattern
        self.flipped: list[str] = []

    def map(
        self, function: Callable[[Any], Any], items: Iterable[Any]
    ) -> Generator[tuple[Any, Any]]:
        files = [] if self.flipped else list(self.folder.glob(self.pattern))
        for file in files[:1]:
            flip(file, _first_page(file) if file.suffix == ".parquet" else 40)
            self.flipped.append(file.name)
        yield from super().map(function, items)


@pytest.mark.parametrize("pattern", ["partition/*.bin", "sort/*.parquet"])
def test_a_bit_flipped_in_the_order_of_samples_stops_the_shards_of_it(
    recipe: Recipe, tmp_path: Path, pattern: str
) -> None:
    store = Store.at(tmp_path / "out")
    before = shards(tmp_path / "out")
    shutil.rmtree(tmp_path / "out/shards")
    engine = Flipping(tmp_path / "out/shards/default/order", f"*/{pattern}")
    with pytest.raises(Stopped, match="the order of the samples is damaged: .*verify .* --repair"):
        list(shard.run(recipe, store, engine, "default"))
    assert [Path(file).name for _, file in mended(store)] == engine.flipped
    walk(recipe, store)
    assert shards(tmp_path / "out") == before


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_a_bit_flipped_in_a_verdict_never_reaches_a_shard(
    recipe: Recipe, tmp_path: Path, mix: str
) -> None:
    store = Store.at(tmp_path / "out")
    shutil.rmtree(tmp_path / "out/shards")
    (verdicts,) = (tmp_path / "out/select/default").rglob("*.parquet")
    flip(verdicts, _first_page(verdicts))
    mixed = recipe.model_copy(update={"shard": recipe.shard.model_copy(update={"mix": mix})})
    with pytest.raises(Stopped, match=f"{verdicts.name}: its bytes are not those that were com"):
        list(shard.run(mixed, store, Serial(), "default"))


@pytest.mark.parametrize("column", [0, 1])
def test_a_bit_flipped_in_vectors_is_told_where_they_are_read(
    tmp_path: Path, put_vectors: Callable[..., None], column: int
) -> None:
    store, vectors = Store.at(tmp_path), np.eye(4)
    put_vectors(store, "model", [0, 1, 2, 3], vectors, vectors)
    file = tmp_path / "embed/model/00000000.vectors.parquet"
    chunk = pq.read_metadata(file).row_group(0).column(column)
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    flip(file, begin + chunk.total_compressed_size - 3)
    (unit,) = reader.units(store, "model")
    told = f"{file.name}: damaged: .*CRC.*; run `pairsieve verify {tmp_path} --repair`"
    with pytest.raises(Stopped, match=told):
        reader.read(store, unit, (IMAGE_EMBEDDING,))
    with pytest.raises(Stopped, match=told):
        reader.read_at(store, unit, np.array([2]), IMAGE_EMBEDDING)


def test_vectors_that_are_gone_are_told(
    tmp_path: Path, put_plan: Callable[[Store], None], put_vectors: Callable[..., None]
) -> None:
    store = Store.at(tmp_path)
    put_plan(store)
    put_vectors(store, "model", [0], np.ones((1, 4)), np.ones((1, 4)))
    (tmp_path / "embed/model/00000000.vectors.parquet").unlink()
    told = "embed/model/00000000.vectors.parquet: it is gone; `pairsieve embed` makes it again"
    assert [c for c in status(store, "default").complaints if c.startswith(told)]
