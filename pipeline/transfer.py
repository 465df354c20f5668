"""One HTTP request at a time on a libcurl handle that is used again and again.

libcurl enforces the limits on time and speed; bytes are counted here, after content-decoding, so
that a compression bomb counts as what it becomes. Redirects are not followed here: each hop is a
request of its own, so that the caller can apply its rules to the host it leads to. Nothing is taken
from the environment (no proxy, no .netrc) and nothing is kept (no cookies, HSTS or Alt-Svc).
"""

import errno
import math
import os
import socket
import ssl
from dataclasses import dataclass
from typing import Any

import pycurl

from pairsieve.pipeline.addresses import Addresses
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

SLOW_FOR_S = 10  # how long a transfer may stay below `min_bytes_per_s`
_DETAIL_CHARS = 200
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_NO_IMAGE = frozenset((204, 205, 206))  # 2xx that carry no body, or a part of one
# Where certificates are when Python does not know. Source: Go, crypto/x509/root_linux.go.
_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_TLS_CODES = frozenset(
    (
        pycurl.E_SSL_CONNECT_ERROR, pycurl.E_SSL_ENGINE_NOTFOUND, pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CRL_BADFILE, pycurl.E_SSL_ISSUER_ERROR, pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
        pycurl.E_SSL_INVALIDCERTSTATUS,
    )
)  # fmt: skip
_HTTP2_STREAM = 92  # CURLE_HTTP2_STREAM, which pycurl does not name
_OUTCOMES = {
    pycurl.E_URL_MALFORMAT: Outcome.NO_URL,
    pycurl.E_COULDNT_RESOLVE_HOST: Outcome.DNS,
    pycurl.E_FILESIZE_EXCEEDED: Outcome.TOO_LARGE,
    pycurl.E_PARTIAL_FILE: Outcome.INTERRUPTED,
    pycurl.E_GOT_NOTHING: Outcome.INTERRUPTED,
    pycurl.E_SEND_ERROR: Outcome.INTERRUPTED,
    pycurl.E_RECV_ERROR: Outcome.INTERRUPTED,
    _HTTP2_STREAM: Outcome.INTERRUPTED,
    **dict.fromkeys(_TLS_CODES, Outcome.TLS),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request gave; `redirect` is the absolute URL it leads to, if it leads on."""

    outcome: Outcome
    detail: str | None
    body: bytes
    status: int | None
    content_type: str | None
    redirect: str | None
    retry_after_s: int
    seconds: float


class Transfer:
    """A libcurl handle with the recipe's limits: `start`, give it to a multi handle, `answer`."""

    def __init__(self, options: Fetch, addresses: Addresses) -> None:
        self._addresses = addresses
        self._max_bytes = options.max_bytes
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._refusal: str | None = None
        self._opened = False
        self._fault: OSError | None = None
        self.curl: Any = pycurl.Curl()
        self.curl.transfer = self
        for option, value in _settings(options).items():
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._receive)
        self.curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)

    def start(self, url: str, timeout_s: float) -> None:
        """Prepare the request of `url`, an ASCII URL, to be over within `timeout_s`."""
        self._chunks = []
        self._bytes = 0
        self._refusal = None
        self._opened = False
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, math.ceil(timeout_s * 1000)))

    def close(self) -> None:
        """Close the handle, which must be in no multi handle any more."""
        self.curl.transfer = None
        self.curl.close()

    def answer(self, code: int, message: str) -> Answer:
        """Return what became of the request that ended with libcurl's `code` and `message`.

        Raises:
            Stopped: this process may open no more sockets, which says nothing about the URL.
        """
        if self._fault:
            raise Stopped(
                f"no socket for a transfer: {self._fault.strerror}; "
                "raise the limit (`ulimit -n`) or lower fetch.concurrency"
            ) from self._fault
        curl = self.curl
        status = curl.getinfo(pycurl.RESPONSE_CODE) or None
        redirect = curl.getinfo_raw(pycurl.REDIRECT_URL) if status in _REDIRECTS else None
        outcome, detail = self._verdict(code, message, status)
        claimed = curl.getinfo_raw(pycurl.CONTENT_TYPE)
        return Answer(
            outcome=outcome,
            detail=_clean(detail) if detail else None,
            body=b"".join(self._chunks) if outcome is Outcome.OK else b"",
            status=status,
            content_type=claimed.decode("latin-1")[:_DETAIL_CHARS] if claimed else None,
            redirect=redirect.decode("utf-8", "replace") if redirect else None,
            retry_after_s=curl.getinfo(pycurl.RETRY_AFTER) if status and status >= 400 else 0,
            seconds=curl.getinfo(pycurl.TOTAL_TIME),
        )

    def _verdict(self, code: int, message: str, status: int | None) -> tuple[Outcome, str | None]:
        """Return outcome and detail. An error status counts, whatever became of its body."""
        if status and 400 <= status < 600:
            return (Outcome.HTTP_4XX if status < 500 else Outcome.HTTP_5XX), None
        if code:
            return self._failure(code, message)
        if not status:
            return Outcome.BAD_RESPONSE, "no HTTP status"
        if not 200 <= status < 300 or status in _NO_IMAGE:
            return Outcome.HTTP_OTHER, None
        return (Outcome.OK if self._bytes else Outcome.EMPTY), None

    def _failure(self, code: int, message: str) -> tuple[Outcome, str]:
        """Return outcome and detail of a request that libcurl gave up with `code`."""
        if self._bytes > self._max_bytes:
            return Outcome.TOO_LARGE, f"more than {self._max_bytes} bytes"
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return self._timeout(message), message
        if code != pycurl.E_COULDNT_CONNECT:
            return _OUTCOMES.get(code, Outcome.BAD_RESPONSE), message
        if self._refusal and not self._opened:
            return Outcome.BLOCKED_ADDRESS, self._refusal
        number = self.curl.getinfo(pycurl.OS_ERRNO)
        if number == errno.ECONNREFUSED:
            return Outcome.REFUSED, message
        if number == errno.ETIMEDOUT:
            return Outcome.TIMEOUT_CONNECT, message
        return Outcome.UNREACHABLE, f"{os.strerror(number)}: {message}" if number else message

    def _timeout(self, message: str) -> Outcome:
        """Return which of the limits on time was met; libcurl has one code for all of them."""
        if not self.curl.getinfo(pycurl.REQUEST_SIZE):  # nothing was sent yet
            return Outcome.TIMEOUT_CONNECT
        slow = message.startswith("Operation too slow")
        return Outcome.TOO_SLOW if slow else Outcome.TIMEOUT_TOTAL

    # Called by libcurl. An exception here would be printed and lost, so there is none to raise.

    def _receive(self, chunk: bytes) -> int | None:
        self._bytes += len(chunk)
        if self._bytes > self._max_bytes:
            self._chunks = []
            return 0  # fewer than given: libcurl ends the transfer
        self._chunks.append(chunk)
        return None

    def _open(self, purpose: int, address: Any) -> Any:
        if address.family not in (socket.AF_INET, socket.AF_INET6):
            self._refusal = "not an IP address"
            return pycurl.SOCKET_BAD
        ip, port = address.addr[:2]
        refusal = self._addresses.refusal(ip, port)
        if refusal:
            self._refusal = refusal
            return pycurl.SOCKET_BAD
        self._opened = True
        try:
            opened = socket.socket(address.family, address.socktype, address.protocol)
            os.close(opened.dup().detach())  # pycurl does the same, but hides that it cannot
            return opened
        except OSError as error:
            self._fault = error
            return pycurl.SOCKET_BAD


def _settings(options: Fetch) -> dict[int, Any]:
    """Return the libcurl options that are the same for every request."""
    web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    certificates = _certificates()
    return {
        pycurl.USERAGENT: options.user_agent.encode(),
        pycurl.HTTPHEADER: ["Accept: image/*,*/*;q=0.5"],
        pycurl.ACCEPT_ENCODING: "identity",  # decodes what comes encoded all the same
        pycurl.CONNECTTIMEOUT_MS: max(1, math.ceil(options.connect_timeout_s * 1000)),
        pycurl.LOW_SPEED_LIMIT: options.min_bytes_per_s,
        pycurl.LOW_SPEED_TIME: SLOW_FOR_S,
        pycurl.MAXFILESIZE_LARGE: options.max_bytes,
        pycurl.PROTOCOLS: web,
        pycurl.REDIR_PROTOCOLS: web,
        pycurl.FOLLOWLOCATION: 0,
        pycurl.HTTP09_ALLOWED: 0,
        pycurl.PROXY: "",  # the empty name switches the environment's proxies off
        pycurl.NOPROXY: "*",
        pycurl.NETRC: pycurl.NETRC_IGNORED,
        pycurl.NOSIGNAL: 1,
        pycurl.SSL_VERIFYPEER: 1,
        pycurl.SSL_VERIFYHOST: 2,
        **certificates,
    }


def _certificates() -> dict[int, str]:
    """Return where the certificate authorities are: libcurl's own path may be another system's.

    A bundle is preferred to a folder: libcurl reads it once for all transfers and keeps it.
    """
    paths = ssl.get_default_verify_paths()
    bundle = paths.cafile or next((path for path in _CA_BUNDLES if os.path.exists(path)), None)
    if bundle:
        return {pycurl.CAINFO: bundle}
    return {pycurl.CAPATH: paths.capath} if paths.capath else {}


def _clean(text: str) -> str:
    """Return `text`, in which undecodable bytes are surrogates, as proper text, cut to fit."""
    return text.encode("utf-8", "replace").decode("utf-8")[:_DETAIL_CHARS]
