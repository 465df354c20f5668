"""A decoder that takes its process down, for real: Ray's workers die of a segmentation fault."""

import faulthandler
import io
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import BmpImagePlugin, Image, ImageFile

from pairsieve.pipeline import gather, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Item, Result, State
from pairsieve.pipeline.image import decode
from pairsieve.schemas.recipe import Recipe

Serve = Callable[[Path], str]


def crash(file: io.BytesIO) -> ImageFile.ImageFile:
    """Decode a BMP as Pillow does, but die of one that is 13 px wide, as of a bug in C."""
    image = BmpImagePlugin.BmpImageFile(file)
    if image.size[0] == 13:
        faulthandler.disable()
        signal.raise_signal(signal.SIGSEGV)
    return image


class Crashing:
    """An engine in whose workers the decoder of BMP is `crash`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.workers = engine.workers
        self.tasks = 0

    def map_with(
        self,
        setup: Callable[[], State],
        function: Callable[[State, Item], Result],
        items: Iterable[Item],
        **options: Any,
    ) -> Iterator[tuple[Item, Any]]:
        def with_crash() -> State:
            decode.PILLOW["bmp"] = crash  # in a process that does nothing else
            return setup()

        for item, result in self.engine.map_with(with_crash, function, items, **options):
            self.tasks += 1
            yield item, result


def test_a_crash_in_a_decoder_costs_one_pair(tmp_path: Path, serve: Serve, ray: Engine) -> None:
    web = tmp_path / "web"
    web.mkdir()
    widths = (13, 9, 10)
    for width in widths:
        Image.new("RGB", (width, 20), (200, 0, 0)).save(web / f"{width}.bmp")
    base = serve(web)
    urls = [f"{base}/{width}.bmp" for width in widths]
    made = Recipe.model_validate(
        {
            "input": {"path": str(tmp_path / "pairs.parquet")},
            "fetch": {
                "user_agent": "test (+mailto:test@example.org)",
                "robots": "ignore",
                "per_host_per_s": 10_000,
                "host_failures": 10_000,
                "allow_networks": ["127.0.0.0/8"],
                "ports": [int(base.rpartition(":")[2])],
            },
        }
    )
    pq.write_table(pa.table({"url": urls, "text": urls}), made.input.path)
    store = Store.at(tmp_path / "dataset")
    engine: Any = Crashing(ray)
    markers = dict(gather.run(made, store, plan.run(made, store), engine))
    counts = [marker.counts for marker in markers.values()]
    assert sum(each.get("ok", 0) for each in counts) == 2
    assert sum(each.get("crashed", 0) for each in counts) == 1
    (crashed,) = [marker for marker in markers.values() if "crashed" in marker.counts]
    with store.reader(crashed.file(".parquet")) as source:
        (row,) = pq.read_table(source).to_pylist()
    assert (row["url"], row["outcome"]) == (urls[0], "crashed")
    assert row["image_file"] is None
    assert engine.tasks == 3  # all of it, then the first pair and the other two


def test_a_picture_that_eats_memory_costs_one_pair(tmp_path: Path, ray: Engine) -> None:
    """It has few bytes and as many pixels as the recipe allows: more than a process may hold."""
    bodies = []
    for side in (9, 13_000, 10):
        file = io.BytesIO()
        Image.new("RGB", (side, side), (200, 0, 0)).save(file, "PNG", compress_level=1)
        bodies.append({"bytes": file.getvalue(), "path": f"{side}.png"})
    texts = [f"text {number}" for number in range(3)]
    pq.write_table(pa.table({"image": bodies, "text": texts}), tmp_path / "pairs.parquet")
    made = Recipe.model_validate(
        {
            "input": {"path": str(tmp_path / "pairs.parquet"), "image": "image", "unit_pairs": 1},
            "resources": {"gather": {"cpus": 0.5, "memory": "500MB"}},
        }
    )
    store = Store.at(tmp_path / "dataset")
    for _ in gather.run(made, store, plan.run(made, store), ray):
        continue
    found: dict[int, dict[str, Any]] = {}
    for marker in store.markers("gather").values():
        with store.reader(marker.file(".parquet")) as source:
            found |= {row["row"]: row for row in pq.read_table(source).to_pylist()}
    assert [found[row]["outcome"] for row in range(3)] == ["ok", "crashed", "ok"]
    assert found[1]["detail"] == "ActorDiedError"
