"""libcurl's options for every request, and where it finds authorities and addresses."""

import math
import os
import ssl
import zlib
from typing import Any

import pycurl

from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_headers import SENSITIVE

RECEIVED_BYTES = 10_000_000  # before decoding; a robots.txt may be longer than `max_bytes`
SESSION_CACHES = 40  # of libcurl, each of which keeps the TLS sessions of 25 hosts
DNS_FRESH_S = 600  # how long an address is used again; the socket is checked all the same
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


def resolved(target: CanonicalUrl, options: Fetch) -> list[str]:
    """Return libcurl's entry for a host whose addresses the recipe gives, instead of DNS."""
    addresses = options.resolve.get(target.host_name)
    if addresses is None and not target.is_address:
        addresses = options.resolve.get("*")
    if not addresses:
        return []
    listed = ",".join(f"[{ip}]" if ip.version == 6 else str(ip) for ip in addresses)
    return [f"+{target.host}:{target.port}:{listed}"]


def certificates() -> dict[int, str]:
    """Return where the certificate authorities are: libcurl's own path may be another system's.

    A bundle is preferred to a folder: libcurl reads it once for all transfers and keeps it.
    """
    paths = ssl.get_default_verify_paths()
    bundle = paths.cafile or next((path for path in _CA_BUNDLES if os.path.exists(path)), None)
    if bundle:
        return {pycurl.CAINFO: bundle}
    return {pycurl.CAPATH: paths.capath} if paths.capath else {}
