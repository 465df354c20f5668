"""A proxy before an S3 server that does to requests what networks and busy stores do."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.faults.stale_lists import Changes, is_list

SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
EXPIRED = (
    b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
)
MISSING = b"<Error><Code>NoSuchKey</Code><Message>It does not exist.</Message></Error>"

# None: the request is forwarded and answered as it should be.
Fault = str | None


class FaultyS3:
    """Forwards to `endpoint`; `fault` says for each request, by method and path, what goes wrong.

    slow_down: 503, nothing is done. reset: the connection is cut, nothing is done. lost: all is
    done, but the connection is cut before the answer. truncated: the answer ends in its middle.
    repeated: it is done twice. silent: nothing is answered. expired: 400, as of a token. missing:
    404. Every list is as it was `behind` changes ago.
    """

    def __init__(self, endpoint: str) -> None:
        self.fault: Callable[[str, str], Fault] = lambda method, path: None
        self.requests: list[tuple[str, str, Fault]] = []
        self.behind = 0
        self.changes = Changes()
        self.closing = threading.Event()
        self.upstream = urlsplit(endpoint).netloc
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyS3

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault(self.command, self.path)
        self.proxy.requests.append((self.command, self.path, fault))
        refusals = {
            "slow_down": (503, SLOW_DOWN),
            "expired": (400, EXPIRED),
            "missing": (404, MISSING),
        }
        if fault in refusals:
            status, text = refusals[fault]
            content = b"" if self.command == "HEAD" else text
            self._answer(status, [("Content-Type", "application/xml")], content)
        elif fault == "reset":
            self._cut()
        elif fault == "silent":
            self.proxy.closing.wait(60)
            self._cut()
        else:
            self._forward(body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

    def _forward(self, body: bytes, fault: Fault) -> None:
        if fault == "repeated":
            self._upstream(body)
        status, headers, answer = self._upstream(body)
        if status < 300:
            self.proxy.changes.note(self.command, self.path)
        if self.proxy.behind and is_list(self.command, self.path):
            answer = self.proxy.changes.aged(self.path, answer, self.proxy.behind)
            headers = [(name, value) for name, value in headers if name != "Content-Length"]
        if fault == "lost":
            self._cut()
            return
        self._answer(status, headers, answer, cut=fault == "truncated" and len(answer) > 1)

    def _upstream(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.proxy.upstream)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        left_out = ("transfer-encoding", "connection", "content-length")
        headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in left_out]
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else len(content)
        return answer.status, [*headers, ("Content-Length", str(length))], content

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._cut()

    def _cut(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
