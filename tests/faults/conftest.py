"""A store behind a faulty proxy, and a run whose result is known."""

import io
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.faults.faulty_s3 import FaultyS3

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.run import ProgressListener, run
from pairsieve.schemas.recipe import Recipe

Made = tuple[Recipe, dict[str, bytes]]


@pytest.fixture
def proxy(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """Start the proxy; stores that are opened from now on go through it."""
    with closing(FaultyS3(os.environ["AWS_ENDPOINT_URL"])) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_TIMEOUT", "1s")
        yield proxy


@pytest.fixture
def dataset(proxy: FaultyS3, s3: str, tmp_path: Path) -> Store:
    """A store of its own, in which nothing is."""
    return Store.at(f"{s3}/{tmp_path.name}")


def recipe(folder: Path) -> Recipe:
    """Return one on some pictures that need not be fetched."""
    images = []
    for number in range(12):
        file = io.BytesIO()
        coarse = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((160, 120)).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": f"{number}.png"})
    texts = [f"picture number {number}" for number in range(12)]
    pq.write_table(pa.table({"image": images, "text": texts}), folder / "pairs.parquet")
    pairs = {"path": str(folder / "pairs.parquet"), "image": "image", "unit_pairs": 5}
    return Recipe.model_validate({"input": pairs, "shard": {"samples": 5}})


def go(
    recipe: Recipe, store: Store, listener: ProgressListener = lambda *_, **__: None
) -> dict[str, bytes]:
    """Run all of it; return the shards."""
    run(recipe, store, Serial(), "default", listener)
    names = [path for path, _, _ in store.list("shards") if path.endswith((".tar", "sizes.json"))]
    return {name: store.read(name) for name in names}


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A recipe, and the shards that it makes on a disk."""
    folder = tmp_path_factory.mktemp("made")
    said = recipe(folder)
    return said, go(said, Store.at(folder / "dataset"))
