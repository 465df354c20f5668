"""One HTTP request at a time on a libcurl handle that serves many, one after the other.

Bytes are counted here, after content-decoding, so that a compression bomb counts as what it
becomes. The limits on time and speed are watched here too, because libcurl has none for the header
of an answer, and its own run on while a transfer is made to pause. Redirects are not followed here:
each hop is a request of its own, so that the caller can apply its rules to the host it leads to.
Nothing is taken from the environment (no proxy, no .netrc) and nothing is kept (no HSTS or Alt-Svc;
of cookies only what the caller takes from one answer to the request that this redirects to).
"""

import errno
import os
import socket
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pycurl

from pairsieve.pipeline.fetch import content_coding, curl_options, headers
from pairsieve.pipeline.fetch.addresses import Addresses, OpenSocket
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.memory_budget import MemoryBudget
from pairsieve.pipeline.rights import robots
from pairsieve.pipeline.rights.opt_out import OptOut, first_obeyed
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_opt_outs import Form

SLOW_FOR_S = 10  # how long a transfer may stay below `min_bytes_per_s`
PAGE_BYTES = 65_536  # of an error page or the like that are received, so as to keep its connection
_DETAIL_CHARS = 200
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_NO_IMAGE = frozenset((204, 205, 206))  # 2xx that carry no body, or a part of one
_TLS_CODES = frozenset(
    (
        pycurl.E_SSL_CONNECT_ERROR, pycurl.E_SSL_ENGINE_NOTFOUND, pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CRL_BADFILE, pycurl.E_SSL_ISSUER_ERROR, pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
        pycurl.E_SSL_INVALIDCERTSTATUS,
    )
)  # fmt: skip
_HTTP2_STREAM = 92  # CURLE_HTTP2_STREAM, which pycurl does not name
_HEADER_TOO_LARGE = 100  # CURLE_TOO_LARGE: beyond libcurl's own 300 KB for a header
_OUTCOMES = {
    _HEADER_TOO_LARGE: Outcome.TOO_LARGE,
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
_OF_ERRNO = {errno.ECONNREFUSED: Outcome.REFUSED, errno.ETIMEDOUT: Outcome.TIMEOUT_CONNECT}


@dataclass(slots=True)
class Answer:
    """What one request gave; `redirect` is the Location it leads to, if it leads on."""

    outcome: Outcome
    detail: str | None = None
    body: bytes = b""
    status: int | None = None
    content_type: str | None = None
    redirect: str | None = None
    retry_after_s: int = 0
    seconds: float = 0.0
    etag: str | None = None
    last_modified: str | None = None
    opt_outs: tuple[OptOut, ...] = ()
    http_version: str | None = None


class Transfer:
    """A libcurl handle with the recipe's limits: `start`, give it to a multi handle, `answer`.

    Attributes:
        serial: The caller's number for the request; 0 between two of them.
        window: The window of requests in which the caller judges this one; 0 for none.
        counted: The host and the second since 1970 UTC for which the caller counts the request.
        bytes: Received of the body so far.
        buffered: Of these, the bytes that the memory budget counts.
        sessions: The TLS sessions to resume; None for those of the loop alone.
        headers_only: Whether the caller wants no body of an image.
        names: What is known of host names.
        paused: Since when the transfer pauses (monotonic clock), 0 if it does not.
    """

    def __init__(
        self,
        options: Fetch,
        addresses: Addresses,
        budget: MemoryBudget,
        robot: str,
        obeyed: Collection[Form] = (),
    ) -> None:
        self._options = options
        self._addresses = addresses
        self._budget = budget
        self._robot = robot
        self._obeyed = obeyed
        self._lines = BytesIO()
        self._chunks: list[bytes] = []
        self._whole = True
        self._refusal: str | None = None
        self._opened = False
        self._fault: OSError | None = None
        self.serial = self.window = 0
        self.headers_only = self._shares = False
        self.sessions: curl_options.TlsSessions | None = None
        self.names = curl_options.Names(options)
        self.counted = "", 0
        self.paused = 0.0
        self.curl: Any = pycurl.Curl()
        self.curl.transfer = self
        for option, value in curl_options.settings(options).items():
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._receive)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._lines.write)  # costs no frame of Python
        self.curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)

    def start(
        self,
        target: CanonicalUrl,
        timeout_s: float,
        now: float,
        site_file: bool = False,
        cookies: Iterable[bytes] = (),
    ) -> None:
        """Prepare the request of `target`, to be over `timeout_s` after `now`.

        `cookies` are those that the redirects before it have left, as `cookies` gave them.
        """
        self.bytes = self.buffered = 0
        self.paused = 0.0
        self._started = now
        self._deadline = now + timeout_s
        self._site_file = site_file
        self._max_bytes = robots.MAX_BYTES if site_file else self._options.max_bytes
        self._header: headers.Header | None = None
        self._fault_of_header: tuple[Outcome, str] | None = None
        self._keeps_body = False
        self._speed_from: tuple[float, int] | None = None
        self._lines.truncate(self._lines.seek(0))
        self._refusal, self._opened = None, False
        self.curl.setopt(pycurl.NOBODY, self.headers_only and not site_file)
        self.curl.setopt(pycurl.URL, target.url)
        if self.sessions and target.scheme == "https":
            if self._shares:
                self.curl.unsetopt(pycurl.SHARE)
            self.curl.setopt(pycurl.SHARE, self.sessions.of(target.origin))
            self._shares = True
        self.curl.setopt(pycurl.REQUEST_TARGET, target.target)  # it would change %2f to %2F
        if self._options.host_headers:
            self.curl.setopt(
                pycurl.HTTPHEADER,
                curl_options.request_headers(self._options, None if site_file else target),
            )
        if self._options.cookies == "chain":
            for line in (b"ALL", *cookies):  # the first forgets those of another chain
                self.curl.setopt(pycurl.COOKIELIST, line)
        entry, self._no_name = self.names.entry(target)
        self.curl.setopt(pycurl.RESOLVE, entry)

    def cookies(self) -> tuple[bytes, ...]:
        """Return the cookies of the chain so far, each a line as libcurl writes it."""
        if self._options.cookies != "chain":
            return ()
        return tuple(self.curl.getinfo_raw(pycurl.INFO_COOKIELIST))

    def lookup_s(self) -> float:
        """Return how long the host's name was looked up, s."""
        return float(self.curl.getinfo(pycurl.NAMELOOKUP_TIME))

    def shook_hands(self) -> bool:
        """Return whether the request opened a connection with TLS, be it by a session resumed."""
        opened = self.curl.getinfo(pycurl.NUM_CONNECTS)
        return bool(opened and self.curl.getinfo(pycurl.APPCONNECT_TIME))

    def close(self) -> None:
        """Close the handle, which must be in no multi handle any more."""
        self.curl.transfer = None
        self.curl.close()

    def first_check(self) -> float:
        """Return when `late` has to be called first (monotonic clock)."""
        soon = min(self._options.first_byte_timeout_s, SLOW_FOR_S)
        return min(self._deadline, self._started + soon)

    def late(self, now: float) -> tuple[Outcome, str] | float:
        """Return which limit on time or speed is not kept, or when to check again."""
        if self.paused:
            return now + SLOW_FOR_S
        sent = self.curl.getinfo(pycurl.PRETRANSFER_TIME)
        if now >= self._deadline:
            outcome = Outcome.TIMEOUT_TOTAL if sent else Outcome.TIMEOUT_CONNECT
            return outcome, f"not over after {now - self._started:.1f} s"
        if not sent:  # libcurl watches over the time for connecting
            return min(self._deadline, now + 1)
        limit_s = self._options.first_byte_timeout_s
        if not self._header and not headers.complete(self._lines.getvalue()):
            due: float = self._started + sent + limit_s
            if now >= due:
                return Outcome.TIMEOUT_FIRST_BYTE, f"no whole header within {limit_s:g} s"
            return min(self._deadline, due)
        return self._slow(now)

    def _slow(self, now: float) -> tuple[Outcome, str] | float:
        """Return TOO_SLOW if too little came since SLOW_FOR_S ago, or when to check again."""
        received = self.curl.getinfo(pycurl.SIZE_DOWNLOAD_T)
        since, before = self._speed_from or (
            self._started + self.curl.getinfo(pycurl.STARTTRANSFER_TIME),
            0,
        )
        if now - since >= SLOW_FOR_S:
            speed = (received - before) / (now - since)
            if speed < self._options.min_bytes_per_s:
                return Outcome.TOO_SLOW, f"{speed:.0f} bytes per second for {now - since:.0f} s"
            since, before = now, received
        self._speed_from = since, before
        return min(self._deadline, since + SLOW_FOR_S)

    def pause(self, now: float) -> None:
        """Receive nothing until `resume`, which is no fault of the server."""
        self.paused = now
        self.curl.pause(pycurl.PAUSE_RECV)

    def resume(self, now: float) -> None:
        """Go on after a pause, which does not count towards any limit."""
        waited = now - self.paused
        self.paused = 0.0
        self._started += waited
        self._deadline += waited
        self._speed_from = now, self.curl.getinfo(pycurl.SIZE_DOWNLOAD_T)
        self.curl.pause(pycurl.PAUSE_CONT)

    def answer(
        self, code: int, message: str, now: float, late: tuple[Outcome, str] | None = None
    ) -> Answer:
        """Return what became of the request that ended with libcurl's `code` and `message`.

        `late` is the limit for which it was ended here, if it was.

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
        header = self._header or self._read_header()
        outcome, detail = self._verdict(code, message, status, late)
        claimed = curl.getinfo_raw(pycurl.CONTENT_TYPE)
        body = b""
        if outcome is Outcome.OK:
            outcome, detail, body = self._body(header)
        self._chunks = []  # the transfer may rest for long
        return Answer(
            outcome,
            _clean(detail) if detail else None,
            body,
            status,
            headers.text(claimed) if claimed else None,
            (header.location or None) if status in _REDIRECTS else None,
            curl.getinfo(pycurl.RETRY_AFTER) if status and status >= 400 else 0,
            now - self._started,
            header.etag,
            header.last_modified,
            tuple(header.opt_outs) if self._keeps_body else (),
            header.http_version,
        )

    def _verdict(
        self, code: int, message: str, status: int | None, late: tuple[Outcome, str] | None
    ) -> tuple[Outcome, str | None]:
        """Return outcome and detail. An error status counts, whatever became of its body."""
        if status and 400 <= status < 600:
            return (Outcome.HTTP_4XX if status < 500 else Outcome.HTTP_5XX), None
        if late:
            return late
        if self._fault_of_header:
            return self._fault_of_header
        if code and not self._cut_off():
            return self._failure(code, message)
        if not status:
            return Outcome.BAD_RESPONSE, "no HTTP status"
        if not 200 <= status < 300 or status in _NO_IMAGE:
            return Outcome.HTTP_OTHER, None
        return (Outcome.OK if self.bytes else Outcome.EMPTY), None

    def _body(self, header: headers.Header) -> tuple[Outcome, str | None, bytes]:
        """Return outcome, detail and body of an answer that came whole, its codings undone."""
        received = b"".join(self._chunks)
        try:
            body = content_coding.decoded(received, header.codings, self._max_bytes)
        except content_coding.TooLong as error:
            if self._site_file:
                return Outcome.OK, None, error.beginning
            return Outcome.TOO_LARGE, str(error), b""
        except content_coding.Undecodable as error:
            return Outcome.BAD_RESPONSE, str(error), b""
        return (Outcome.OK if body else Outcome.EMPTY), None, body

    def _cut_off(self) -> bool:
        """Return whether the transfer was ended here because what came is enough."""
        if self._keeps_body:
            return self._site_file and self.bytes > self._max_bytes
        return self.bytes > PAGE_BYTES

    def _failure(self, code: int, message: str) -> tuple[Outcome, str]:
        """Return outcome and detail of a request that libcurl gave up with `code`."""
        if self.bytes > self._max_bytes:
            return Outcome.TOO_LARGE, f"more than {self._max_bytes} bytes"
        if code == pycurl.E_OPERATION_TIMEDOUT:  # the only such limit that libcurl has to keep
            found = self.curl.getinfo(pycurl.NAMELOOKUP_TIME)  # the host's address
            return (Outcome.TIMEOUT_CONNECT if found else Outcome.DNS), message
        if code != pycurl.E_COULDNT_CONNECT:
            return _OUTCOMES.get(code, Outcome.BAD_RESPONSE), message
        if self._refusal and not self._opened:
            return (Outcome.DNS if self._no_name else Outcome.BLOCKED_ADDRESS), self._refusal
        number = self.curl.getinfo(pycurl.OS_ERRNO)
        if number in _OF_ERRNO:
            return _OF_ERRNO[number], message
        return Outcome.UNREACHABLE, f"{os.strerror(number)}: {message}" if number else message

    def _read_header(self) -> headers.Header:
        """Read the header and note what in it ends the transfer."""
        lines = self._lines.getvalue()
        header = self._header = headers.read(lines, self._robot)
        self._keeps_body = 200 <= header.status < 300 and header.status not in _NO_IMAGE
        if len(lines) > self._options.max_header_bytes:
            self._fault_of_header = (
                Outcome.TOO_LARGE,
                f"a header of more than {self._options.max_header_bytes} bytes",
            )
        elif self._keeps_body and not self._site_file:
            if opt_out := first_obeyed(header.opt_outs, self._obeyed):
                self._fault_of_header = opt_out.outcome, opt_out.evidence
            elif header.length > self._max_bytes:
                self._fault_of_header = (
                    Outcome.TOO_LARGE,
                    f"{header.length} bytes declared, more than {self._max_bytes}",
                )
        return header

    # Called by libcurl. An exception here would be printed and lost, so there is none to raise.

    def _receive(self, chunk: bytes) -> int | None:
        if not self._header:
            self._read_header()
        if self._fault_of_header:
            return 0  # fewer than given: libcurl ends the transfer
        size = len(chunk)
        if not self._keeps_body:
            self.bytes += size
            return 0 if self.bytes > PAGE_BYTES else None
        if self._budget.must_pause(self, size):
            self._budget.pausing.append(self)
            self.paused = time.monotonic()
            return int(pycurl.WRITEFUNC_PAUSE)
        self.bytes += size
        self.buffered += size
        self._budget.arriving += size
        if self.bytes > self._max_bytes:
            if not self._site_file:
                self._chunks = []
            return 0
        self._chunks.append(chunk)
        return None

    def _open(self, purpose: int, address: Any) -> Any:
        if address.family not in (socket.AF_INET, socket.AF_INET6):
            self._refusal = "not an IP address"
            return pycurl.SOCKET_BAD
        ip, port = address.addr[:2]
        refusal = self._no_name or self._addresses.refusal(ip, port)
        if refusal:
            self._refusal = refusal
            return pycurl.SOCKET_BAD
        self._opened = True
        try:
            return OpenSocket(address.family, address.socktype, address.protocol)
        except OSError as error:
            self._fault = error
            return pycurl.SOCKET_BAD


def _clean(text: str) -> str:
    """Return `text`, in which undecodable bytes are surrogates, as proper text, cut to fit."""
    return text.encode("utf-8", "replace").decode("utf-8")[:_DETAIL_CHARS]
