"""Durations of the input are text in the samples' JSON, whatever their unit."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.run import run
from pairsieve.pipeline.samples.durations import seconds
from pairsieve.schemas.recipe import Recipe


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [
        (0, "ms", "PT0S"),
        (90, "s", "PT90S"),
        (1500, "ms", "PT1.5S"),
        (-1, "us", "-PT0.000001S"),
        (2**63 - 1, "ns", "PT9223372036.854775807S"),
    ],
)
def test_a_duration_is_written_in_seconds_to_its_last_digit(
    count: int, unit: str, text: str
) -> None:
    assert seconds(count, unit) == text


def test_durations_of_the_input_keep_their_unit(
    tmp_path: Path, serve: Callable[[Path], str]
) -> None:
    (tmp_path / "web").mkdir()
    Image.linear_gradient("L").save(tmp_path / "web/a.png")
    base = serve(tmp_path / "web")
    columns: dict[str, Any] = {"url": [f"{base}/a.png"] * 2, "text": ["a", "b"]}
    for unit in ("s", "ms", "us", "ns"):
        columns[unit] = pa.array([1500, None], pa.duration(unit))
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    fetch = {
        "user_agent": "test/1 (+mailto:a@example.org)",
        "allow_networks": ["127.0.0.0/8"],
        "ports": [int(base.rpartition(":")[2])],
        "robots": "ignore",
    }
    content = {"input": {"path": str(tmp_path / "p.parquet")}, "fetch": fetch}
    store = Store.at(tmp_path / "out")
    recipe = Recipe.model_validate(content)
    run(recipe, store, Serial(), "default", lambda stage, marker, new=True: None)
    with tarfile.open(tmp_path / "out/shards/default/00000.tar") as tar:
        files = [tar.extractfile(member) for member in tar if member.name.endswith("json")]
        samples = {told["text"]: told for file in files if file for told in [json.load(file)]}
    units = {key: samples["a"].get(key) for key in ("s", "ms", "us", "ns")}
    assert units == {"s": "PT1500S", "ms": "PT1.5S", "us": "PT0.0015S", "ns": "PT0.0000015S"}
    assert not units.keys() & samples["b"].keys()
