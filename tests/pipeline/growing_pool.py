"""A tiny pool that grows: tars of pictures by number, and what is in its dataset."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image
from tests.input_tar import put_samples

from pairsieve.pipeline import verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.status import status
from pairsieve.schemas.recipe import Recipe

Files = dict[str, bytes]


def add(folder: Path, name: str, numbers: dict[int, int]) -> None:
    """Write a tar of captions with the pictures of these numbers."""
    samples = {}
    for number, shown in numbers.items():
        sink = io.BytesIO()
        image = Image.linear_gradient("L").rotate(23 * shown).convert("RGB")
        side = 60 + number  # of two with the same picture the later is larger
        image.resize((side, side)).save(sink, "PNG")
        samples[number] = sink.getvalue(), f"picture no {number}"
    put_samples(folder / name, samples)


def recipe(folder: Path, mix: str = "pool", packed: Any = None, **sections: Any) -> Recipe:
    shards: dict[str, Any] = {"samples": 3, "mix": mix} | (
        {"window_units": 2} if mix == "window" else {}
    )
    shards |= packed or {}
    shards = {key: value for key, value in shards.items() if value is not None}
    content: dict[str, Any] = {
        "input": {"path": str(folder / "in"), "format": "webdataset", "unit_pairs": 2},
        "group": {"prefer": ["pixels"]},
        "keep": [{"duplicate": {}}],
        "shard": shards,
    }
    return Recipe.model_validate(content | sections)


def files(store: Store, folder: str = "", suffix: str = "") -> Files:
    return {p: store.read(p) for p in store.paths() if p.startswith(folder) and p.endswith(suffix)}


def keys_in(store: Store) -> list[str]:
    """Return the keys of all samples."""
    found = []
    for body in files(store, "shards/", ".tar").values():
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            found += [name[:-4] for name in tar.getnames() if name.endswith(".txt")]
    return sorted(found)


def indexed(store: Store) -> dict[str, int]:
    """Return the samples per shard that the index for wids has."""
    listed = json.loads(store.read("shards/default/index.json"))["shardlist"]
    return {shard["url"]: shard["nsamples"] for shard in listed}


def check_clean(store: Store) -> None:
    found = [one for checked in verify.run(store, Serial()) for one in checked.findings]
    assert found == []
    assert status(store, "default").complaints == []
