"""The recipes of the page on captions, run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from pairsieve.jobs.cli import app

PAGE = (Path(__file__).parents[2] / "docs/captions.md").read_text(encoding="utf-8")
RECIPES = {
    title: yaml.safe_load(block)
    for title, block in re.findall(r"^## (.*?)\n.*?^```yaml\n(.*?)^```", PAGE, re.M | re.S)
}
SIZES = {"tall.png": (210, 640), "small.png": (200, 300)}
PAIRS = [  # caption, image
    ("a small brown dog runs across the snow", "0.png"),
    ("一只棕色的小狗在雪地里奔跑", "1.png"),
    ("небольшая коричневая собака бежит по снегу", "2.png"),
    ("a small brown dog in the snow.JPG", "3.png"),
    ("a&nbsp;dog<br>in the snow", "4.png"),
    ("call me at +1 212 736 5000 about this dog", "5.png"),
    ("a dog in the snow " * 6, "6.png"),
    ("a dog in the deep white snow", "tall.png"),
    ("another dog in the deep white snow", "small.png"),
]


def run(title: str, folder: Path, serve: Callable[[Path], str]) -> list[tuple[Any, ...]]:
    """Run a recipe of the page; return caption and first failing rule of each pair."""
    web = folder / "web"
    web.mkdir()
    for number, (_, name) in enumerate(PAIRS):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize(SIZES.get(name, (240, 320))).save(web / name)
    base = serve(web)
    table = {
        "url": [f"{base}/{name}" for _, name in PAIRS],
        "caption": [caption for caption, _ in PAIRS],
    }
    pq.write_table(pa.table(table), folder / "pairs.parquet")
    port = int(base.rpartition(":")[2])
    near = {"allow_networks": ["127.0.0.0/8"], "ports": [port], "per_host_per_s": 1000}
    recipe = RECIPES[title]
    recipe = recipe | {"fetch": recipe["fetch"] | near}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True))
    out = ("--dataset", str(folder / "out"), "--engine", "serial")
    done = CliRunner().invoke(app, ["run", str(folder / "recipe.yaml"), *out])
    assert done.exit_code == 0, done.output
    with duckdb.connect(
        str(folder / "out/report/default/stats.duckdb"), read_only=True
    ) as connection:
        return connection.execute("SELECT first_failing FROM ledger ORDER BY row").fetchall()


# By the page's words: the pair's caption says what should drop it.
EXPECTED = {
    "Chinese and English": [
        *(None, None, "language", "caption_quality", None, "personal_data", "caption_repetition"),
        *("aspect_ratio", None),
    ],
    "As ALIGN's": [
        *(None, "caption_words", None, None, None, None, "caption_words"),
        *("aspect_ratio < 3", "size"),
    ],
}


@pytest.mark.parametrize("title", RECIPES)
def test_recipe_keeps_what_it_says(
    title: str, tmp_path: Path, serve: Callable[[Path], str]
) -> None:
    assert [failing for (failing,) in run(title, tmp_path, serve)] == EXPECTED[title]


def test_every_recipe_of_the_page_is_run() -> None:
    assert RECIPES.keys() == EXPECTED.keys()
