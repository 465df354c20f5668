import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pycurl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from pairsieve.pipeline.fetch.client import Client, Fetched, fetch
from pairsieve.pipeline.fetch.request import Transfer
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

Serve = Callable[[ssl.SSLSocket], None]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage"


def certificate(folder: Path, address: str) -> Path:
    """Write key and self-signed certificate of `address`, valid around now, to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / f"{address}.pem"
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path


def keep_answering(sock: ssl.SSLSocket) -> None:
    while sock.recv(65536):
        sock.sendall(ANSWER)


def serve_tls(listener: socket.socket, context: ssl.SSLContext, serve: Serve) -> None:
    def one(raw: socket.socket) -> None:
        with suppress(OSError), raw, context.wrap_socket(raw, server_side=True) as sock:
            serve(sock)

    with suppress(OSError):
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def tls_port(
    stack: ExitStack, pem: Path, serve: Serve = keep_answering, protocols: Iterable[str] = ()
) -> int:
    """Return the port of a TLS server on 127.0.0.1 with the certificate in `pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(list(protocols) or ["http/1.1"])
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    stack.callback(listener.shutdown, socket.SHUT_RDWR)
    threading.Thread(target=serve_tls, args=(listener, context, serve), daemon=True).start()
    return int(listener.getsockname()[1])


def options(port: int, **changes: Any) -> Fetch:
    defaults: dict[str, Any] = {
        "user_agent": "test (+mailto:a@example.org)",
        "robots": "ignore",
        "allow_networks": (IPv4Network("127.0.0.0/8"),),
        "ports": (port,),
        "retries": 0,
        "per_host_per_s": 1000,
    }
    return Fetch(**(defaults | changes))


def one(port: int, **changes: Any) -> Fetched:
    (fetched,) = fetch([f"https://127.0.0.1:{port}/a.jpg"], options(port, **changes))
    return fetched


def test_a_certificate_that_nobody_vouches_for_is_refused(stack: ExitStack, tmp_path: Path) -> None:
    fetched = one(tls_port(stack, certificate(tmp_path, "127.0.0.1")))
    assert (fetched.outcome, fetched.http_status, fetched.body) == (Outcome.TLS, None, b"")
    assert fetched.detail


def test_authorities_are_those_that_python_trusts(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    fetched = one(tls_port(stack, pem))
    assert (fetched.outcome, fetched.body) == (Outcome.OK, b"image"), fetched.detail


def test_a_certificate_of_another_host_is_refused(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    assert one(tls_port(stack, pem)).outcome is Outcome.TLS


def test_a_server_that_does_not_speak_tls_is_a_tls_failure(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def answer_plainly() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")

    threading.Thread(target=answer_plainly, daemon=True).start()
    assert one(listener.getsockname()[1]).outcome is Outcome.TLS


def test_a_handshake_that_is_not_answered_meets_the_limit_for_connecting(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    fetched = one(listener.getsockname()[1], connect_timeout_s=0.3)
    assert fetched.outcome is Outcome.TIMEOUT_CONNECT


def test_a_name_that_takes_too_long_to_look_up_is_a_failure_of_dns() -> None:
    # libcurl asks the machine's own resolver, which no test can slow down: what it tells stands in.
    request = object.__new__(Transfer)
    request.bytes, request._max_bytes = 0, 1
    for found_after_s, outcome in ((0.0, Outcome.DNS), (0.1, Outcome.TIMEOUT_CONNECT)):
        told = {pycurl.NAMELOOKUP_TIME: found_after_s}
        request.curl = SimpleNamespace(getinfo=told.get)
        assert request._failure(pycurl.E_OPERATION_TIMEDOUT, "late") == (outcome, "late")


def resuming(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> tuple[tuple[int, ...], list[bool | None]]:
    """Start servers of one answer a connection; return their ports, and what each resumed."""
    pem = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    resumed: list[bool | None] = []

    def once(sock: ssl.SSLSocket) -> None:
        sock.recv(65536)
        resumed.append(sock.session_reused)
        sock.sendall(ANSWER)
        sock.unwrap()

    return tuple(tls_port(stack, pem, once) for _ in range(count)), resumed


def test_a_tls_session_is_resumed_by_a_new_connection(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,), resumed = resuming(stack, tmp_path, monkeypatch, 1)
    urls = [f"https://127.0.0.1:{port}/{number}" for number in range(4)]
    results = list(fetch(urls, options(port, concurrency=1)))
    assert [result.outcome for result in results] == [Outcome.OK] * 4
    assert resumed == [False, True, True, True]


def test_sessions_of_more_hosts_are_resumed_than_one_cache_of_libcurl_keeps(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, resumed = resuming(stack, tmp_path, monkeypatch, 30)
    urls = [f"https://127.0.0.1:{port}/{number}" for number in range(2) for port in ports]
    client = Client(options(0, ports=ports, concurrency=1))
    assert [fetched.outcome for fetched in client.fetch(urls)] == [Outcome.OK] * 60
    assert sum(map(bool, resumed)) == 30
    met = client.met()
    assert (met["https"], met["handshakes"], met["http2"]) == (60, 60, 0)
    assert client.met() == {}


def test_authorities_are_read_once(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "127.0.0.1")
    ports = tls_port(stack, pem), tls_port(stack, pem)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(pem.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    urls = [f"https://127.0.0.1:{port}/a.jpg" for port in ports]
    results = fetch(urls, options(0, ports=ports, concurrency=1, per_host_per_s=1))
    assert next(results).outcome is Outcome.OK
    bundle.unlink()
    assert next(results).outcome is Outcome.OK


class Http2:
    """A server of HTTP/2 that counts its connections and the streams open at once."""

    def __init__(self) -> None:
        self.connections = 0
        self.most = 0
        self.paths: set[str] = set()

    def serve(self, sock: ssl.SSLSocket) -> None:
        self.connections += 1
        assert sock.selected_alpn_protocol() == "h2"
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        sock.sendall(h2.data_to_send())
        waiting: list[int] = []
        answered = 0
        while received := sock.recv(65536):
            events = h2.receive_data(received)
            requests = [event for event in events if isinstance(event, RequestReceived)]
            waiting += [request.stream_id for request in requests]
            self.paths |= {str(dict(r.headers)[b":path"], "ascii") for r in requests}
            self.most = max(self.most, len(waiting))
            # After the first none is answered before two wait on this connection.
            if not answered or self.most >= 2:
                for stream in waiting:
                    head = [(":status", "200"), ("etag", "e"), ("content-length", "5")]
                    h2.send_headers(stream, head)
                    h2.send_data(stream, b"image", end_stream=True)
                answered += len(waiting)
                waiting.clear()
            sock.sendall(h2.data_to_send())


def test_http_2_is_spoken_where_it_is_offered_with_many_requests_per_connection(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = Http2()
    port = tls_port(stack, pem, server.serve, ["h2", "http/1.1"])
    urls = [f"https://127.0.0.1:{port}/%2f%2E%2e%2f?'{number}#a" for number in range(6)]
    results = list(fetch(urls, options(port, per_host_per_s=5)))
    assert [result.outcome for result in results] == [Outcome.OK] * 6
    assert {result.etag for result in results} == {"e"}
    assert server.paths == {f"/%2f%2E%2e%2f?%27{number}" for number in range(6)}
    assert server.connections < server.most
