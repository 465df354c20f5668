import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.gathering import rows_of_one_unit
from tests.pipeline.image.drawn_face import FACE, SIZE, person

from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.recipe import Recipe

Serve = Callable[[Path], str]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, serve: Serve) -> str:
    """Return the URL of a picture of fine noise."""
    folder = tmp_path_factory.mktemp("web")
    noise = np.random.default_rng(7).integers(0, 2, (80, 120), np.uint8) * 255
    Image.fromarray(noise).save(folder / "noise.png")
    return f"{serve(folder)}/noise.png"


def gathered(folder: Path, url: str, boxes: pa.Array, **image: Any) -> list[dict[str, Any]]:
    """Gather one pair per value of `boxes`, all with one URL; return the ledger rows."""
    rows = len(boxes)
    made = Recipe.model_validate(
        {
            "input": {"path": str(folder / "pairs.parquet")},
            "fetch": {
                "user_agent": "test (+mailto:test@example.org)",
                "robots": "ignore",
                "per_host_per_s": 10_000,
                "host_failures": 10_000,
                "allow_networks": ["127.0.0.0/8"],
                "ports": [int(url.split(":")[2].split("/")[0])],
            },
            "image": {"format": "png", "blur_boxes": "faces"} | image,
        }
    )
    texts = [f"text {row}" for row in range(rows)]
    pq.write_table(pa.table({"url": [url] * rows, "text": texts, "faces": boxes}), made.input.path)
    store = Store.at(folder / "dataset")
    ledger = rows_of_one_unit(made, store)
    for row in ledger:
        if row["image_file"]:
            byte_range = [row["image_offset"]], [row["image_bytes"]]
            (row["stored"],) = store.read_ranges(row["image_file"], *byte_range)
    return ledger


def left(stored: bytes) -> float:
    with Image.open(io.BytesIO(stored)) as image:
        return float(np.asarray(image)[10:70, 5:55].std())


def test_rows_with_one_url_are_stored_by_what_they_blur(tmp_path: Path, url: str) -> None:
    face = [[0.0, 0.0, 0.5, 1.0]]
    rows = gathered(tmp_path, url, pa.array([[], face, [], face], pa.list_(pa.list_(pa.float32()))))
    assert [row["outcome"] for row in rows] == ["ok"] * 4
    assert rows[0]["stored"] == rows[2]["stored"] != rows[1]["stored"] == rows[3]["stored"]
    assert left(rows[1]["stored"]) < 20 < 100 < left(rows[0]["stored"])
    assert rows[0]["perceptual_hash"] != rows[1]["perceptual_hash"]
    assert len({row["sha256"] for row in rows}) == len({row["fetched_at"] for row in rows}) == 1


def test_what_cannot_be_blurred_is_not_stored_and_the_others_are(tmp_path: Path, url: str) -> None:
    texts = ["[]", None, "[[0.1, 0.1", "[[5, 5, 6, 6]]", "[[0.1, 0.1, 0.2, 0.2]]"]
    rows = gathered(tmp_path, url, pa.array(texts))
    bad = "bad_boxes"
    assert [row["outcome"] for row in rows] == ["ok", bad, bad, bad, "ok"]
    assert [row["detail"] for row in rows[1:3]] == ["missing", "not JSON: '[[0.1, 0.1'"]
    assert all(
        row["image_file"] is row["width"] is row["perceptual_hash"] is None for row in rows[1:4]
    )
    assert all(row["sha256"] and row["http_status"] == 200 for row in rows)


def test_faces_are_found_blurred_and_listed(tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    person().save(folder / "person.png")
    jumper = [[0.4, 0.7, 0.6, 0.9]]
    boxes = pa.array([[], jumper], pa.list_(pa.list_(pa.float32())))
    rows = gathered(tmp_path, f"{serve(folder)}/person.png", boxes, blur="faces", min_side=240)
    assert [row["outcome"] for row in rows] == ["ok", "ok"]
    assert rows[0]["face_boxes"] == rows[1]["face_boxes"]
    ((x0, y0, x1, y1),) = rows[0]["face_boxes"]
    width, height = SIZE
    middle = (x0 + x1) / 2 * width, (y0 + y1) / 2 * height
    assert middle == pytest.approx(((FACE[0] + FACE[2]) / 2, (FACE[1] + FACE[3]) / 2), abs=4)
    assert rows[0]["stored"] != rows[1]["stored"]
