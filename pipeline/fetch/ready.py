"""Which sockets can go on: epoll by itself where there is one, else what Python's selectors choose.

The selectors keep an object per socket and are written in Python; with a new connection for every
request that was a tenth of the loop's time.
"""

import select
import selectors
from typing import Protocol

READ, WRITE = 1, 2  # as libcurl has them: POLL_IN, POLL_OUT, and the sum for both


class Ready(Protocol):
    """Sockets, by file descriptor, and what is waited for at each."""

    def watch(self, fd: int, events: int) -> None:
        """Wait for `events` at `fd`, whatever was waited for before."""
        ...

    def forget(self, fd: int) -> None:
        """Wait for nothing at `fd`, if anything was waited for."""
        ...

    def wait(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Return (fd, events) of those that can go on, as soon as there are some; None: no limit.

        A socket in error can go on both ways.
        """
        ...

    def close(self) -> None:
        """Give back what the system holds for this."""
        ...


class Epoll:
    """Linux."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._asked = (0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT)
        self._not_in, self._not_out = ~select.EPOLLIN, ~select.EPOLLOUT

    def watch(self, fd: int, events: int) -> None:
        """Wait for `events` at `fd`."""
        if fd in self._watched:
            self._epoll.modify(fd, self._asked[events])
        else:
            self._epoll.register(fd, self._asked[events])
            self._watched.add(fd)

    def forget(self, fd: int) -> None:
        """Wait for nothing at `fd`."""
        if fd in self._watched:
            self._watched.remove(fd)
            self._epoll.unregister(fd)

    def wait(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Return (fd, events) of those that can go on."""
        found = self._epoll.poll(timeout_s, max(1, len(self._watched)))
        return [
            (fd, bool(event & self._not_out) * READ + bool(event & self._not_in) * WRITE)
            for fd, event in found
        ]

    def close(self) -> None:
        """Close the epoll's own descriptor."""
        self._epoll.close()


class Selector:
    """Any system."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: set[int] = set()

    def watch(self, fd: int, events: int) -> None:
        """Wait for `events` at `fd`."""
        if fd in self._watched:
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)
            self._watched.add(fd)

    def forget(self, fd: int) -> None:
        """Wait for nothing at `fd`."""
        if fd in self._watched:
            self._watched.remove(fd)
            self._selector.unregister(fd)

    def wait(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Return (fd, events) of those that can go on."""
        return [(key.fd, events) for key, events in self._selector.select(timeout_s)]

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()


def ready() -> Ready:
    """Return the best there is on this system."""
    return Epoll() if hasattr(select, "epoll") else Selector()
