"""A cap on the memory of a process that works on items: one that takes more is killed.

What is counted is what lies in memory and is the process's own: not the code of libraries and what
else is read from files, which is shared, can be dropped, and is counted differently from machine to
machine. A limit of the system's (RLIMIT_AS, RLIMIT_DATA) would fail an allocation instead, wherever
it is: then a decoder may call a good picture broken because others were at work beside it. A
process that is killed has said nothing, and its work is done again, in the end pair by pair; so
what is recorded depends on the pair alone.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

LOOK_S = 0.02  # some 20 MB can be written to meanwhile


@contextmanager
def capped(limit_bytes: int | None) -> Iterator[None]:
    """Kill this process as soon as it has more than `limit_bytes` in memory, until the block ends.

    The watch is a thread: it needs Python's lock, which decoders and queries give away.
    """
    if limit_bytes is None:
        yield
        return
    ended = threading.Event()
    threading.Thread(target=_watch, args=(limit_bytes, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def machine_bytes() -> int:
    """Return the memory of this machine, or of the container that this process is in."""
    total = int(psutil.virtual_memory().total)
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            return min(total, int(file.read()))
    except (OSError, ValueError):  # no container, or one without a limit
        return total


def _watch(limit_bytes: int, ended: threading.Event) -> None:
    process = psutil.Process()
    while not ended.wait(LOOK_S):
        held = process.memory_info()
        if held.rss - held.shared > limit_bytes:
            os.kill(process.pid, signal.SIGKILL)
