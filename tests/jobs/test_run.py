"""The whole pipeline, disturbed and undisturbed: the shards must be the same bytes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil
import pytest
import yaml
from tests.jobs.conftest import command

from pairsieve.jobs.demo import recipe_text
from pairsieve.jobs.demo_web.build import TRUTH
from pairsieve.jobs.demo_web.defects import DEFECTS
from pairsieve.jobs.demo_web.score import score_defects
from pairsieve.jobs.demo_web.server import serve_demo_web

PAIRS = 200
UNIT = 40
COMMAND = [sys.executable, "-c", "from pairsieve.jobs.cli import main; main()"]


@dataclass
class Demo:
    """A demo web that is being served, and the recipe for it."""

    folder: Path
    recipe: Path

    def start(self, dataset: str, *options: str) -> subprocess.Popen[str]:
        """Start `pairsieve run` in a process of its own, which an interrupt reaches.

        Shells let what they start in the background ignore interrupts, and children inherit that.
        """
        place = str(self.folder / dataset)
        return subprocess.Popen(
            [*COMMAND, "run", str(self.recipe), "--dataset", place, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run_serially(self, dataset: str) -> Path:
        """Run to the end in this very process; return the dataset's folder."""
        place = self.folder / dataset
        done = command("run", self.recipe, "--dataset", place, "--engine", "serial")
        assert done.returncode == 0, done.stderr
        return place


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("road")
    with serve_demo_web(folder / "web", 1, PAIRS) as web:
        recipe = yaml.safe_load(recipe_text(folder, web.site))
        recipe["input"]["unit_pairs"] = UNIT
        recipe["fetch"] |= {"first_byte_timeout_s": 1, "timeout_s": 2, "max_bytes": 2_000_000}
        recipe["shard"] = {"samples": 30}
        recipe["embed"]["precision"] = "fp32"  # each process that embeds would quantize for 1 CPU-s
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        yield Demo(folder, folder / "recipe.yaml")


@pytest.fixture(scope="module")
def undisturbed(demo: Demo) -> Path:
    """The dataset of a run in one process."""
    return demo.run_serially("serial")


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a run that must succeed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output


def shards(dataset: Path) -> dict[str, str]:
    """The checksum of every shard and of what describes them."""
    files = [*(dataset / "shards/default").glob("*.tar"), dataset / "shards/default/sizes.json"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def wait_for(found: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until `found`, while the run goes on."""
    while not found():
        assert process.poll() is None, "the run ended before it could be disturbed"
        time.sleep(0.005)


def committed(dataset: Path, folder: str, count: int) -> Callable[[], bool]:
    return lambda: len(list(dataset.glob(f"{folder}/*.json"))) >= count


def kill_one(process: subprocess.Popen[str], title: str) -> None:
    """Kill one of the run's processes whose title begins with `title`."""

    def killed() -> bool:
        for child in psutil.Process(process.pid).children(recursive=True):
            if cmdline(child).startswith(title):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
                    return True
        return False

    wait_for(killed, process)


def cmdline(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def test_a_killed_driver_then_a_killed_worker_and_a_killed_model_change_nothing(
    demo: Demo, undisturbed: Path
) -> None:
    dataset = demo.folder / "killed"
    running = demo.start("killed", "--engine", "ray", "--workers", "2")
    wait_for(committed(dataset, "gather", 1), running)
    running.kill()
    running.communicate()
    done = {marker.name: marker.read_bytes() for marker in dataset.glob("gather/*.json")}
    assert 0 < len(done) < PAIRS // UNIT
    assert not (dataset / "shards").exists()
    running = demo.start("killed", "--engine", "ray", "--workers", "2")
    kill_one(running, "ray::_CpuActor.call")  # with a unit in hand
    wait_for(committed(dataset, "embed/*", 1), running)
    kill_one(running, "ray::_Actor")
    finish(running)
    assert shards(dataset) == shards(undisturbed)
    for name, marker in done.items():
        assert (dataset / "gather" / name).read_bytes() == marker


def test_every_pair_has_one_ledger_row_and_they_add_up(undisturbed: Path) -> None:
    status = json.loads(command("status", undisturbed, "--json").stdout)
    assert status["adds_up"]
    assert status["pairs"] == PAIRS == sum(status["outcomes"].values())
    assert status["failed"] + status["dropped"] + status["kept"] == PAIRS
    assert 0 < status["in_shards"] == status["kept"]
    with duckdb.connect(
        str(undisturbed / "report/default/stats.duckdb"), read_only=True
    ) as statistics:
        rows = statistics.execute("SELECT row FROM ledger ORDER BY row").fetchall()
    assert [row for (row,) in rows] == list(range(PAIRS))


def test_all_that_was_planted_and_can_be_found_is_found(demo: Demo, undisturbed: Path) -> None:
    scores = score_defects(undisturbed / "report/default/stats.duckdb", demo.folder / "web" / TRUTH)
    assert len(scores) == len(DEFECTS)
    missed = {s.defect: s.planted - s.detected for s in scores}
    missed.pop("phrase")  # of so few pairs too few share one
    assert {defect: pairs for defect, pairs in missed.items() if pairs} == {}


def test_running_again_does_nothing(demo: Demo, undisturbed: Path) -> None:
    def state() -> dict[str, int]:
        files = (path for path in undisturbed.rglob("*") if path.is_file())
        return {str(path): path.stat().st_mtime_ns for path in files if path.suffix != ".duckdb"}

    before = state()
    demo.run_serially("serial")
    after = state()
    page = str(undisturbed / "report/default/report.html")
    del before[page], after[page]
    assert after == before


def test_an_interrupt_says_how_to_go_on(demo: Demo) -> None:
    running = demo.start("interrupted", "--engine", "ray", "--workers", "1")
    wait_for(committed(demo.folder / "interrupted", "gather", 1), running)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate()
    assert running.returncode == 1
    assert "the same command goes on from here" in output


def test_gc_deletes_only_what_no_marker_names(demo: Demo, undisturbed: Path) -> None:
    leftovers = [
        undisturbed / "gather/00000000.0123456789ab.tar",
        undisturbed / "embed/other/00000000.0123456789ab.scores.parquet",
        undisturbed / "shards/default/00000.tar#1",
    ]
    before = {path for path in undisturbed.rglob("*") if path.is_file()}
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"left behind")
    os.utime(leftovers[0], (time.time() + 3600, time.time() + 3600))
    said = command("gc", undisturbed, "--min-age-h", "0").stdout
    assert said == "deleted 2 files, 22 bytes\n"
    assert {path for path in undisturbed.rglob("*") if path.is_file()} == before | {leftovers[0]}
    leftovers[0].unlink()
