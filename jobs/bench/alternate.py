"""Alternating runs of contestants, each in a process of its own that measures itself.

CPU-seconds of user and kernel by `resource.getrusage`, after everything is imported and warm. The
contestants take turns, so that what else the machine does meanwhile meets all of them; the median
of the runs stands for each. Wall-clock time is never compared: it depends on the machine's load.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pairsieve.schemas.errors import BadOption, Stopped

ENVIRONMENT = Path(".venv-img2dataset")  # made by `make img2dataset`, in the checkout
PINS = "jobs/bench/img2dataset.txt"
# Keeps img2dataset's libraries from looking on the network for newer versions of themselves, and
# all from spreading over cores: the CPU time of one is what is compared.
QUIET = {
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "WANDB_MODE": "disabled",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
_STDERR_CHARS = 2_000

Result = dict[str, Any]
Cost = TypeVar("Cost")


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who does the work: a command to which the job is given as JSON, and which answers so."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def ours(name: str, module: str, *arguments: str, **environment: str) -> Contestant:
    """Return a contestant that runs in this environment."""
    return Contestant(name, (sys.executable, "-m", module, *arguments), environment)


def theirs(name: str, python: Path, script: str, *arguments: str, **environment: str) -> Contestant:
    """Return a contestant that runs a script of `bench_contestants` with img2dataset's Python."""
    path = Path(__file__).parents[1] / "bench_contestants" / script
    # -P: the script's own folder is not searched, whose files would hide the standard library's.
    return Contestant(name, (str(python), "-P", str(path), *arguments), environment)


def img2dataset_python(path: Path | None) -> Path:
    """Return the interpreter of img2dataset's environment, by default the checkout's.

    Raises:
        BadOption: there is none.
    """
    checkout = Path(__file__).resolve().parents[2] / ENVIRONMENT / "bin/python"
    python = path or checkout
    if not python.is_file():
        raise BadOption(
            f"--img2dataset-python: {python} does not exist; make it with `make img2dataset`, or "
            f"give the interpreter of an environment with the packages of {PINS}, or leave "
            "img2dataset out with --without-img2dataset"
        )
    return python


def alternating(
    contestants: Iterable[Contestant], job: Mapping[str, Any], runs: int
) -> dict[str, list[Result]]:
    """Return what each contestant measured, run by run; they take turns."""
    return in_turns([(each.name, partial(answer, each, job)) for each in contestants], runs)


def in_turns(
    contestants: Iterable[tuple[str, Callable[[], Cost]]],
    runs: int,
    echo: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Cost]]:
    """Return by name what each contestant gave, run by run; `echo` hears of a run before it."""
    ordered = list(contestants)
    costs: dict[str, list[Cost]] = {name: [] for name, _ in ordered}
    for number in range(runs):
        for name, run in ordered:
            echo(f"{name}, run {number + 1} of {runs} ...")
            costs[name].append(run())
    return costs


def answer(contestant: Contestant, job: Mapping[str, Any]) -> Result:
    """Return what the contestant says about one run of `job`.

    Raises:
        Stopped: it ended otherwise than with an answer.
    """
    done = subprocess.run(
        contestant.command,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET, **contestant.environment},
    )
    if done.returncode:
        raise Stopped(f"bench: {contestant.name} failed:\n{done.stderr[-_STDERR_CHARS:]}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def median(results: Iterable[Result], key: str = "cpu_s") -> float:
    """Return the median over the runs."""
    return statistics.median(float(result[key]) for result in results)


def ratio(ours: float, theirs: float) -> str:
    """Return `ours` as a share of `theirs`, as printed."""
    return f"{ours / theirs:.2f}" if theirs else "-"


def cpu_s() -> float:
    """Return the CPU-seconds this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def serve_job(work: Callable[[Result], Result]) -> None:
    """Read the job from standard input, do it, print the answer: the other side of `answer`."""
    print(json.dumps(work(json.load(sys.stdin))))
