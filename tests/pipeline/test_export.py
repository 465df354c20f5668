import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pairsieve.pipeline import export, select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PAIRS = 23
DIMENSIONS = 8
# Rows of each task slice: unit 1 was parted by a crash, and row 7 won by a retry.
SLICES = {
    "00000000": [0, 1, 2, 5, 8, 9],
    "00000000.r1": [7],
    "00000001.0+4": [10, 11, 12],
    "00000001.10+4": [20, 22],
    "00000001.4+6": [14, 15, 16, 17, 18],
    "00000002": [],
}
ROWS = sorted(row for rows in SLICES.values() for row in rows)
PutGathered = Callable[[Store, list[dict[str, Any]]], None]
PutVectors = Callable[..., None]


def vectors(rows: list[int], seed: int) -> NDArray[np.float16]:
    """Return a vector of length 1 per row that depends on row and seed alone."""
    drawn = [np.random.default_rng([seed, row]).normal(size=DIMENSIONS) for row in rows]
    wide = np.array(drawn).reshape(len(rows), DIMENSIONS)
    unit: NDArray[np.float16] = (wide / np.linalg.norm(wide, axis=1)[:, None]).astype(np.float16)
    return unit


@pytest.fixture
def store(tmp_path: Path, put_gathered: PutGathered, put_vectors: PutVectors) -> Store:
    """Return a dataset of 23 pairs, of which 17 have vectors."""
    dataset = Store.at(tmp_path / "dataset")
    put_gathered(dataset, [{"sharpness": row / PAIRS} for row in range(PAIRS)])
    for slice_name, rows in SLICES.items():
        put_vectors(dataset, "tiny", rows, vectors(rows, 0), vectors(rows, 1), slice_name)
    return dataset


@pytest.fixture
def out(tmp_path: Path) -> Store:
    return Store.at(tmp_path / "out")


def parts(out: Store, folder: str) -> list[Path]:
    assert out.local
    return sorted((out.local / folder).iterdir())


def arrays(out: Store, folder: str) -> NDArray[np.float16]:
    """Return the vectors of a folder as a reader that sorts its files by name sees them."""
    return np.concatenate([np.load(path) for path in parts(out, folder)])


def metadata(out: Store) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in parts(out, "metadata"))


def test_vectors_and_metadata_are_aligned_in_input_order(store: Store, out: Store) -> None:
    export.run(store, out)
    table = metadata(out)
    assert table["row"].to_pylist() == ROWS
    assert arrays(out, "img_emb").dtype == np.float16
    np.testing.assert_array_equal(arrays(out, "img_emb"), vectors(ROWS, 0))
    np.testing.assert_array_equal(arrays(out, "text_emb"), vectors(ROWS, 1))


def test_files_and_columns_have_the_names_of_clip_retrieval(store: Store, out: Store) -> None:
    export.run(store, out)
    assert [path for path, _, _ in out.list()] == [
        "export.json",
        "img_emb/img_emb_0.npy",
        "metadata/metadata_0.parquet",
        "text_emb/text_emb_0.npy",
    ]
    first = metadata(out).slice(0, 1).to_pylist()[0]
    assert (first["caption"], first["url"]) == ("pair 0", "http://127.0.0.1/0")
    assert first["image_path"] == first["uid"] == f"{0:032x}"
    assert metadata(out)["clip_similarity"].to_pylist() == pytest.approx([r / 100 for r in ROWS])


@pytest.mark.parametrize(("part_rows", "sizes"), [(17, [17]), (6, [6, 6, 5]), (1, [1] * 17)])
def test_parts_are_bounded_and_sort_by_name(
    store: Store, out: Store, part_rows: int, sizes: list[int]
) -> None:
    export.run(store, out, part_rows=part_rows)
    assert [len(np.load(path)) for path in parts(out, "img_emb")] == sizes
    assert [pq.read_metadata(path).num_rows for path in parts(out, "metadata")] == sizes
    np.testing.assert_array_equal(arrays(out, "text_emb"), vectors(ROWS, 1))
    width = len(str(len(sizes)))
    assert parts(out, "img_emb")[0].name == f"img_emb_{'0' * width}.npy"


def test_faiss_finds_each_image_over_the_export(store: Store, out: Store) -> None:
    export.run(store, out, part_rows=5)
    index = faiss.IndexFlatIP(DIMENSIONS)
    for path in parts(out, "img_emb"):
        index.add(np.load(path).astype(np.float32))
    _, nearest = index.search(vectors([14], 0).astype(np.float32), 1)
    assert metadata(out)["row"].to_pylist()[nearest[0, 0]] == 14


def test_survivors_alone_are_exported_on_request(store: Store, out: Store) -> None:
    keep = [{"where": "row % 2 = 0"}]
    select.run(
        Recipe.model_validate({"input": {"path": "p"}, "keep": keep}), store, Serial(), "even"
    )
    record = export.run(store, out, selection="even", part_rows=4)
    even = [row for row in ROWS if row % 2 == 0]
    assert metadata(out)["row"].to_pylist() == even
    np.testing.assert_array_equal(arrays(out, "img_emb"), vectors(even, 0))
    assert (record.rows, record.parts, record.selection) == (len(even), 3, "even")


def test_the_same_dataset_gives_the_same_bytes(store: Store, out: Store, tmp_path: Path) -> None:
    other = Store.at(tmp_path / "other")
    for target in (out, other):
        export.run(store, target, part_rows=6)
    assert [(p, out.read(p)) for p, _, _ in out.list()] == [
        (p, other.read(p)) for p, _, _ in other.list()
    ]


def test_an_earlier_export_is_replaced_as_a_whole(store: Store, out: Store) -> None:
    export.run(store, out, part_rows=1)
    export.run(store, out)
    assert [path.name for path in parts(out, "img_emb")] == ["img_emb_0.npy"]
    assert json.loads(out.read("export.json"))["model"]["dimensions"] == DIMENSIONS


def test_the_record_names_model_selection_and_size(store: Store, out: Store) -> None:
    record = export.run(store, out)
    content = json.loads(out.read("export.json"))
    assert list(content) == ["model", "selection", "fingerprint", "rows", "parts"]
    assert list(content["model"])[:3] == ["model", "pretrained", "dimensions"]
    assert content == record.to_json()
    assert (content["rows"], content["parts"], content["selection"]) == (17, 1, None)


@pytest.mark.parametrize("name", ["thesis.tex", "img_emb/holiday.npy", "metadata/img_emb_0.npy"])
def test_nothing_else_is_overwritten(store: Store, out: Store, name: str) -> None:
    export.run(store, out)
    out.write(name, b"years of work")
    with pytest.raises(BadOption, match=f"holds `{name}`"):
        export.run(store, out)
    assert out.read(name) == b"years of work"
    assert out.exists("export.json")
    with pytest.raises(BadOption, match="is in the dataset"):
        export.run(store, Store.at(f"{store.url}/out"))


def test_a_model_must_be_named_where_there_are_several(
    store: Store, out: Store, put_vectors: PutVectors
) -> None:
    put_vectors(store, "large", [3], vectors([3], 2), vectors([3], 3))
    with pytest.raises(BadOption, match=r"--model: .* large, tiny"):
        export.run(store, out)
    with pytest.raises(BadOption, match=r"no vectors of `larg`.*`large`"):
        export.run(store, out, "larg")
    export.run(store, out, "large")
    assert metadata(out)["row"].to_pylist() == [3]


def test_what_is_not_there_is_refused(store: Store, out: Store, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no selection `strict`"):
        export.run(store, out, selection="strict")
    with pytest.raises(BadOption, match="holds no vectors"):
        export.run(Store.at(tmp_path / "empty"), out)
    assert list(out.list()) == []
