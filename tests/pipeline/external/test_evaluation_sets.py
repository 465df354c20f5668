"""Evaluation sets against a dataset whose images come from a WebDataset and are really embedded."""

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from tests.input_tar import put_tar
from tests.repetition import repeated

from pairsieve.pipeline import gc, group, plan, run, select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import EVALUATION
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.external import evaluation_images, evaluation_sets
from pairsieve.pipeline.external.evaluation_images import EvaluationOptions
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import ledger_files
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

RandomModel = Callable[..., dict[str, str]]
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
PICTURES = 6


def picture(number: int) -> Image.Image:
    coarse = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((160, 120))


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, random_model: RandomModel) -> dict[str, Any]:
    files = random_model(tmp_path_factory.mktemp("model"), CONFIG)
    return {**files, "batch": 4, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def sets(tmp_path: Path) -> list[dict[str, str]]:
    """Return a set in files, recompressed and enlarged, and one in a tar of anything."""
    folder = tmp_path / "eval"
    (folder / "photos/val").mkdir(parents=True)
    (folder / "photos/val/one.jpg").write_bytes(file_of(picture(1), "JPEG", quality=80))
    (folder / "photos/val/two.png").write_bytes(file_of(picture(2).resize((320, 240))))
    (folder / "photos/labels.txt").write_text("one two")
    put_tar(
        folder / "shards/0.tar",
        {
            "a/x.left.png": file_of(picture(100)),
            "a/x.right.png": file_of(picture(3)),
            "a/x.txt": b"a caption",
            "a/broken.jpg": b"\xff\xd8\xff no image",
        },
    )
    paths = {"photos": folder / "photos", "shards": folder / "shards/*.tar"}
    return [{"name": name, "path": str(path)} for name, path in paths.items()]


def recipe(tmp_path: Path, sets: list[dict[str, str]], **more: Any) -> Recipe:
    if not (tmp_path / "input.tar").exists():
        pairs = {f"{n}.{kind}": data for n in range(PICTURES) for kind, data in
                 (("png", file_of(picture(n))), ("txt", f"picture {n}".encode()))}  # fmt: skip
        put_tar(tmp_path / "input.tar", pairs)
    content = {
        "input": {"path": str(tmp_path / "input.tar"), "unit_pairs": 4},
        "decontaminate": {"sets": sets},
        "keep": [{"eval_overlap": {}}],
    }
    return Recipe.model_validate(content | more)


def options_of(recipe: Recipe) -> EvaluationOptions:
    options = EvaluationOptions.of(recipe)
    assert options is not None
    return options


def silent(stage: str, marker: Marker | None, new: bool = True) -> None:
    """Hear of commits and say nothing."""


def decide(decontaminated: Recipe, store: Store, engine: Engine | None = None) -> None:
    """Measure, compare and select: what `run` does before it packs and reports."""
    engine = engine or Serial()
    measured = plan.run(decontaminated, store)
    run.measure(decontaminated, store, engine, measured, silent)
    group.run(decontaminated, store, engine)
    select.run(decontaminated, store, engine, "default")


def matches(store: Store) -> list[tuple[Any, ...]]:
    """Return eval_set, eval_image, eval_distance and eval_overlap, in input order."""
    names = ", ".join(column.name for column in evaluation_sets.COLUMNS)
    with connect(store) as connection:
        attach(connection, store)
        return connection.execute(f"SELECT {names} FROM ledger ORDER BY row").fetchall()


def kept(store: Store) -> list[str]:
    with connect(store) as connection:
        attach(connection, store, None, "default")
        rows = connection.execute("SELECT text FROM ledger WHERE keep ORDER BY row").fetchall()
    return [text for (text,) in rows]


def test_images_in_files_and_tars_are_found_by_hash_and_dropped(
    tmp_path: Path, sets: list[dict[str, str]]
) -> None:
    store = Store.at(tmp_path / "dataset")
    run.run(recipe(tmp_path, sets), store, Serial(), "default", silent)
    rows = matches(store)
    assert [row[:2] for row in rows] == [
        (None, None),
        ("photos", "val/one.jpg"),
        ("photos", "val/two.png"),
        ("shards", "0.tar/a/x.right.png"),
        (None, None),
        (None, None),
    ]
    assert all(row[2] <= 4 for row in rows[1:4])
    assert {row[3] for row in rows} == {None}
    assert kept(store) == ["picture 0", "picture 4", "picture 5"]
    report = store.read("report/default/report.html").decode()
    assert "Evaluation sets" in report
    assert "val/one.jpg" in report


def test_vectors_give_every_pair_its_highest_cosine(
    tmp_path: Path, sets: list[dict[str, str]], model: dict[str, Any]
) -> None:
    store = Store.at(tmp_path / "dataset")
    vectors = {"sets": sets, "vectors": True, "max_distance": 0}
    keep = [{"eval_overlap": {"min_cosine": 0.9999}}]
    decide(recipe(tmp_path, sets, decontaminate=vectors, embed=model, keep=keep), store)
    rows = matches(store)
    names, cosines = all_cosines(store)
    assert [row[:2] for row in rows] == [names[at] for at in cosines.argmax(axis=1)]
    assert [row[3] for row in rows] == pytest.approx(cosines.max(axis=1).tolist(), abs=1e-6)
    assert rows[3][3] == pytest.approx(1, abs=1e-3)  # the same pixels
    assert "picture 3" not in kept(store)


def all_cosines(store: Store) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """Return the evaluation images that decode, and each pair's cosine to each, from the files."""
    ours, theirs = (
        pa.concat_tables(
            pq.read_table(store.location(path))
            for path, _, _ in store.list(folder)
            if path.endswith(suffix) and path.count("/") == 2
        )
        for folder, suffix in (("embed", ".vectors.parquet"), ("group/evaluation", ".parquet"))
    )
    theirs = theirs.filter(theirs["perceptual_hash"].is_valid())
    one, other = (
        np.array(table[column].to_pylist(), np.float64)
        for table, column in ((ours.sort_by("row"), "image_embedding"), (theirs, "vector"))
    )
    lengths = np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
    names = list(zip(theirs["set"].to_pylist(), theirs["name"].to_pylist(), strict=True))
    return names, one @ other.T / lengths


def test_both_engines_find_the_same(
    tmp_path: Path, sets: list[dict[str, str]], model: dict[str, Any], ray: Engine
) -> None:
    vectors = {"sets": sets, "vectors": True}
    decontaminated = recipe(tmp_path, sets, decontaminate=vectors, embed=model)
    one, other = Store.at(tmp_path / "one"), Store.at(tmp_path / "other")
    decide(decontaminated, one)
    decide(decontaminated, other, ray)
    assert matches(one) == matches(other)


def test_sets_are_measured_once_and_again_when_a_file_changes(
    tmp_path: Path, sets: list[dict[str, str]], put_plan: Callable[[Store], None]
) -> None:
    store, decontaminated = Store.at(tmp_path / "dataset"), recipe(tmp_path, sets)
    decide(decontaminated, store)
    before = store.marker_names(EVALUATION)
    first = group.run(decontaminated, store, Serial())
    assert first == group.run(decontaminated, store, Serial())
    group.run(recipe(tmp_path, sets, shard={"seed": 1}), store, Serial())
    assert store.marker_names(EVALUATION) == before
    (tmp_path / "eval/photos/val/four.png").write_bytes(file_of(picture(4)))
    assert group.run(decontaminated, store, Serial()) != first
    assert matches(store)[4][:3] == ("photos", "val/four.png", 0)
    put_plan(store)
    assert gc.run(store, 0) == []


def test_a_comparison_goes_on_where_it_was_stopped(
    tmp_path: Path, sets: list[dict[str, str]], model: dict[str, Any]
) -> None:
    store = Store.at(tmp_path / "dataset")
    decontaminated = recipe(
        tmp_path, sets, decontaminate={"sets": sets, "vectors": True}, embed=model
    )
    decide(decontaminated, store)
    whole = matches(store)
    folder = f"{EVALUATION}/{evaluation_images.name_of(options_of(decontaminated))}"
    slice_names = store.markers(folder)
    assert list(slice_names) == ["00000000", "00000001"]
    store.delete([f"{folder}/00000001.json", "group/done.json"])
    group.run(decontaminated, store, Serial(), units=1)
    again = store.markers(folder)
    assert again["00000000"] == slice_names["00000000"]
    assert again["00000001"].files != slice_names["00000001"].files
    assert matches(store) == whole


def test_images_that_were_measured_before_a_stop_are_not_measured_again(
    tmp_path: Path,
    sets: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    dying: Callable[[int], Engine],
) -> None:
    options = options_of(recipe(tmp_path, sets))
    whole, stopped = Store.at(tmp_path / "whole"), Store.at(tmp_path / "stopped")
    expected = evaluation_images.stored(options, whole, Serial())
    monkeypatch.setattr(evaluation_images, "IMAGES_AT_ONCE", 2)  # of five
    monkeypatch.setattr(evaluation_images, "GROUP_ROWS", 3)
    with pytest.raises(KeyboardInterrupt):
        evaluation_images.stored(options, stopped, dying(2))
    found = evaluation_images.stored(options, stopped, dying(1))
    assert found.counts == expected.counts == {"images": 5, "unreadable": 1}
    columns = ["set", "name", "offset", "perceptual_hash"]
    tables = [
        evaluation_images.read(store, marker, columns)
        for store, marker in ((whole, expected), (stopped, found))
    ]
    assert tables[0].equals(tables[1])


def test_what_cannot_be_decoded_is_counted_and_a_set_of_nothing_else_refused(
    tmp_path: Path, sets: list[dict[str, str]]
) -> None:
    store, decontaminated = Store.at(tmp_path / "dataset"), recipe(tmp_path, sets)
    decide(decontaminated, store)
    marker = evaluation_images.stored(options_of(decontaminated), store, Serial())
    assert marker.counts == {"images": 5, "unreadable": 1}
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_bytes(b"no image")
    bad = recipe(tmp_path, [{"name": "bad", "path": str(tmp_path / "bad")}])
    with pytest.raises(BadOption, match="none of the images of 'bad' can be decoded"):
        group.run(bad, store, Serial())


@settings(max_examples=repeated(10, 40), deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 255) | st.none(), min_size=1, max_size=20),
    st.lists(st.integers(0, 255) | st.none(), min_size=1, max_size=9),
    st.integers(0, 3),
    st.integers(1, 7),
)
def test_blocks_have_the_image_that_comparing_all_hashes_gives(
    hashes: list[int | None], references: list[int | None], distance: int, of_unit: int
) -> None:
    with TemporaryDirectory() as folder:
        store = Store.at(folder)
        table = {"set": ["s"] * len(references), "perceptual_hash": references}
        table |= {"name": [str(n) for n in range(len(references))], "file": table["set"]}
        table |= {"offset": [0] * len(references), "bytes": [0] * len(references)}
        with store.writer("sets.parquet") as sink:
            hashed = pa.array(references, pa.uint64())
            pq.write_table(pa.table(table | {"perceptual_hash": hashed}), sink)
        sets = Marker(len(references), {"sets.parquet": sink.entry()})
        for unit, first in enumerate(range(0, len(hashes), of_unit)):
            part = hashes[first : first + of_unit]
            rows: list[dict[str, Any]] = [
                {
                    "row": first + n,
                    "uid": f"{first + n:032x}",
                    "retry_layer": 0,
                    "outcome": "ok",
                    "perceptual_hash": value,
                }
                for n, value in enumerate(part)
            ]
            path = f"gather/{unit:08d}.x.parquet"
            with store.writer(path) as sink:
                pq.write_table(pa.Table.from_pylist(rows, arrow_schema(GATHERED)), sink)
            commit(store, f"gather/{unit:08d}.json", Marker(len(part), {path: sink.entry()}))
        found = []
        for block in Pool(store, Serial(), ledger_files(store), 2).blocks:
            own = block_table(store, block.files, [], 1)["row"].to_numpy()
            columns = evaluation_sets.columns(distance, sets, None, block, own)
            found += pa.table(columns).to_pylist()
    for value, row in zip(hashes, found, strict=True):
        bits = [
            99 if value is None or other is None else (value ^ other).bit_count()
            for other in references
        ]
        near = min(bits) <= distance
        assert row["eval_image"] == (str(bits.index(min(bits))) if near else None)
        assert row["eval_distance"] == (min(bits) if near else None)


def refusal(tmp_path: Path, path: str) -> str:
    decontaminated = recipe(tmp_path, [{"name": "val", "path": path}]).decontaminate
    assert decontaminated is not None
    with pytest.raises(BadOption) as refused:
        evaluation_sets.check(decontaminated)
    return str(refused.value)


def test_sets_without_images_or_compressed_are_refused(tmp_path: Path) -> None:
    assert f"no image and no tar at {tmp_path}/none, the set 'val'" in refusal(
        tmp_path, f"{tmp_path}/none"
    )
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/labels.txt").write_text("x")
    assert "no image and no tar" in refusal(tmp_path, f"{tmp_path}/eval")
    (tmp_path / "eval/val.tar.gz").write_bytes(b"x")
    assert "val.tar.gz is compressed; unpack it" in refusal(tmp_path, f"{tmp_path}/eval")


def test_select_refuses_sets_that_group_has_not_compared(
    tmp_path: Path, sets: list[dict[str, str]]
) -> None:
    store = Store.at(tmp_path / "dataset")
    decide(recipe(tmp_path, sets[:1]), store)
    with pytest.raises(BadOption, match="eval_set, .* run `pairsieve group` with it first"):
        select.run(recipe(tmp_path, sets), store, Serial(), "default")


@settings(max_examples=repeated(10, 30), deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 600),
    images=st.integers(2, 50),
    at_once=st.integers(1, 20),
    seed=st.integers(0, 9),
)
def test_highest_is_what_comparing_all_gives(
    rows: int, images: int, at_once: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    vectors, references = (generator.normal(size=(n, 8)).astype(np.float32) for n in (rows, images))
    references[images // 2] = 0  # not decoded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_sets, "IMAGES_AT_ONCE", at_once)
        parts = np.array_split(references, seed + 1)
        indices, cosines = evaluation_sets.highest(vectors, parts)
    lengths = np.maximum(np.linalg.norm(references, axis=1), 1e-30)
    every = vectors @ references.T / np.linalg.norm(vectors, axis=1, keepdims=True) / lengths
    every[:, images // 2] = -9
    assert indices.tolist() == every.argmax(axis=1).tolist()
    assert cosines == pytest.approx(every.max(axis=1), abs=1e-6)


def test_a_rows_match_does_not_depend_on_the_other_rows() -> None:
    generator = np.random.default_rng(0)
    vectors, references = (generator.normal(size=(n, 64)).astype(np.float32) for n in (700, 300))
    indices, cosines = evaluation_sets.highest(vectors, [references])
    for cut in (1, 255, 256, 257):
        first, last = (
            evaluation_sets.highest(part, [references]) for part in np.split(vectors, [cut])
        )
        assert np.array_equal(indices, np.concatenate([first[0], last[0]]))
        assert np.array_equal(cosines, np.concatenate([first[1], last[1]]))
