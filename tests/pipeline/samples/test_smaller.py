"""Images made smaller while they are packed: by area averages, the same in every way of packing."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import select, shard
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.samples.smaller import Smaller
from pairsieve.schemas.recipe import Recipe

SIZES = [(64, 40), (40, 90), (20, 30), (16, 64), (48, 32)]  # width, height


def recipe(layout: str = "webdataset", mix: str = "pool", format: str = "png") -> Recipe:
    options = {"image": {"min_side": 20}, "layout": layout, "mix": mix, "samples": 3}
    return Recipe.model_validate(
        {"input": {"path": "p"}, "image": {"format": format}, "shard": options}
    )


def smaller(format: str = "png") -> Smaller:
    found = Smaller.of(recipe(format=format), 1)
    assert found
    return found


def coded(pixels: Any, format: str = "PNG") -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format)
    return sink.getvalue()


def pixels(body: bytes) -> Any:
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("RGB"))


def noise(width: int, height: int) -> Any:
    return np.random.default_rng(width).integers(0, 255, (height, width, 3), np.uint8)


def test_a_pixel_is_the_mean_of_those_that_it_covers() -> None:
    picture = noise(64, 40)
    means = picture.reshape(20, 2, 32, 2, 3).astype(float).mean((1, 3))
    made = pixels(bytes(smaller().image(coded(picture))))
    assert made.shape == (20, 32, 3)
    assert np.abs(made - means).max() <= 0.51


def test_an_image_that_is_no_larger_keeps_its_bytes() -> None:
    body = coded(noise(16, 64), "JPEG")
    assert smaller("jpg").image(body) is body


def test_a_jpeg_stays_one() -> None:
    body = bytes(smaller("jpg").image(coded(noise(64, 40), "JPEG")))
    with Image.open(io.BytesIO(body)) as image:
        assert (image.format, image.size) == ("JPEG", (32, 20))


def test_the_columns_say_the_size_that_images_will_have() -> None:
    table = pa.table({"stored_width": [64, 16, None], "stored_height": [40, 64, None]})
    described = smaller().described(table).to_pydict()
    assert described == {"stored_width": [32, 16, None], "stored_height": [20, 64, None]}


@pytest.fixture
def store(tmp_path: Path, put_gathered: Callable[..., None]) -> Store:
    dataset = Store.at(tmp_path / "dataset")
    body, rows = b"", []
    for width, height in SIZES:
        image = coded(noise(width, height))
        at = {"image_file": "gather/i.tar", "image_offset": len(body), "image_bytes": len(image)}
        rows.append({**at, "stored_width": width, "stored_height": height})
        body += image
    dataset.write("gather/i.tar", body)
    put_gathered(dataset, rows)
    return dataset


def packed(store: Store, **options: str) -> dict[str, bytes]:
    """Pack; return the image of each sample."""
    asked = recipe(**options)
    select.run(asked, store, Serial(), "default")
    list(shard.run(asked, store, Serial(), "default"))
    images: dict[str, bytes] = {}
    for path in (path for path, _, _ in store.list("shards/default")):
        body = io.BytesIO(store.read(path))
        if path.endswith(".tar"):
            with tarfile.open(fileobj=body) as tar:
                for member in (one for one in tar if one.name.endswith(".png")):
                    file = tar.extractfile(member)
                    assert file
                    images[member.name[:-4]] = file.read()
        elif path.rpartition("/")[2].startswith("0000") and "members" not in path:
            rows = pq.read_table(body).to_pylist()
            images |= {row["uid"]: row["image"]["bytes"] for row in rows}
    return images


def test_every_way_of_packing_gives_the_same_images(store: Store) -> None:
    expected = packed(store)
    sizes = [pixels(expected[f"{row:032x}"]).shape[:2] for row in range(len(SIZES))]
    assert sizes == [(20, 32), (45, 20), (30, 20), (64, 16), (20, 30)]
    for layout in ("webdataset", "parquet"):
        for mix in ("pool", "window"):
            assert packed(store, layout=layout, mix=mix) == expected
