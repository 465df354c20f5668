"""Serve a demo web from a process of its own: a small HTTP/1.1 server that can misbehave.

asyncio with a hand-written request parser, because misbehaving is easiest with the bytes in hand,
and because it shares two cores with the pipeline. It listens on loopback only. `reserve` takes the
ports before the web is built, since its URLs contain them; the listening socket is then handed
down to the server's process, so nobody else can get the port in between.
"""

import argparse
import asyncio
import json
import mmap
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from pairsieve.jobs.demo_web.build import BODIES, ROUTES, build
from pairsieve.jobs.demo_web.defects import FULL_SIZE
from pairsieve.jobs.demo_web.responses import Route, Site
from pairsieve.schemas.errors import BadOption

HOST = "127.0.0.1"
REQUESTS = "/__requests__"  # answers how often each path was requested, as JSON
TRICKLE_S = 1.0  # between two bytes
SILENT_S = 600.0  # longer than any client waits
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class ReservedPorts:
    """Two ports of loopback: one that will be served, one that refuses connections."""

    listener: socket.socket
    refusing: socket.socket

    @property
    def site(self) -> Site:
        """Return the addresses that URLs of the web begin with."""
        served, refused = (sock.getsockname()[1] for sock in (self.listener, self.refusing))
        return Site(f"http://{HOST}:{served}", f"http://{HOST}:{refused}")

    @property
    def ports(self) -> tuple[int, int]:
        """Return both ports, for `fetch.ports` of a recipe."""
        return self.listener.getsockname()[1], self.refusing.getsockname()[1]

    def close(self) -> None:
        """Give both ports back."""
        self.listener.close()
        self.refusing.close()


def reserve_ports(port: int = 0, refused_port: int = 0) -> ReservedPorts:
    """Return the named ports, or free ones for 0.

    Raises:
        BadOption: a port is taken.
    """
    listener = _bound_socket(port)
    try:
        return ReservedPorts(listener, _bound_socket(refused_port))
    except BadOption:
        listener.close()
        raise


@contextmanager
def serve_demo_web(folder: Path, seed: int = 0, pairs: int = FULL_SIZE) -> Iterator[ReservedPorts]:
    """Build a web on free ports into `folder` and serve it as long as the context lasts."""
    reserved = reserve_ports()
    try:
        build(folder, seed, reserved.site, pairs)
        with serving(folder, reserved):
            yield reserved
    finally:
        reserved.close()


@contextmanager
def serving(folder: Path, reserved: ReservedPorts | None = None) -> Iterator[Site]:
    """Serve the web in `folder`, by default on the ports it was built for, in a new process.

    Raises:
        BadOption: no web is in `folder`, or its port is taken.
    """
    own = reserved or reserve_ports(*_ports(folder))
    own.listener.listen(1024)
    handle = own.listener.fileno()
    command = [sys.executable, "-m", __name__, str(folder), "--socket", str(handle)]
    # The server ends when its standard input does: also when this process is killed.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[handle]
    ) as server:
        try:
            if server.stdout is None or not server.stdout.readline():
                raise BadOption(f"{folder}: the server of the demo web did not start")
            yield own.site
        finally:
            server.terminate()
            if reserved is None:
                own.close()


def request_counts(site: Site) -> Counter[str]:
    """Return how often each path of the running web was requested."""
    with urlopen(site.base_url + REQUESTS) as answer:
        return Counter(json.load(answer))


def _ports(folder: Path) -> tuple[int, int]:
    """Return the ports that the web in `folder` was built for."""
    try:
        site = json.loads((folder / ROUTES).read_text())["site"]
    except FileNotFoundError as error:
        raise BadOption(f"{folder}: no demo web here; build one first") from error
    served, refused = (urlsplit(site[name]).port for name in ("base_url", "refused_url"))
    return served or 0, refused or 0


def _bound_socket(port: int) -> socket.socket:
    """Return a socket bound to `port` of loopback; as long as it does not listen, it refuses."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise BadOption(f"port {port} of {HOST} is taken: {error.strerror}") from error
    return bound


class _Server:
    """Answers requests by the routes of one folder."""

    def __init__(self, folder: Path) -> None:
        self._routes = {
            path: Route(**route)
            for path, route in json.loads((folder / ROUTES).read_text())["routes"].items()
        }
        with open(folder / BODIES, "rb") as bodies:
            self._bodies = memoryview(mmap.mmap(bodies.fileno(), 0, access=mmap.ACCESS_READ))
        self._requests: Counter[str] = Counter()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            keep_open = True
            while keep_open:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.decode("latin-1").split(" ", 2)
                keep_open = await self._answer(method, path, writer)
        writer.close()

    async def _answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        if path == REQUESTS:
            count = json.dumps(self._requests).encode()
            writer.write(_head(200, {"Content-Type": "application/json"}, len(count)) + count)
            return True
        self._requests[path] += 1
        route = self._routes.get(path, Route(404))
        if route.first and self._requests[path] == 1:
            status, headers = route.first
            route = Route(status, headers)
        if route.how == "silent":
            await asyncio.sleep(SILENT_S)
        body = self._bodies[route.offset : route.offset + route.length]
        length = None if route.how == "endless" else route.length
        writer.write(_head(route.status, route.headers, length))
        if method != "HEAD":
            await _send(body, route, writer)
        return route.how == "whole"


async def _send(body: memoryview, route: Route, writer: asyncio.StreamWriter) -> None:
    """Write the body in the way of the route."""
    if route.how == "trickle":
        for index in range(len(body)):
            writer.write(body[index : index + 1])
            await writer.drain()
            await asyncio.sleep(TRICKLE_S)
    elif route.how == "endless":
        block = bytes(body) * (1 + _CHUNK // len(body))
        while True:
            writer.write(block)
            await writer.drain()
    else:
        writer.write(body[: len(body) // 2] if route.how == "cut" else body)
        await writer.drain()


def _head(status: int, headers: dict[str, str], length: int | None) -> bytes:
    """Return status line and headers; without a length the body ends with the connection."""
    framing = {"Content-Length": str(length)} if length is not None else {"Connection": "close"}
    lines = [f"{name}: {value}\r\n" for name, value in (headers | framing).items()]
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}\r\n".encode()


async def _serve(folder: Path, listener: socket.socket, until_input_ends: bool) -> None:
    """Serve for ever, or until standard input ends."""
    server = await asyncio.start_server(_Server(folder).converse, sock=listener)
    print(f"serving http://{HOST}:{listener.getsockname()[1]}", flush=True)
    if until_input_ends:
        end = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), end.set)
        await end.wait()
    else:
        await server.serve_forever()


def main() -> None:
    """Serve a folder from the command line, until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve a demo web on loopback.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, help="draw a web of so many pairs first, if none is")
    parser.add_argument("--port", type=int, help="port to serve on; default: as built")
    parser.add_argument("--socket", type=int, help="listening socket handed down by a parent")
    options = parser.parse_args()
    if options.pairs is not None and not (options.folder / ROUTES).exists():
        reserved = reserve_ports(options.port or 0)
        build(options.folder, 0, reserved.site, options.pairs)
        reserved.close()
    if options.socket is not None:
        listener = socket.socket(fileno=options.socket)
    else:
        listener = _bound_socket(
            _ports(options.folder)[0] if options.port is None else options.port
        )
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.folder, listener, until_input_ends=options.socket is not None))


if __name__ == "__main__":
    main()
