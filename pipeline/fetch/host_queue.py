"""Whose turn it is: hosts take turns, each with so many requests at once and so many per second.

libcurl could queue by itself (`M_MAX_HOST_CONNECTIONS`), but there a transfer's deadline runs while
it waits for its turn, so a long queue for one host would look like a slow host.

The rate is a token bucket of a tenth of a second's worth, one token at least, filled so much more
slowly that no second ever sees more requests than the rate, rounded up. So up to 19 per second
requests are evenly spaced.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from pairsieve.schemas.recipe import Fetch

BACKOFF_S = 0.5  # after a first failure; doubles with each further one
Job = TypeVar("Job")


def back_off_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row, s."""
    wait: float = BACKOFF_S * 2 ** min(failures - 1, 20)
    return wait


@dataclass(slots=True)
class _Host(Generic[Job]):
    spacing: float  # s between two tokens
    burst: float  # s that the tokens of a full bucket are worth, less one token
    slots: int  # requests at once
    active: int = 0
    queued: bool = False  # in line, or on the calendar
    filled: float = 0.0  # when the bucket will be full again, monotonic clock
    backed_off_until: float = 0.0  # monotonic clock
    waiting: deque[Job] = field(default_factory=deque)

    def due(self) -> float:
        """Return when the next request may be sent."""
        return max(self.backed_off_until, self.filled - self.burst)


class HostQueue(Generic[Job]):
    """The jobs that wait, by host. Every operation takes O(log hosts) at most."""

    def __init__(
        self, per_host: int, per_s: float = 1e6, own: Mapping[str, tuple[int, float]] | None = None
    ) -> None:
        """Prepare for hosts that see at most `per_host` requests at once, `per_s` per second.

        Hosts of which `own` says both are the exceptions.
        """
        self._usual, self._own = (per_host, per_s), own or {}
        self._hosts: dict[str, _Host[Job]] = {}
        self._line: deque[_Host[Job]] = deque()  # may have a turn now
        self._calendar: list[tuple[float, int, _Host[Job]]] = []  # heap: due, ticket, host
        self._tickets = itertools.count()

    @classmethod
    def of(cls, options: Fetch, among: int) -> Self:
        """Return the queue of one of `among` that share what the recipe lets a host see."""
        own = {name: (pace.connections, pace.per_s) for name, pace in options.hosts.items()}
        usual = options.per_host_connections, options.per_host_per_s

        def part(slots: int | None, per_s: float | None) -> tuple[int, float]:
            return max(1, (slots or usual[0]) // among), (per_s or usual[1]) / among

        return cls(*part(*usual), {name: part(*pace) for name, pace in own.items()})

    def add(self, name: str, job: Job, first: bool = False) -> None:
        """Let `job` wait for the host `name`, last or, if `first`, before all others."""
        host = self._host(name)
        if first:
            host.waiting.appendleft(job)
        else:
            host.waiting.append(job)
        self._queue(host)

    def take(self, now: float) -> Job | None:
        """Return the next job, which takes a token and a slot, or None if all must wait.

        A host whose time has come goes before those that have not begun: its connection is open.
        """
        while self._calendar and self._calendar[0][0] <= now:
            self._line.appendleft(heapq.heappop(self._calendar)[2])
        while self._line:
            host = self._line.popleft()
            host.queued = False
            if not host.waiting or host.active >= host.slots:
                continue
            if host.due() > now:
                self._queue(host)  # backed off since it was put in line
                continue
            job = host.waiting.popleft()
            host.active += 1
            host.filled = max(host.filled, now) + host.spacing
            self._queue(host, now)
            return job
        return None

    def next_due(self) -> float | None:
        """Return when a host that waits for its time may have a turn, if one waits for that."""
        return self._calendar[0][0] if self._calendar else None

    def release(self, name: str) -> None:
        """Give back a slot that `take` took at the host `name`."""
        host = self._hosts[name]
        host.active -= 1
        self._queue(host)

    def back_off(self, name: str, until: float) -> None:
        """Send nothing to the host `name` before `until`."""
        host = self._host(name)
        host.backed_off_until = max(host.backed_off_until, until)

    def slow_down(self, name: str, spacing: float) -> None:
        """Leave at least `spacing` seconds between requests to the host `name`."""
        host = self._host(name)
        if spacing > host.spacing:
            host.filled = max(0.0, host.filled - host.burst - host.spacing + spacing)
            host.spacing, host.burst = spacing, 0.0

    def withdraw(self, name: str, withdrawn: Callable[[Job], bool]) -> list[Job]:
        """Return the jobs that wait for the host `name` and are `withdrawn`, which wait no more."""
        host = self._host(name)
        jobs = list(host.waiting)
        host.waiting = deque(job for job in jobs if not withdrawn(job))
        return [job for job in jobs if withdrawn(job)]

    def discard(self, discarded: Callable[[Job], bool], now: float) -> None:
        """Forget the jobs that are `discarded`, and the hosts of which nothing need be known."""
        for name, host in list(self._hosts.items()):
            if any(map(discarded, host.waiting)):
                host.waiting = deque(job for job in host.waiting if not discarded(job))
            if not (host.waiting or host.active or host.queued) and host.due() <= now:
                del self._hosts[name]

    def _host(self, name: str) -> _Host[Job]:
        host = self._hosts.get(name)
        if host is None:
            slots, per_s = self._own.get(name, self._usual)
            tokens = max(1.0, per_s // 10)
            spacing = 1 / (per_s - (tokens - 1))
            host = self._hosts[name] = _Host(spacing, (tokens - 1) * spacing, slots)
        return host

    def _queue(self, host: _Host[Job], now: float = 0.0) -> None:
        """Put `host` in line or on the calendar if it has a job and a slot and is in neither."""
        if host.queued or not host.waiting or host.active >= host.slots:
            return
        host.queued = True
        due = host.due()
        if due <= now:
            self._line.append(host)
        else:
            heapq.heappush(self._calendar, (due, next(self._tickets), host))
