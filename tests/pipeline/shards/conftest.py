"""A small pool to pack: pairs with images that lie in one tar, two of them copies of a third."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import select, shard
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.schemas.columns import GROUPED, ROW, arrow_schema
from pairsieve.schemas.recipe import Recipe

PAIRS = 40
KEEPER, COPIES = 7, (3, 21)  # rows

Packed = Callable[..., Store]


def image(row: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (row + 8, 9), (row, 0, 0)).save(sink, "JPEG")
    return sink.getvalue()


@pytest.fixture
def pool(tmp_path: Path, put_gathered: Callable[..., None]) -> Store:
    """A gathered and grouped dataset of `PAIRS` pairs."""
    store = Store.at(tmp_path / "dataset")
    rows: list[dict[str, Any]] = []
    body = b""
    for row in range(PAIRS):
        size = len(image(row))
        rows.append({"image_file": "gather/i.tar", "image_offset": len(body), "image_bytes": size})
        body += image(row)
    store.write("gather/i.tar", body)
    put_gathered(store, rows)
    grouped: list[dict[str, Any]] = [
        {"row": row, "repeated": False, "duplicate_of": f"{KEEPER:032x}" if row in COPIES else None}
        for row in range(PAIRS)
    ]
    grouped[KEEPER]["captions"] = [f"pair {KEEPER}", " a &amp; b", "c"]
    table = pa.Table.from_pylist(grouped, arrow_schema((ROW, *GROUPED)))
    with store.writer("group/000000000000.parquet") as sink:
        pq.write_table(table, sink)
    files = {"group/000000000000.parquet": sink.entry()}
    store.write("group/done.json", Marker(PAIRS, files, {}, {"fingerprint": "0"}).dumps())
    return store


@pytest.fixture
def packed(pool: Store) -> Packed:
    """Return a function that selects from the pool and packs by options of `shard`."""

    def pack(engine: Engine | None = None, keep: str = "row <> 5", **options: Any) -> Store:
        content = {"input": {"path": "p"}, "keep": [{"where": keep}], "shard": options}
        recipe = Recipe.model_validate(content)
        select.run(recipe, pool, Serial(), "default")
        list(shard.run(recipe, pool, engine or Serial(), "default"))
        return pool

    return pack
