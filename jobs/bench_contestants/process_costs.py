"""What a command costs with every process that it starts: seconds, CPU-seconds, peak memory.

The command itself says at its end what it has used. The others are looked at a few times a second,
so that what they use between the last look and their end is missing; their peak memory is that of
the kernel where it keeps one (Linux), else the largest seen. Nobody keeps what of it is a process's
own, without the code of libraries that others share: that is the largest seen.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pairsieve.schemas.errors import Stopped

LOOK_EVERY_S = 0.25


class ProcessCost(NamedTuple):
    """What a command has cost.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: User and kernel, of all its processes.
        driver_mb: Largest memory of its first process.
        other_mb: Largest memory of one of the others, 0 without any.
        printed: What it wrote to standard output.
        own_mb: Largest memory of one of them that it did not share; 0 where the system cannot say.
    """

    wall_s: float
    cpu_s: float
    driver_mb: float
    other_mb: float
    printed: str
    own_mb: float = 0.0


class Use(NamedTuple):
    """What a process has used so far: CPU-seconds, peak memory, and what of it was its own, MB."""

    cpu_s: float = 0.0
    peak_mb: float = 0.0
    own_mb: float = 0.0


def measured(arguments: list[str]) -> ProcessCost:
    """Run a command of pairsieve's and return its cost.

    Raises:
        Stopped: it fails.
    """
    module = "pairsieve.jobs.bench_contestants.our_command"
    return cost_of([sys.executable, "-m", module, *arguments])


def cost_of(command: list[str], environment: Mapping[str, str] | None = None) -> ProcessCost:
    """Run a command whose last line says its own `cpu_s` and `peak_mb`; return what all have cost.

    Raises:
        Stopped: it fails.
    """
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=printed, stderr=errors, env=environment)
        used = _watched(process)
        wall_s = time.perf_counter() - began
        if process.returncode:
            last = _content(errors)[-2000:]
            raise Stopped(f"bench: `{' '.join(command)}` failed:\n{last}")
        text, _, last = _content(printed).rstrip("\n").rpartition("\n")
    own = json.loads(last)
    own_mb = max((use.own_mb for use in used.values()), default=0.0)
    used.pop(process.pid, None)
    cpu_s = own["cpu_s"] + sum(use.cpu_s for use in used.values())
    other_mb = max((use.peak_mb for use in used.values()), default=0.0)
    return ProcessCost(wall_s, cpu_s, own["peak_mb"], other_mb, text, own_mb)


def _content(file: BinaryIO) -> str:
    """Return all that a file holds."""
    file.seek(0)
    return file.read().decode(errors="replace")


def _watched(process: "subprocess.Popen[bytes]") -> dict[int, Use]:
    """Wait for the process; return what it and each one that it started have used, by id."""
    import psutil

    first = psutil.Process(process.pid)
    costs: dict[int, Use] = {}
    while process.poll() is None:
        try:
            family = [first, *first.children(recursive=True)]
        except psutil.Error:
            family = []
        for one in family:
            try:
                times, memory = one.cpu_times(), one.memory_info()
                before = costs.get(one.pid, Use())
                own_mb = (memory.rss - getattr(memory, "shared", memory.rss)) / 1e6
                costs[one.pid] = Use(
                    times.user + times.system,
                    max(before.peak_mb, _peak_mb(one)),
                    max(before.own_mb, own_mb),
                )
            except psutil.Error:  # it has ended
                continue
        try:
            process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
    return costs


def _peak_mb(process: "object") -> float:
    """Return the largest memory that a process has had, or has now where nobody remembers."""
    status = Path(f"/proc/{process.pid}/status")  # type: ignore[attr-defined]
    try:
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        return float(process.memory_info().rss) / 1e6  # type: ignore[attr-defined]
