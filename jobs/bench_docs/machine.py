"""What figures were measured on, and with which pairsieve."""

import os
import platform
import subprocess
from pathlib import Path

from pairsieve.pipeline.models.clip_model import available_cpus

GIB = 1 << 30


def description() -> str:
    """Return processor, memory, system and commit in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    parts = [
        f"{available_cpus()} cores of {_processor()}",
        f"{memory:.0f} GiB",
        f"{platform.system()} {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}",
        f"commit {_commit()}",
    ]
    return ", ".join(parts)


def load() -> float:
    """Return how many processes wanted a core in the last minute; beyond the cores, all slows."""
    return os.getloadavg()[0]


def _processor() -> str:
    """Return the processor's name as Linux has it, or else its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """Return the commit of the checkout, with `+` if files of it were changed."""
    checkout = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
