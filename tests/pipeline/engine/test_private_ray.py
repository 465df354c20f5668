import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pairsieve.pipeline.dataset import lease
from pairsieve.pipeline.engine.engine import Engine, open_engine
from pairsieve.pipeline.engine.private_ray import DRIVER, check_running, end_leftovers
from pairsieve.schemas.errors import Stopped

# A driver whose Ray loses its scheduler in the middle of the work, and that is killed then.
DYING_DRIVER = """
import os, signal, time
import psutil
from pairsieve.pipeline.engine.engine import open_engine
from pairsieve.schemas.errors import Stopped

def work(number):
    if number == 3:
        psutil.Process().parent().kill()  # the raylet
    time.sleep(0.5)

engine = open_engine("ray", workers=1)
try:
    list(engine.map(work, range(100)))
except Stopped as error:
    print(f"Stopped: {error}", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def marked(driver: str) -> list[psutil.Process]:
    """Return the processes that carry the mark of this driver."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(DRIVER, "").startswith(driver):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_ray_that_dies_is_a_clear_stop_and_its_processes_are_ended_at_the_next_start(
    tmp_path: Path,
) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DYING_DRIVER)
    driver = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    said, _ = driver.communicate(timeout=120)

    assert "Stopped: Ray itself was killed or failed before the work was done" in said
    assert "the same command goes on from there" in said
    assert marked(f"{driver.pid}:")
    end_leftovers()
    psutil.wait_procs(marked(f"{driver.pid}:"), timeout=10)
    assert not marked(f"{driver.pid}:")


def test_no_process_is_started_that_no_task_needs(ray: Engine) -> None:
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    assert [command for command in commands if "raylet/raylet" in command]
    assert [c for c in commands if re.search(r"/(monitor|log_monitor|dashboard)\.py", c)] == []


@contextmanager
def sleepers(*marks: str) -> Iterator[list[psutil.Process]]:
    """Start processes that do nothing, each with its mark in the environment."""
    started = [subprocess.Popen(["sleep", "600"], env=os.environ | {DRIVER: m}) for m in marks]
    try:
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_only_processes_whose_driver_has_ended_are_ended() -> None:
    me = psutil.Process()
    gone = subprocess.Popen(["true"])
    gone.wait()
    marks = [f"{me.pid}:{lease.started(me.pid):.2f}", "", f"{gone.pid}:1.00", f"{me.pid}:1.00"]
    with sleepers(*marks) as processes:
        end_leftovers()
        ended, running = psutil.wait_procs(processes[2:], timeout=10)
        assert (len(ended), running) == (2, [])
        check_running(processes[:2])


def test_a_vital_process_that_has_ended_is_noticed() -> None:
    with sleepers("", "") as processes:
        check_running(processes)
        processes[1].kill()
        while processes[1].status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        with pytest.raises(Stopped, match=r"Ray itself was killed or failed .*\(sleep\)"):
            check_running(processes)


def test_ray_that_starts_too_slowly_is_a_clear_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with ten times as much to do as it can: Ray raises a bare Exception."""
    raised = Exception("The current node timed out during startup. This could happen because ...")

    def init(**_: object) -> None:
        raise raised

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(Stopped, match=r"Ray did not start in its 30 s.*`--engine serial`"):
        open_engine("ray")
    raised = Exception("another")
    with pytest.raises(Exception, match="another"):
        open_engine("ray")
