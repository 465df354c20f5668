"""Runs that are killed at every kind of step, or disturbed: what they end with is the same.

`make faults` takes 100 seeds, or those that the environment says; the tests a few.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from PIL import Image
from tests.jobs.conftest import command

from pairsieve.pipeline import gc, verify
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.status import status

SEEDS = int(os.environ.get("PAIRSIEVE_FAULT_SEEDS", "2"))
FIRST = int(os.environ.get("PAIRSIEVE_FIRST_SEED", "0"))
SCRIPT = Path(__file__).with_name("run_killed.py")
COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]
VIEWS = (
    *("ledger", "fetches", "funnel", "outcomes", "duplicates", "cluster_sizes", "hosts"),
    *("languages", "histograms", "measures", "statuses", "host_answers"),
)
# Of the moment and the attempt: pictures are stored in the order in which they come.
MOMENT = ("fetched_at", "fetch_ms", "milliseconds", "image_file", "image_offset")


class Pool:
    """Pairs on a web server, a recipe for them, and what comes of them undisturbed."""

    def __init__(self, folder: Path, base: str) -> None:
        self.recipe = folder / "recipe.yaml"
        self.folder = folder
        lines = ["url,text"]
        for number in range(24):
            name = "gone" if number % 7 == 3 else number % 9  # copies, and answers of 404
            lines.append(f"{base}/{name}.png,a picture of kind {number % 5} and more of it")
        (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
        fetch = {"user_agent": "test (a@b.example)", "per_host_per_s": 100_000, "retries": 0}
        fetch |= {"allow_networks": ["127.0.0.0/8"], "ports": [int(base.rpartition(":")[2])]}
        text: dict[str, Any] = {"input": {"path": "pairs.csv", "unit_pairs": 5}, "fetch": fetch}
        text["shard"] = {"samples": 4}
        self.recipe.write_text(yaml.safe_dump(text))
        self.steps = int(self.killed("undisturbed", 0, "before").stdout)
        self.expected = self.result("undisturbed")

    def killed(self, dataset: str, step: int, when: str) -> subprocess.CompletedProcess[str]:
        """Run in a process that dies at a step; 0 for never."""
        arguments = [str(self.recipe), str(self.folder / dataset), str(step), when]
        return subprocess.run(
            [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
        )

    def start(self, dataset: str, engine: str = "serial") -> subprocess.Popen[str]:
        """Start the command itself."""
        place = str(self.folder / dataset)
        words = [*COMMAND, "run", str(self.recipe), "--dataset", place, "--engine", engine]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, dataset: str) -> None:
        """Run the command itself, to the end, in this process."""
        place = self.folder / dataset
        done = command("run", self.recipe, "--dataset", place, "--engine", "serial")
        assert done.returncode == 0, done.stderr

    def result(self, dataset: str) -> dict[str, Any]:
        """Return everything that a run must always end with; nothing else may be left."""
        store = Store.at(self.folder / dataset)
        gc.run(store, 0, False)
        assert gc.run(store, 0, True) == []
        assert status(store, "default").complaints == []
        shards = self.folder / dataset / "shards/default"
        found: dict[str, Any] = {
            file.name: file.read_bytes() for file in [*shards.glob("*.tar"), shards / "sizes.json"]
        }
        database = self.folder / dataset / "report/default/stats.duckdb"
        with duckdb.connect(str(database), read_only=True) as connection:
            for view in VIEWS:
                relation = connection.table(view)
                lasting = [name for name in relation.columns if name not in MOMENT]
                rows = relation.project(*lasting).to_arrow_table().to_pylist()
                kept = [row for row in rows if row[lasting[0]] not in MOMENT]
                for number, row in enumerate(sorted(kept, key=repr)):
                    found |= {f"{view} {number} {name}": value for name, value in row.items()}
        return found


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[Path], str]) -> Pool:
    web = tmp_path_factory.mktemp("web")
    for number in range(9):
        coarse = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((160, 120)).save(web / f"{number}.png")
    return Pool(tmp_path_factory.mktemp("pool"), serve(web))


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return what is not the same, as text to read."""
    names = sorted({*found, *expected})
    return [
        f"{name}: {found.get(name)!r:.500} instead of {expected.get(name)!r:.500}"
        for name in names
        if found.get(name) != expected.get(name)
    ]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_a_run_killed_at_any_steps_ends_as_if_undisturbed(pool: Pool, seed: int) -> None:
    chance = random.Random(seed)
    dataset = f"killed{seed}"
    for _ in range(chance.randint(1, 3)):
        step = chance.randint(1, pool.steps)
        ended = pool.killed(dataset, step, chance.choice(("before", "after")))
        assert ended.returncode in (0, -9), ended.stderr
    pool.finish(dataset)

    assert differences(pool.result(dataset), pool.expected) == []
    checks = verify.run(Store.at(pool.folder / dataset), Serial())
    assert [finding for checked in checks for finding in checked.findings] == []


@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(1, SEEDS // 10)))
def test_two_runs_at_once_end_as_one(pool: Pool, seed: int) -> None:
    dataset = f"twice{seed}"
    both = [pool.start(dataset), pool.start(dataset)]
    said = [process.communicate()[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert differences(pool.result(dataset), pool.expected) == []


def test_a_clock_that_is_set_forth_and_back_changes_nothing(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, real = random.Random(0), time.time
    monkeypatch.setattr(time, "time", lambda: real() + chance.uniform(-30, 30) * 3600)
    pool.finish("clock")
    monkeypatch.undo()
    assert differences(pool.result("clock"), pool.expected) == []
