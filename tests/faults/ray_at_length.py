"""Runs on Ray of which a process is killed at a seeded moment; `make faults` takes this file.

Whatever is killed, the command ends by itself, in words, leaves no process, and the next one ends
as if undisturbed.
"""

import os
import random
import time
from pathlib import Path

import psutil
import pytest
from tests.faults.test_faults import FIRST, SEEDS, Pool, differences
from tests.faults.test_faults import pool as pool

from pairsieve.pipeline.engine.private_ray import DRIVER

VICTIMS = ("worker", "raylet", "gcs_server", "driver")
PATIENCE_S = 300  # until the command has begun, or has ended
LEFT_S = 60  # until the processes of a killed driver have ended, or the next start ends them


def of_driver(driver: int) -> list[psutil.Process]:
    """Return the processes of Ray that a driver has started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(DRIVER, "").startswith(f"{driver}:"):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def kill(victim: str, driver: int, chance: random.Random) -> bool:
    """Kill one process of that kind; return whether there was one."""
    if victim == "driver":
        psutil.Process(driver).kill()
        return True
    name = "ray::" if victim == "worker" else victim
    found = [one for one in of_driver(driver) if name in " ".join(one.cmdline())]
    if found:
        chance.choice(found).kill()
    return bool(found)


def files(dataset: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(dataset))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(1, SEEDS // 10)))
def test_a_run_on_ray_of_which_a_process_is_killed_ends_as_if_undisturbed(
    pool: Pool, seed: int
) -> None:
    chance = random.Random(seed)
    dataset, victim = f"ray{seed}", VICTIMS[seed % len(VICTIMS)]
    moment = chance.randint(1, files(pool.folder / "undisturbed"))
    run = pool.start(dataset, "ray")
    until = time.monotonic() + PATIENCE_S
    while run.poll() is None and time.monotonic() < until:
        if files(pool.folder / dataset) >= moment and kill(victim, run.pid, chance):
            break
        time.sleep(0.02)
    said = run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode in ((-9,) if victim == "driver" else (0, 1)), said
    assert "Traceback" not in said
    again = pool.start(dataset, "ray")
    assert again.communicate(timeout=2 * PATIENCE_S)[0] is not None
    assert again.returncode == 0
    left = [*of_driver(run.pid), *of_driver(again.pid)]
    assert psutil.wait_procs(left, LEFT_S)[1] == []
    assert differences(pool.result(dataset), pool.expected) == []
