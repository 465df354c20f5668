"""Processes: whether one still runs, told by its number and its start, and where numbers hold."""

import os

import psutil

ROUNDED_S = 0.01  # a start may have been written down in hundredths


def has_ended(pid: int, started: float) -> bool:
    """Return whether the process of that number and start, seconds since 1970, has ended."""
    try:
        process = psutil.Process(pid)
        is_zombie = bool(process.status() == psutil.STATUS_ZOMBIE)
        return is_zombie or abs(process.create_time() - started) > ROUNDED_S
    except psutil.NoSuchProcess:
        return True


def number_space(pid: int) -> str:
    """Return what tells the process numbers that `pid` sees from those of other containers."""
    space = f"/proc/{pid}/ns/pid"
    return os.readlink(space) if os.path.exists(space) else ""
