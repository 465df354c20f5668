"""No byte is left in what models made of a pair: captions, vectors, cosines, an index."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.input_tar import gradient, put_samples, put_tar

from pairsieve.pipeline import forget, verify
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    CAPTION_FOLDER,
    EMBED_FOLDER,
    EVALUATION,
    index_folder,
    marker_path,
    result,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.removal.names import keys
from pairsieve.pipeline.run import run
from pairsieve.schemas.recipe import Recipe

FoundIn = Callable[[Store, dict[str, bytes]], list[tuple[str, str]]]
GONE = 1  # the number of the pair that is taken out


@pytest.fixture
def store(tmp_path: Path, service: Any) -> Store:
    """Four pairs with captions by a model, vectors, and cosines to an evaluation set."""
    samples = {number: (gradient(37 * number), f"words no {number}") for number in range(4)}
    put_samples(tmp_path / "in.tar", samples)
    put_tar(tmp_path / "set.tar", {"a.png": gradient(37 * 9)})
    content = {
        "input": {"path": str(tmp_path / "in.tar"), "unit_pairs": 2},
        "embed": {"model": "pairsieve-tiny", "pretrained": "demo", "precision": "fp32"},
        "captions": {"url": service.url, "model": "org/model", "prompt": "{text}"},
        "decontaminate": {
            "sets": [{"name": "mine", "path": str(tmp_path / "set.tar")}],
            "vectors": True,
        },
        "shard": {"vectors": "npy", "text": {"recaption": 1.0}},
    }
    dataset = Store.at(tmp_path / "out")
    recipe = Recipe.model_validate(content)
    run(recipe, dataset, Serial(), "default", lambda stage, marker, new=True: None)
    return dataset


def rows_below(store: Store, folder: str) -> set[int]:
    """Return the rows in the Parquet files below a folder."""
    found: set[int] = set()
    for path in store.paths():
        if path.startswith(f"{folder}/") and path.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(store.read(path)))
            found |= set(table["row"].to_pylist()) if "row" in table.column_names else set()
    return found


def put_index(store: Store, model: str, body: bytes) -> str:
    """Put an index for search that holds this."""
    path = result(index_folder(model), ".faiss")
    with store.writer(path) as sink:
        sink.write(body)
    marker = Marker(4, {path: sink.entry()}, {}, {"fingerprint": "0"})
    store.write(marker_path(index_folder(model)), marker.dumps())
    return path


def test_no_byte_is_left_in_what_models_made(store: Store, found_in: FoundIn) -> None:
    (model,) = store.marker_names(EMBED_FOLDER)
    with store.reader("shards/default/manifest.parquet") as source:
        listed = {row["row"]: row for row in pq.read_table(source).to_pylist()}
    uid = listed[GONE]["uid"]
    with tarfile.open(fileobj=io.BytesIO(store.read("shards/default/00000.tar"))) as tar:
        packed = tar.extractfile(f"{uid}.npy")
        assert packed
        vector = np.load(io.BytesIO(packed.read())).tobytes()
    index = put_index(store, model, b"index" + vector)
    sought = {
        "text": b"words no %d" % GONE,
        "caption": b"seen: words no %d" % GONE,
        "vector": vector,
    }
    found = found_in(store, sought)
    assert {name for name, _ in found} == set(sought)
    places = {path.partition("/")[0] for _, path in found}
    assert places >= {CAPTION_FOLDER, EMBED_FOLDER, index.partition("/")[0], "shards"}
    measured = (EMBED_FOLDER, CAPTION_FOLDER, EVALUATION)
    assert all(GONE in rows_below(store, folder) for folder in measured)
    forget.run(store, Serial(), keys({"uid": [uid]}, ()))
    assert found_in(store, sought) == []
    assert not store.exists(index)
    for folder in measured:
        assert rows_below(store, folder) == {0, 2, 3}
    assert [wrong for one in verify.run(store, Serial()) for wrong in one.findings] == []
