"""Filters of the user's own in the whole pipeline: ledger, rules, JSON of samples, changed code."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image
from tests.input_tar import put_samples

from pairsieve.filters import own
from pairsieve.pipeline import check, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.rules import rules
from pairsieve.pipeline.run import run
from pairsieve.pipeline.selections import overrides
from pairsieve.schemas import recipe_file
from pairsieve.schemas.errors import BadOption

FILTERS = """
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pairsieve.schemas.columns import LUMA, TEXT, Column

LETTERS = Column("letters", pa.int32(), "characters", "Characters of the text.")
BRIGHT = Column("bright", pa.float32(), "[0, 255]", "Mean luma.", in_sample=True)


@dataclass(frozen=True)
class Letters:
    reads = (TEXT,)
    writes = (LETTERS,)
    most: int = 100

    def measure(self, text):
        return np.array([len(one) for one in text], np.int32)

    def rule(self):
        return f"letters <= {self.most}"


@dataclass(frozen=True)
class Bright:
    reads = (LUMA, LETTERS)
    writes = (BRIGHT,)
    least: float = 0

    def measure(self, luma, letters):
        return np.array([one.mean() for one in luma], np.float32)

    def rule(self):
        return f"bright >= {self.least!r}"
"""
LEVELS = [20, 60, 100, 140, 180, 220]
TEXTS = ["a", "bb", "ccc", "dddd", "eeeeeeee", "ff"]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Write grey pictures, the filters and a recipe with rules of both; return its path."""
    samples = {}
    for number, (level, text) in enumerate(zip(LEVELS, TEXTS, strict=True)):
        sink = io.BytesIO()
        noise = np.random.default_rng(number).integers(-15, 16, (40, 50))
        Image.fromarray((noise + level).astype(np.uint8)).save(sink, "PNG")
        samples[number] = sink.getvalue(), text
    put_samples(tmp_path / "in.tar", samples)
    (tmp_path / "mine.py").write_text(FILTERS)
    content: dict[str, Any] = {
        "input": {"path": "in.tar", "unit_pairs": 4},
        "filters": {"files": ["mine.py"]},
        "keep": [{"letters": {"most": 7}, "gate": True}, {"bright": {"least": 80}}],
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(content))
    return path


def walk(path: Path, engine: Engine | None = None) -> Store:
    store = Store.at(path.parent / "out")
    read = recipe_file.load(path)
    run(read, store, engine or Serial(), "default", lambda stage, marker, new=True: None)
    return store


def test_they_measure_gate_and_decide(recipe: Path) -> None:
    store = walk(recipe)
    with connect(store) as connection:
        attach(connection, store, selection="default")
        query = (
            "SELECT text, letters, bright, outcome, keep, first_failing FROM ledger ORDER BY row"
        )
        rows = connection.execute(query).fetchall()
    assert [row[1] for row in rows] == list(map(len, TEXTS))
    assert [row[2] for row in rows if row[2] is not None] == pytest.approx(
        LEVELS[:4] + LEVELS[5:], abs=1
    )
    assert [row[3] for row in rows] == ["ok"] * 4 + ["gated", "ok"]
    assert [row[0] for row in rows if row[4]] == ["ccc", "dddd", "ff"]
    assert [row[5] for row in rows] == ["bright", "bright", None, None, "letters", None]
    tar = str(recipe.parent / "out/shards/default/00000.tar")
    samples = [json.loads(s["json"]) for s in webdataset.WebDataset(tar, shardshuffle=False)]
    assert len(samples) == 3
    assert all("bright" in sample and "letters" not in sample for sample in samples)


def test_their_options_are_set_and_checked(recipe: Path) -> None:
    read = overrides.load(recipe, ["letters.most=3"])
    assert [rule.sql for rule in rules(read)][-2:] == [
        "letters <= 3",
        "bright >= 80.0",
    ]
    wrong = overrides.load(recipe, ["letters.moost=3"])
    with pytest.raises(BadOption, match="letters.moost: unknown option; .* mean `most`"):
        check.check(wrong, verbs=["select"])


def test_other_code_is_refused_for_what_is_measured(recipe: Path) -> None:
    store = Store.at(recipe.parent / "out")
    plan.run(recipe_file.load(recipe), store)
    mine = recipe.parent / "mine.py"
    mine.write_text(mine.read_text().replace("one.mean()", "one.max()"))
    own._loaded.cache_clear()
    with pytest.raises(BadOption, match="filters"):
        plan.run(recipe_file.load(recipe), store)


def test_workers_of_ray_find_them(recipe: Path, ray: Engine) -> None:
    store = walk(recipe, ray)
    marker = store.marker("select/default/done.json")
    assert marker is not None
    assert marker.counts["kept"] == 3
