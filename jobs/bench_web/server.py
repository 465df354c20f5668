"""A web on loopback with the faults of the real one, the same for a seed, in a process of its own.

Every host is an address of 127.0.0.0/8. What becomes of the request for `/7.jpg` follows from 7 and
the seed: after a latency it is answered, broken off, sent in drops, or never answered.

Latencies are lognormal; their median and spread, and the shares of faults, are the options.
"""

import asyncio
import json
import math
import random
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pairsieve.jobs.bench_data.server import BACKLOG, ended, served

Fate = Literal["answered", "never", "reset", "drops"]
DROPS = 10  # in which a slow body comes
_ROBOTS = b"User-agent: *\nAllow: /\n"


@dataclass(frozen=True, slots=True)
class Web:
    """What is served.

    Attributes:
        seed: Of every draw.
        hosts: Addresses, at most 62,500.
        median_s: Median of the latency, s.
        sigma: Standard deviation of the logarithm of the latency.
        never: Share of the requests that are never answered.
        reset: Share of those whose connection is reset.
        slow: Share of those whose body comes in drops, over `slow_s`.
        slow_s: How long these take, s.
    """

    seed: int = 0
    hosts: int = 200
    median_s: float = 0.15
    sigma: float = 0.8
    never: float = 0.08
    reset: float = 0.02
    slow: float = 0.03
    slow_s: float = 3.0

    def address(self, number: int) -> str:
        """Return the address that serves picture `number`."""
        host = number % self.hosts
        return f"127.0.{1 + host // 250}.{1 + host % 250}"

    def fate(self, number: int) -> tuple[Fate, float]:
        """Return what becomes of the request for picture `number`, and after how many seconds."""
        draws = random.Random(f"{self.seed} {number}")
        share, latency = draws.random(), draws.lognormvariate(math.log(self.median_s), self.sigma)
        for fate, limit in (("never", self.never), ("reset", self.reset), ("drops", self.slow)):
            if share < limit:
                return fate, latency  # type: ignore[return-value]
            share -= limit
        return "answered", latency


@contextmanager
def serving(web: Web, folder: Path) -> Iterator[int]:
    """Serve the JPEGs in `folder` as long as the context lasts; give the port."""
    listeners = [socket.create_server((web.address(0), 0), backlog=BACKLOG)]
    port: int = listeners[0].getsockname()[1]
    listeners += [
        socket.create_server((web.address(host), port), backlog=BACKLOG)
        for host in range(1, web.hosts)
    ]
    with served(__name__, listeners, {"web": asdict(web), "folder": str(folder)}):
        yield port


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, web: Web, answers: list[bytes]) -> None:
        self._web, self._answers = web, answers
        self._received = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, self._received = self._received.partition(b"\r\n\r\n")
        if not end:
            self._received = head
            return
        name = head.split(b" ", 2)[1].strip(b"/").partition(b".")[0]
        if not name.isdigit():
            self._transport.write(_response(_ROBOTS, b"text/plain"))
            return
        number = int(name)
        fate, after_s = self._web.fate(number)
        if fate != "never":
            loop = asyncio.get_running_loop()
            loop.call_later(after_s, self._answer, fate, self._answers[number % len(self._answers)])

    def _answer(self, fate: Fate, answer: bytes) -> None:
        if self._transport.is_closing():
            return
        if fate == "answered":
            self._transport.write(answer)
        elif fate == "drops":
            self._drop(answer, len(answer) // DROPS + 1)
        else:
            self._transport.write(answer[: len(answer) // 2])
            handle = self._transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _drop(self, rest: bytes, size: int) -> None:
        if rest and not self._transport.is_closing():
            self._transport.write(rest[:size])
            wait_s = self._web.slow_s / DROPS
            asyncio.get_running_loop().call_later(wait_s, self._drop, rest[size:], size)


def _response(content: bytes, kind: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(content)) + content


async def _serve(web: Web, sockets: list[int], folder: Path) -> None:
    """Serve until standard input ends."""
    paths = sorted(folder.glob("*.jpg"))
    answers = [_response(path.read_bytes(), b"image/jpeg") for path in paths]
    loop = asyncio.get_running_loop()
    for handle in sockets:
        listener = socket.socket(fileno=handle)
        await loop.create_server(lambda: _Connection(web, answers), sock=listener, backlog=BACKLOG)
    await ended()


def main() -> None:
    """Serve what the argument, JSON, says."""
    job = json.loads(sys.argv[1])
    asyncio.run(_serve(Web(**job["web"]), job["sockets"], Path(job["folder"])))


if __name__ == "__main__":
    main()
