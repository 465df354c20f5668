"""A small server for `bench fetch`: one body for every path, over http and https, on loopback.

It runs in a process of its own and answers with bytes made beforehand, so that only the clients
differ. Paths under /close/ end the connection after the answer, as does a request that asks for
it. https neither gives tickets nor keeps sessions: every new connection is a full handshake.
"""

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairsieve.jobs.bench_data.certificates import Authority

HOST = "127.0.0.1"
BACKLOG = 1024
_ROBOTS = b"User-agent: *\nAllow: /\n"


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """The ports of a running server."""

    http: int
    https: int


@contextmanager
def serving(authority: Authority, body_bytes: int) -> Iterator[ServerPorts]:
    """Serve bodies of that size as long as the context lasts."""
    listeners = [socket.create_server((HOST, 0), backlog=BACKLOG) for _ in range(2)]
    ports = ServerPorts(*(listener.getsockname()[1] for listener in listeners))
    job = {
        "chain": str(authority.chain),
        "key": str(authority.key),
        "body_bytes": body_bytes,
    }
    with served(__name__, listeners, job):
        yield ports


@contextmanager
def served(module: str, listeners: list[socket.socket], job: dict[str, Any]) -> Iterator[None]:
    """Let a module, as a process of its own, serve on sockets as long as the context lasts.

    It is given the job as JSON, with the file descriptors as `sockets`.
    """
    handles = [listener.fileno() for listener in listeners]
    command = [sys.executable, "-m", module, json.dumps(job | {"sockets": handles})]
    # The server ends when its standard input does: also when this process is killed.
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=handles) as server:
        try:
            yield
        finally:
            for listener in listeners:
                listener.close()
            server.terminate()


def body(size: int) -> bytes:
    """Return what stands for an image: bytes that begin as a JPEG; nobody decodes them here."""
    return (b"\xff\xd8\xff\xe0" + bytes(range(256)) * (size // 256 + 1))[:size]


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, answer: bytes, last: bytes) -> None:
        self._answer = answer  # and the connection stays
        self._last = last  # and it ends
        self._received = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A server's connections can be written to; asyncio's interface says so of no transport.
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if path == b"/robots.txt":
                self._transport.write(_response(_ROBOTS, b"text/plain", b"keep-alive"))
            elif path.startswith(b"/close/") or b"connection: close" in head.lower():
                self._transport.write(self._last)
                self._transport.close()
                return
            else:
                self._transport.write(self._answer)


def _response(content: bytes, kind: bytes, connection: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: %b\r\n\r\n"
    return head % (kind, len(content), connection) + content


def _tls(chain: Path, key: Path) -> ssl.SSLContext:
    """Return a context that makes every connection a full handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


async def _serve(job: dict[str, str], sockets: list[int], body_bytes: int) -> None:
    """Serve until standard input ends."""
    content = body(body_bytes)
    answer = _response(content, b"image/jpeg", b"keep-alive")
    last = _response(content, b"image/jpeg", b"close")
    loop = asyncio.get_running_loop()
    for handle, tls in zip(
        sockets, (None, _tls(Path(job["chain"]), Path(job["key"]))), strict=True
    ):
        listener = socket.socket(fileno=handle)
        await loop.create_server(
            lambda: _Connection(answer, last), sock=listener, ssl=tls, backlog=BACKLOG
        )
    await ended()


async def ended() -> None:
    """Wait until standard input ends."""
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), end.set)
    await end.wait()


def main() -> None:
    """Serve what the argument, JSON, says."""
    job = json.loads(sys.argv[1])
    asyncio.run(_serve(job, job["sockets"], job["body_bytes"]))


if __name__ == "__main__":
    main()
