"""The event loop under all transfers: libcurl's multi handle on epoll or kqueue.

libcurl says which sockets and which timer it waits for, and is called for those alone, so that the
cost does not grow with the transfers under way; its own `select` ends at 1,024 file descriptors.
One DNS cache, one pool of connections and one set of TLS sessions serve all transfers.

Where there is epoll it is used by itself: Python's selectors keep an object per socket and are
written in Python; with a new connection for every request that was a tenth of the loop's time.
"""

import contextlib
import select
import selectors
import socket
import time
from collections.abc import Iterator
from typing import Any, Protocol

import pycurl

from pairsieve.pipeline.fetch.request import Transfer

READ, WRITE = 1, 2  # as libcurl has them: POLL_IN, POLL_OUT, and the sum for both


class Poller(Protocol):
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
        """Give back what the system keeps for this."""
        ...


class EpollPoller:
    """Linux."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._masks = (0, select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT)
        self._not_in, self._not_out = ~select.EPOLLIN, ~select.EPOLLOUT

    def watch(self, fd: int, events: int) -> None:
        """Wait for `events` at `fd`."""
        if fd in self._watched:
            self._epoll.modify(fd, self._masks[events])
        else:
            self._epoll.register(fd, self._masks[events])
            self._watched.add(fd)

    def forget(self, fd: int) -> None:
        """Wait for nothing at `fd`."""
        if fd in self._watched:
            self._watched.remove(fd)
            self._epoll.unregister(fd)

    def wait(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Return (fd, events) of those that can go on."""
        polled = self._epoll.poll(timeout_s, max(1, len(self._watched)))
        return [
            (fd, bool(event & self._not_out) * READ + bool(event & self._not_in) * WRITE)
            for fd, event in polled
        ]

    def close(self) -> None:
        """Close the epoll's own descriptor."""
        self._epoll.close()


class SelectorPoller:
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


def best_poller() -> Poller:
    """Return the best there is on this system."""
    return EpollPoller() if hasattr(select, "epoll") else SelectorPoller()


class EventLoop:
    """Transfers under way. To be used by one thread at a time, except for `wake`."""

    def __init__(self, max_connections: int) -> None:
        self._poller = best_poller()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._poller.watch(self._woken.fileno(), READ)
        self._due: float | None = None  # when libcurl wants to be called, whatever happens
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)

    def begin(self, transfer: Transfer) -> None:
        """Let `transfer`, which was started, run from the next `wait` on."""
        self._multi.add_handle(transfer.curl)

    def end(self, transfer: Transfer) -> None:
        """Break `transfer` off, or let go of it once it has ended."""
        self._multi.remove_handle(transfer.curl)

    def wait(self, until: float | None) -> Iterator[tuple[Transfer, int, str]]:
        """Move all transfers on as soon as one can, at the latest at `until` (monotonic clock).

        Yields those that ended, with libcurl's code (0 for success) and message.
        """
        dues = [due for due in (until, self._due) if due is not None]
        timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
        waker = self._woken.fileno()
        for fd, events in self._poller.wait(timeout):
            if fd != waker:
                self._multi.socket_action(fd, events)
            else:
                self._woken.recv(4096)
        if self._due is not None and time.monotonic() >= self._due:
            self._due = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return self._ended()

    def _ended(self) -> Iterator[tuple[Transfer, int, str]]:
        more = True
        while more:
            more, well, badly = self._multi.info_read()
            for curl, code, message in (*((curl, 0, "") for curl in well), *badly):
                yield curl.transfer, code, message

    def wake(self) -> None:
        """End the `wait` of another thread now, or its next one."""
        with contextlib.suppress(BlockingIOError):  # so many wake-ups are waiting already
            self._waker.send(b"\0")

    def close(self) -> None:
        """Close every connection; the transfers under way must have been ended."""
        self._multi.close()
        self._poller.close()
        self._waker.close()
        self._woken.close()

    # Called by libcurl. An exception here would be printed and lost.

    def _on_socket(self, event: int, fd: int, _multi: Any, _data: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            self._poller.forget(fd)
        else:
            self._poller.watch(fd, event)

    def _on_timer(self, timeout_ms: int) -> None:
        self._due = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000
