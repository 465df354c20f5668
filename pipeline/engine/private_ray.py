"""A Ray of one command's own: started on loopback, watched while it works, and never left behind.

Its processes carry in their environment which process started them. So the next start finds and
ends what outlived a command that was killed: Ray's helper processes stay for a minute and more.
"""

import logging
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from pairsieve.pipeline.dataset import lease
from pairsieve.pipeline.engine.memory_cap import machine_bytes
from pairsieve.schemas.errors import Stopped

DRIVER = "PAIRSIEVE_RAY_DRIVER_STARTED"  # in the environment: whose processes
OBJECT_STORE_BYTES = 128 << 20  # results are small: no data travels through Ray's object store
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
STARTED_TOO_SLOWLY = "timed out during startup"  # in what Ray raises
CHECK_S = 5
VITAL = ("gcs_server", "raylet")  # those of its processes without which no task runs
# What starts others, each a Python of its own: the autoscaler's, those of logs and dashboard.
HELPERS = ("start_monitor", "start_log_monitor", "start_api_server")


class PrivateRay:
    """Starts it, and knows the processes without which it cannot work."""

    def __init__(self, workers: int | None) -> None:
        """Start a Ray of so many workers; default: as many as there are processors.

        It is reachable only with a token made here and kept in this process and its children:
        Ray's own default would write one into the home folder.

        Raises:
            Stopped: the machine is too busy to start it.
        """
        end_leftovers()
        # Ray turns 127.0.0.1 into the machine's outer address unless clusters are off.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Of many threads glibc would keep what each has freed: a fourth of the memory.
        os.environ.setdefault("MALLOC_ARENA_MAX", "1")
        import ray

        with _marked(), _without_helpers(), _told_if_too_slow():
            ray.init(
                address="local",
                num_cpus=workers or os.cpu_count(),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                _memory=machine_bytes(),  # as the recipe counts it, whatever is free just now
                **QUIET,
            )
        children = psutil.Process().children()
        self._vital = [child for child in children if child.name() in VITAL]
        self._checked = time.monotonic()

    def check(self) -> None:
        """Look every few seconds whether a vital process has ended; Ray ends the driver in 60 s.

        Raises:
            Stopped: one has.
        """
        if time.monotonic() - self._checked > CHECK_S:
            self._checked = time.monotonic()
            check_running(self._vital)


def check_running(processes: Iterable[psutil.Process]) -> None:
    """Raise if a process has ended.

    Raises:
        Stopped: one has.
    """
    for process in processes:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise ended(process.name())


def ended(what: str) -> Stopped:
    """Return the error that says that Ray ended before the work did."""
    return Stopped(
        f"Ray itself was killed or failed before the work was done ({what}), often for want of "
        "memory; nothing committed is lost, and the same command goes on from there"
    )


def end_leftovers() -> None:
    """End the processes of this user's private Rays whose drivers are gone."""
    mine = os.getuid()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.uids().real == mine and _is_left(process):
                process.kill()


def _is_left(process: psutil.Process) -> bool:
    """Return whether a process was started for a driver that has ended, on this machine."""
    mark = process.environ().get(DRIVER)
    if not mark or process.pid == os.getpid():
        return False
    if lease.number_space(process.pid) != lease.number_space(os.getpid()):
        return False
    number, _, start = mark.partition(":")
    return lease.has_ended(int(number), float(start))


def _mark(driver: int) -> str:
    """Return what tells a process from a later one with the same number."""
    return f"{driver}:{lease.started(driver):.2f}"


@contextmanager
def _marked() -> Iterator[None]:
    """Mark the processes that are started meanwhile; their titles leave the environment alone."""
    os.environ |= {DRIVER: _mark(os.getpid()), "SPT_NOENV": "1"}
    yield
    del os.environ[DRIVER], os.environ["SPT_NOENV"]


@contextmanager
def _without_helpers() -> Iterator[None]:
    """Let Ray start without the processes that no task needs; it has no option for them."""
    from ray._private.node import Node

    starts = {name: getattr(Node, name) for name in HELPERS if hasattr(Node, name)}
    for name in starts:
        setattr(Node, name, _not_started)
    try:
        yield
    finally:
        for name, start in starts.items():
            setattr(Node, name, start)


def _not_started(node: Any, **_: Any) -> None:
    """Stand for the start of a helper; Ray asks for the dashboard's address later on."""
    node._webui_url = ""


@contextmanager
def _told_if_too_slow() -> Iterator[None]:
    """Tell the one failure to start that is no fault: Ray gives its processes half a minute."""
    try:
        yield
    except Exception as error:  # of no narrower class
        if STARTED_TOO_SLOWLY not in str(error):
            raise
        raise Stopped(
            "Ray did not start in its 30 s, so the machine is too busy; run again, or say "
            "`--engine serial`"
        ) from error
