"""A process that takes more than it may is killed; what others did is not touched."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pairsieve.pipeline.engine import fits
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.engine.memory_cap import machine_bytes
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_resources import Held, Resources

TAKING = """
import sys, time
from pairsieve.pipeline.engine.memory_cap import capped
with capped(int(sys.argv[1])):
    taken = bytearray(200_000_000)
    taken[::4096] = bytes(len(taken[::4096]))
    time.sleep(float(sys.argv[2]))
print("alive")
"""

READING = """
import mmap, sys, time
from pairsieve.pipeline.engine.memory_cap import capped
with capped(150_000_000), open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert sum(mapped[::4096]) == 0
    time.sleep(0.2)
print("alive")
"""


def taking(limit: int, wait_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", TAKING, str(limit), str(wait_s)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_process_that_takes_more_is_killed() -> None:
    killed = taking(150_000_000, 30)
    assert (killed.returncode, killed.stdout) == (-9, "")


def test_a_process_that_takes_less_is_let_be() -> None:
    done = taking(600_000_000, 0.1)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_files_that_are_only_read_do_not_count(tmp_path: Path) -> None:
    """Libraries are such files: on one machine they lie in memory, on the next they do not."""
    with open(tmp_path / "library", "wb") as file:
        file.write(bytes(200_000_000))
    done = subprocess.run(
        [sys.executable, "-c", READING, file.name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


@pytest.mark.parametrize(
    ("stage", "held", "says"),
    [
        ("gather", {"cpus": 3}, r"^resources.gather.cpus: at most 2, .*\(`--workers`\), got 3; a"),
        ("embed", {"memory": "900TB"}, r"^resources.embed.memory: at most .*GB, .*got 900000GB; a"),
        ("tasks", {"labels": {"spot": 1}}, "^resources.tasks.labels: .* none, got `spot`; a clu"),
    ],
)
def test_what_this_machine_has_not_is_refused(stage: str, held: dict[str, Any], says: str) -> None:
    with pytest.raises(BadOption, match=says):
        fits.check_here(Resources.model_validate({stage: held}), 2)


def test_what_this_machine_has_is_not_refused() -> None:
    gather = Held(cpus=2, memory=f"{machine_bytes() // 10**6}MB")
    fits.check_here(Resources(gather=gather), 2)


def test_no_actors_are_waited_for_that_have_no_room(ray: Engine) -> None:
    """As of a model whose processes have none while gather's hold all."""
    made = ray.map_with(lambda: 10, plus, [1, 2, 3, 4], per_cpu=2, held=Held(cpus=2))
    sums = (value for _, value in made if isinstance(value, int))
    results = dict(ray.map_with(lambda: 100, plus, sums, held=Held(cpus=1)))
    assert results == {number: number + 100 for number in (11, 12, 13, 14)}


def plus(state: int, number: int) -> int:
    return state + number


def test_memory_that_is_held_bounds_how_many_work_at_once(ray: Engine) -> None:
    held = Held(cpus=0, memory=f"{machine_bytes() * 6 // 10**7}MB")
    pids = dict(ray.map_with(os.getpid, lambda state, _: state, range(4), held=held))
    assert len(set(pids.values())) == 1
