import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pairsieve.pipeline.fetch import Fetched, fetch
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

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


def serve_tls(listener: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        while True:
            raw, _ = listener.accept()
            with suppress(OSError), raw, context.wrap_socket(raw, server_side=True) as sock:
                while sock.recv(65536):
                    sock.sendall(ANSWER)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def tls_port(stack: ExitStack, pem: Path) -> int:
    """Return the port of a TLS server on 127.0.0.1 with the certificate in `pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    stack.callback(listener.shutdown, socket.SHUT_RDWR)
    threading.Thread(target=serve_tls, args=(listener, context), daemon=True).start()
    return int(listener.getsockname()[1])


def one(port: int, **changes: float) -> Fetched:
    options = Fetch(
        user_agent="test (+mailto:a@example.org)",
        robots="ignore",
        allow_networks=(IPv4Network("127.0.0.0/8"),),
        ports=(port,),
        retries=0,
        **changes,
    )
    (fetched,) = fetch([f"https://127.0.0.1:{port}/a.jpg"], options)
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
