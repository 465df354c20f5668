"""The process's time zone, locale and hash seed change no byte of what is decided."""

import datetime
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

MAIN = "from pairsieve.jobs.cli import main; main()"
RECIPE = """
input: {{path: pairs.parquet}}
fetch:
  user_agent: "test/1 (+mailto:a@example.org)"
  allow_networks: [127.0.0.0/8]
  ports: [{port}]
  per_host_per_s: 1000
keep:
  - caption_words: {{min_words: 2}}
  - where: "hour(shot) >= 2 AND shot < '2024-03-11'"
  - duplicate: {{max_distance: 4}}
shard: {{samples: 3}}
"""
EAST = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
WEST = {"TZ": "America/New_York", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "12345"}
DECIDED = ("group", "select", "shards")
GROUPED = "group/blocks/*/000000.*.parquet"
BLOCK = "select/default/blocks/*/000000.*.parquet"  # of verdicts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> Path:
    """Pairs with times of all kinds; the pictures are served."""
    folder = tmp_path_factory.mktemp("environment")
    base = serve(folder)
    for number in range(8):
        coarse = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((160, 120)).save(folder / f"{number}.png")
    moments = [
        datetime.datetime(2024, 3, 10, hour, 30, tzinfo=datetime.UTC) for hour in range(1, 9)
    ]
    pairs = {
        "url": [f"{base}/{number}.png" for number in range(8)],
        "text": [f"İmage nº {number}" for number in range(8)],
        "shot": pa.array(moments, pa.timestamp("us", "America/New_York")),
        "day": [moment.date() for moment in moments],
        "ratios": [[0.1 * number, float("nan")] for number in range(8)],
    }
    pq.write_table(pa.table(pairs), folder / "pairs.parquet")
    (folder / "recipe.yaml").write_text(RECIPE.format(port=base.rpartition(":")[2]))
    return folder


def decided(folder: Path, name: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the checksums of what a run in that environment decides, by name."""
    options = ["run", str(folder / "recipe.yaml"), "--dataset", str(folder / name)]
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *options, "--engine", "serial"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {
        re.sub(r"[0-9a-f]{12,}", "*", str(path.relative_to(folder / name))): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for part in DECIDED
        for path in (folder / name / part).rglob("*")
        if path.is_file() and path.name != "done.json"  # which names the files
    }


def test_neither_time_zone_nor_locale_nor_hash_seed_changes_a_byte(folder: Path) -> None:
    east = decided(folder, "east", EAST)
    assert {GROUPED, BLOCK, "shards/default/00002.tar"} <= set(east)
    assert decided(folder, "west", WEST) == east
