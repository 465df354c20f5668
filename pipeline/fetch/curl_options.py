"""libcurl's options for every request, and where it finds authorities and addresses."""

import math
import os
import socket
import ssl
import time
import zlib
from functools import lru_cache, partial
from queue import SimpleQueue
from typing import Any

import pycurl

from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_headers import SENSITIVE

RECEIVED_BYTES = 10_000_000  # before decoding; a robots.txt may be longer than `max_bytes`
SESSION_CACHES = 40  # of libcurl, each of which keeps the TLS sessions of 25 hosts
DNS_FRESH_S = 600  # how long an address is used again; the socket is checked all the same
LOOKUPS = 500  # of names at once: more are lost on their way to a resolver
LOOKUP_S, LOOKUP_TRIES = 3.0, 2  # c-ares' own second attempt waits longer
NAMES_KNOWN = 100_000  # at 0.3 kB each; then all are forgotten
UNREACHED = 11  # ARES_ECONNREFUSED of c-ares: no server could be contacted
NO_ADDRESS = "192.0.2.1"  # for documentation (RFC 5737); no socket is opened for it
# Where certificates are when Python does not know. Source: Go, crypto/x509/root_linux.go.
_CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class TlsSessions:
    """The TLS sessions of the last hosts, to be resumed by new connections.

    A cache of libcurl has room for 25 hosts, which no option changes; so each host has one of many.
    Measured: 200 hosts that close each connection, five requests each: 80 % of the connections
    resume a session, of one cache 10 %; a request then takes 8 to 16 % less CPU time.
    """

    def __init__(self) -> None:
        """Prepare caches that are empty."""
        self._caches: list[Any] = [pycurl.CurlShare() for _ in range(SESSION_CACHES)]
        for cache in self._caches:
            cache.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_SSL_SESSION)

    def of(self, origin: str) -> Any:
        """Return the cache of an origin."""
        return self._caches[zlib.crc32(origin.encode()) % SESSION_CACHES]


def settings(options: Fetch) -> dict[int, Any]:
    """Return the libcurl options that are the same for every request."""
    web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
    authorities = certificates()
    return {
        pycurl.USERAGENT: options.user_agent.encode(),
        # What comes encoded all the same is decoded in content_coding.py.
        pycurl.HTTPHEADER: request_headers(options),
        pycurl.CONNECTTIMEOUT_MS: max(1, math.ceil(options.connect_timeout_s * 1000)),
        # As received: bytes that decode to nothing are seen nowhere else.
        pycurl.MAXFILESIZE_LARGE: max(options.max_bytes, RECEIVED_BYTES),
        pycurl.DNS_CACHE_TIMEOUT: DNS_FRESH_S,
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
        pycurl.PROTOCOLS: web,
        pycurl.REDIR_PROTOCOLS: web,
        pycurl.FOLLOWLOCATION: 0,
        pycurl.PATH_AS_IS: 1,  # it has been read already
        pycurl.HTTP09_ALLOWED: 0,
        pycurl.PROXY: "",  # the empty name switches the environment's proxies off
        pycurl.NOPROXY: "*",
        pycurl.NETRC: pycurl.NETRC_IGNORED,
        pycurl.NOSIGNAL: 1,
        pycurl.SSL_VERIFYPEER: 1,
        pycurl.SSL_VERIFYHOST: 2,
        **({pycurl.COOKIEFILE: ""} if options.cookies == "chain" else {}),  # read no file
        **authorities,
    }


def request_headers(options: Fetch, target: CanonicalUrl | None = None) -> list[str]:
    """Return the headers of a request to `target`, or to a host that has none of its own.

    Those of a host go to that host and port alone, what is sensitive of them over https alone.
    """
    fields = {"Accept": "image/*,*/*;q=0.5", "Accept-Encoding": "identity"} | options.headers
    if target:
        of_host = options.host_headers.get(target.origin.partition("://")[2], {})
        secure = target.scheme == "https"
        fields |= {n: v for n, v in of_host.items() if secure or n.lower() not in SENSITIVE}
    last = {name.lower(): f"{name}: {value}" for name, value in fields.items()}
    return list(last.values())


def check_cookies(version: str = pycurl.version) -> None:
    """Refuse cookies where libcurl cannot tell `co.uk` from a site: anyone could set some for it.

    Raises:
        BadOption: this libcurl was built without the public suffix list.
    """
    if "libpsl/" not in version:
        raise BadOption(
            "fetch.cookies: `chain` needs a libcurl with the public suffix list (libpsl), as "
            f"pycurl's wheels have it; this is {version}"
        )


class Names:
    """What host names resolve to, looked up ahead by c-ares, many at once.

    libcurl as pycurl's wheels have it looks names up in some ten threads, and so a resolver that
    takes 0.1 s gives 90 names a second. It is left to do so for a name that is not known here yet.
    To be used by one thread; that of c-ares only hands over what came, and is never waited for.
    """

    def __init__(self, options: Fetch) -> None:
        """Ask the servers of the recipe, or of the system, for what the recipe gives no address."""
        self._options = options
        self._channel: Any = None
        self._found: dict[str, tuple[list[str] | str, float]] = {}  # addresses or why none, until
        self._waiting: dict[str, None] = {}
        self._asked: set[str] = set()
        self._answers: SimpleQueue[tuple[Any, str, Any, int | None]] = SimpleQueue()

    def ahead(self, target: CanonicalUrl) -> None:
        """Look up the name of a host, if it is not known."""
        if not target.is_address and self._given(target) is None:
            self._look_up(target.host_name)

    def entry(self, target: CanonicalUrl) -> tuple[list[str], str | None]:
        """Return libcurl's entry for a host whose addresses are known, and why it has none.

        A name that is not known is looked up by libcurl, which must then forget what it was given
        before. One without an address gets one that is not to be connected to, and is looked up
        again for the next attempt; until that has come, what is known holds.
        """
        found = self._given(target)
        if found is None and not target.is_address:
            looked_up = self._known(target.host_name)
            if isinstance(looked_up, str):
                self._look_up(target.host_name, again=True)
                return [f"+{target.host}:{target.port}:{NO_ADDRESS}"], looked_up
            found = looked_up
        if not found:
            return [f"-{target.host}:{target.port}"], None
        listed = ",".join(f"[{ip}]" if ":" in ip else ip for ip in found)
        return [f"+{target.host}:{target.port}:{listed}"], None

    def pending(self) -> int:
        """Return how many lookups have not ended; those that wait for room begin."""
        self._learn()
        return len(self._asked) + len(self._waiting)

    def close(self) -> None:
        """End the lookups under way."""
        self._asked.clear()
        self._waiting.clear()
        channel, self._channel = self._channel, None
        if channel:
            channel.close()

    def _given(self, target: CanonicalUrl) -> list[str] | None:
        """Return the addresses that the recipe gives a host, instead of DNS."""
        addresses = self._options.resolve.get(target.host_name)
        if addresses is None and not target.is_address:
            addresses = self._options.resolve.get("*")
        return [str(ip) for ip in addresses] if addresses else None

    def _known(self, name: str) -> list[str] | str | None:
        self._learn()
        found, until = self._found.get(name, (None, 0.0))
        return found if time.monotonic() < until else None

    def _look_up(self, name: str, again: bool = False) -> None:
        """Let a name that is not known, or that is asked for again, wait for its lookup."""
        if name not in self._asked and (again or self._known(name) is None):
            self._waiting[name] = None
            self._ask()

    def _ask(self) -> None:
        """Begin lookups as long as there is room."""
        import pycares

        while self._waiting and len(self._asked) < LOOKUPS:
            if self._channel is None:
                self._channel = pycares.Channel(
                    servers=self._options.resolvers or None,
                    timeout=LOOKUP_S,
                    tries=LOOKUP_TRIES,
                    ndots=1,  # a cluster's domains are tried last, where there are any
                )
            name = next(iter(self._waiting))
            del self._waiting[name]
            self._asked.add(name)
            channel = self._channel
            channel.getaddrinfo(
                name,
                None,
                family=_families(),
                type=socket.SOCK_STREAM,
                callback=partial(_hand_over, self._answers, channel, name),
            )

    def _learn(self) -> None:
        """Take what has come."""
        if self._answers.empty():
            return
        if len(self._found) >= NAMES_KNOWN:
            self._found.clear()
        until = time.monotonic() + DNS_FRESH_S
        while not self._answers.empty():
            channel, name, result, error = self._answers.get()
            if channel is self._channel:
                self._asked.discard(name)
                if error != UNREACHED or self._options.resolvers:  # the system may know other ways
                    self._found[name] = _outcome(name, result, error), until
        self._ask()


def _hand_over(
    answers: "SimpleQueue[Any]", channel: Any, name: str, result: Any, error: int | None
) -> None:
    """Hand over what came of a lookup; called by c-ares, which holds its lock."""
    answers.put((channel, name, result, error))


def _outcome(name: str, result: Any, error: int | None) -> list[str] | str:
    """Return the addresses of a name, or why it has none."""
    import pycares

    if error is None:
        return [node.addr[0].decode() for node in result.nodes]
    why = pycares.errno.strerror(error)
    return f"{why if isinstance(why, str) else why.decode()}: {name}"


@lru_cache(maxsize=1)
def _families() -> int:
    """Return which addresses are of use: of version 6 only where a route leads there."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2000::", 53))  # sends nothing
    except OSError:
        return socket.AF_INET
    return socket.AF_UNSPEC


def certificates() -> dict[int, str]:
    """Return where the certificate authorities are: libcurl's own path may be another system's.

    A bundle is preferred to a folder: libcurl reads it once for all transfers and keeps it.
    """
    paths = ssl.get_default_verify_paths()
    bundle = paths.cafile or next((path for path in _CA_BUNDLES if os.path.exists(path)), None)
    if bundle:
        return {pycurl.CAINFO: bundle}
    return {pycurl.CAPATH: paths.capath} if paths.capath else {}
