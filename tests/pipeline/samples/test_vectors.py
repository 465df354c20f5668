"""The vectors of samples, as webdataset and `datasets` read them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from numpy.typing import NDArray
from PIL import Image

from pairsieve.pipeline import select, shard, verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.integrity.samples import Sample, wrong_sample
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

MODEL = "pairsieve-tiny--demo"
VECTORS = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float16)
WITH_VECTORS = [2, 0, 3]  # rows, as they are stored; row 1 has none


def coded(array: NDArray[Any]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


@pytest.fixture
def store(
    tmp_path: Path, put_gathered: Callable[..., None], put_plan: Callable[[Store], None]
) -> Store:
    dataset = Store.at(tmp_path / "dataset")
    sink = io.BytesIO()
    Image.new("RGB", (16, 16)).save(sink, "JPEG")
    size = len(sink.getvalue())
    dataset.write("gather/i.tar", sink.getvalue() * 4)
    at = [{"image_file": "gather/i.tar", "image_offset": n * size} for n in range(4)]
    put_gathered(dataset, [{**one, "image_bytes": size} for one in at])
    put_plan(dataset)
    return dataset


def pack(store: Store, **options: Any) -> None:
    embed = {"model": "pairsieve-tiny", "pretrained": "demo", "precision": "fp32"}
    content = {"input": {"path": "p"}, "embed": embed, "shard": {"vectors": "npy", **options}}
    recipe = Recipe.model_validate(content)
    unscored = recipe.model_copy(update={"embed": None})
    select.run(unscored, store, Serial(), "default")
    list(shard.run(recipe, store, Serial(), "default"))


@pytest.mark.parametrize("mix", ["pool", "window"])
def test_webdataset_decodes_the_vector_of_each_image(
    store: Store, put_vectors: Callable[..., None], tmp_path: Path, mix: str
) -> None:
    put_vectors(store, MODEL, WITH_VECTORS, VECTORS, VECTORS + 1)
    pack(store, mix=mix)
    shards = [str(tmp_path / "dataset/shards/default/00000.tar")]
    samples = {
        int(sample["__key__"], 16): sample
        for sample in webdataset.WebDataset(shards, shardshuffle=False).decode()
    }
    assert samples.keys() == {0, 1, 2, 3}
    assert "npy" not in samples[1]
    for row, vector in zip(WITH_VECTORS, VECTORS, strict=True):
        assert samples[row]["npy"].dtype == np.float16
        assert np.array_equal(samples[row]["npy"], vector)
    assert [found for one in verify.run(store, Serial()) for found in one.findings] == []


@pytest.mark.parametrize(
    "body", [b"\x93NUMPY", b"abc", coded(np.zeros((1, 5), np.float16)), coded(np.zeros(5))]
)
def test_verify_finds_what_is_no_vector(body: bytes) -> None:
    files = {"jpg": b"", "txt": b"a", "json": b'{"uid": "0", "text": "a"}', "npy": body}
    sample = Sample("0", 0, files)
    assert wrong_sample(sample, {"vectors": "npy"}, False) == "its vector is none"
    right = sample._replace(files=files | {"npy": coded(np.zeros(5, np.float16))})
    assert wrong_sample(right, {"vectors": "npy"}, False) is None
    assert "it has the files" in str(wrong_sample(right, {}, False))


def test_in_parquet_they_are_a_column(store: Store, put_vectors: Callable[..., None]) -> None:
    put_vectors(store, MODEL, WITH_VECTORS, VECTORS, VECTORS + 1)
    pack(store, layout="parquet", columns=[])
    table = pq.read_table(io.BytesIO(store.read("shards/default/00000.parquet")))
    found = {row["uid"]: row["image_embedding"] for row in table.to_pylist()}
    expected = zip(WITH_VECTORS, VECTORS.tolist(), strict=True)
    assert found == {f"{row:032x}": one for row, one in expected} | {f"{1:032x}": None}


def test_vectors_that_are_not_made_yet_are_asked_for(store: Store) -> None:
    with pytest.raises(BadOption, match="not all pairs have vectors of pairsieve-tiny--demo yet"):
        pack(store)
