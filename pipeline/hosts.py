"""Whose turn it is: hosts take turns, and each has at most so many transfers at once.

libcurl could queue by itself (`M_MAX_HOST_CONNECTIONS`), but there a transfer's deadline runs while
it waits for its turn, so a long queue for one host would look like a slow host.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Job = TypeVar("Job")


@dataclass(slots=True)
class _Host(Generic[Job]):
    name: str
    active: int = 0
    waiting: deque[Job] = field(default_factory=deque)


class Hosts(Generic[Job]):
    """The jobs that wait, by host. Every operation takes constant time."""

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, _Host[Job]] = {}
        self._ready: deque[_Host[Job]] = deque()  # exactly those with a job and a free place

    def add(self, name: str, job: Job, first: bool = False) -> None:
        """Let `job` wait for the host `name`, last or, if `first`, before all others."""
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(name)
        if not host.waiting and host.active < self._per_host:
            self._ready.append(host)
        if first:
            host.waiting.appendleft(job)
        else:
            host.waiting.append(job)

    def take(self) -> Job | None:
        """Return the next job, which takes one of its host's places, or None if all must wait."""
        if not self._ready:
            return None
        host = self._ready.popleft()
        job = host.waiting.popleft()
        host.active += 1
        if host.waiting and host.active < self._per_host:
            self._ready.append(host)
        return job

    def leave(self, name: str) -> None:
        """Give back a place that `take` took at the host `name`."""
        host = self._hosts[name]
        if host.waiting and host.active == self._per_host:
            self._ready.append(host)
        host.active -= 1
        if not host.active and not host.waiting:
            del self._hosts[name]
