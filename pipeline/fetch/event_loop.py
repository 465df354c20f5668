"""The event loop under all transfers: libcurl's multi handle on epoll or kqueue.

libcurl says which sockets and which timer it waits for, and is called for those alone, so that the
cost does not grow with the transfers under way; its own `select` ends at 1,024 file descriptors.
One DNS cache, one pool of connections and one set of TLS sessions serve all transfers.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pycurl

from pairsieve.pipeline.fetch.ready import READ, ready
from pairsieve.pipeline.fetch.request import Transfer


class Multi:
    """Transfers under way. To be used by one thread at a time, except for `wake`."""

    def __init__(self, max_connections: int) -> None:
        self._ready = ready()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._ready.watch(self._woken.fileno(), READ)
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
        for fd, events in self._ready.wait(timeout):
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
        self._ready.close()
        self._waker.close()
        self._woken.close()

    # Called by libcurl. An exception here would be printed and lost.

    def _on_socket(self, event: int, fd: int, _multi: Any, _data: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            self._ready.forget(fd)
        else:
            self._ready.watch(fd, event)

    def _on_timer(self, timeout_ms: int) -> None:
        self._due = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000
