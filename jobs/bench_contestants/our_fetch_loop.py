"""What one unit costs inside pairsieve's fetch: memory, scheduling, and Python beside libcurl.

Time spent in libcurl and the kernel is read around every call into them and every wait; what
libcurl calls back counts as Python. Reading the clock costs about as much as the shortest of these
calls, so what measuring costs is measured too and taken off, and the whole is measured in a run
without.
"""

import functools
import resource
import select
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pycurl

from pairsieve.jobs.bench.alternate import Result, cpu_s, serve_job
from pairsieve.jobs.bench_contestants.our_fetch import options
from pairsieve.pipeline.fetch import host_queue
from pairsieve.pipeline.fetch.client import fetch
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.outcomes import Outcome

_STATUS = Path("/proc/self/status")
_MULTI_CALLS = ("socket_action", "add_handle", "remove_handle", "info_read", "setopt", "close")
_CURL_CALLS = ("setopt", "getinfo", "getinfo_raw", "errstr", "pause", "reset", "close")
_WAITS = ("poll", "register", "modify", "unregister", "close")

clock = time.thread_time


class Meter:
    """CPU-seconds spent in some calls of one thread, without what they call back."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._readings = 0
        self._called_back = 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, measured; what it is given to call back is taken off."""

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            arguments = tuple(self._off(each) if callable(each) else each for each in arguments)
            began = clock()
            try:
                return function(*arguments)
            finally:
                self._spent += clock() - began
                self._readings += 1

        return call

    def _off(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = clock()
            try:
                return function(*arguments)
            finally:
                self._spent -= clock() - began
                self._readings += 1
                self._called_back += 1

        return call

    def spent_s(self) -> float:
        """Return the sum, without what measuring added to it."""
        return self.with_calls_back_s() - self._called_back * _call_back_s()

    def with_calls_back_s(self) -> float:
        """Return the sum, without what reading the clock added to it."""
        return self._spent - self._readings * _reading_s()


def _reading_s() -> float:
    """Return what reading the clock costs, s."""
    readings = [clock() for _ in range(10_000)]
    return statistics.median(b - a for a, b in zip(readings, readings[1:], strict=False))


def _call_back_s() -> float:
    """Return what it costs, besides reading the clock, that a call back is measured, s."""
    meter, times = Meter(), 10_000
    meter.timed(functools.reduce)(lambda total, _: total, range(times + 1))
    return meter.with_calls_back_s() / times


def _subclass(base: Any, calls: tuple[str, ...], meter: Meter) -> Any:
    """Return the class with these methods measured, as far as it has them."""
    methods = {name: meter.timed(getattr(base, name)) for name in calls if hasattr(base, name)}
    return type(base.__name__, (base,), methods)


class _Epoll:
    """The system's epoll, measured."""

    def __init__(self, inner: Any, meter: Meter) -> None:
        for name in _WAITS:
            setattr(self, name, meter.timed(getattr(inner, name)))


def watch_libcurl() -> Meter:
    """Measure from now on every call into libcurl and every wait, made by new loops."""
    meter = Meter()
    names: Any = pycurl
    names.CurlMulti = _subclass(pycurl.CurlMulti, _MULTI_CALLS, meter)
    names.Curl = _subclass(pycurl.Curl, _CURL_CALLS, meter)
    if hasattr(select, "epoll"):
        system: Any = select
        inner = select.epoll
        system.epoll = lambda: _Epoll(inner(), meter)
    return meter


def watch_scheduling() -> Meter:
    """Measure from now on everything that decides which host is next."""
    meter = Meter()
    for name, method in list(vars(host_queue.HostQueue).items()):
        if callable(method) and not name.startswith("_"):
            setattr(host_queue.HostQueue, name, meter.timed(method))
    return meter


def unit(job: Result) -> Result:
    """Fetch the job's images; return the loop's CPU time and the peak of memory."""
    fetch_options = options(job["port"], job["concurrency"])
    list(fetch(job["urls"][:1], fetch_options))  # everything imported
    before, began = _memory("VmRSS"), _elsewhere_s()
    for fetched in fetch(job["urls"], fetch_options):
        if fetched.outcome is not Outcome.OK:
            raise Stopped(f"bench: {fetched.url}: {fetched.outcome}: {fetched.detail}")
        if job["pause_s"]:
            time.sleep(job["pause_s"])
    return {
        "loop_us": 1e6 * (_elsewhere_s() - began) / len(job["urls"]),
        "peak_mb": (_memory("VmHWM") - before) / 1e6,
    }


def _elsewhere_s() -> float:
    """Return the CPU-seconds of all threads but this one: of the loop's, there is no other."""
    return cpu_s() - clock()


def _memory(which: str) -> int:
    """Return a line of the process's status, bytes; elsewhere than on Linux, the peak so far."""
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(which))
    return int(line.split()[1]) * 1024


def work(job: Result) -> Result:
    """Fetch one unit, and watch what the argument names."""
    watch = {"libcurl": watch_libcurl, "scheduling": watch_scheduling, "nothing": Meter}[
        sys.argv[1]
    ]
    meter = watch()
    result = unit(job)
    return {**result, "watched_us": 1e6 * meter.spent_s() / (len(job["urls"]) + 1)}


if __name__ == "__main__":
    serve_job(work)
