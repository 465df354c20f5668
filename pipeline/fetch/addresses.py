"""Which addresses may be reached: first the text of a URL, then the socket itself.

A URL is rewritten into one strict ASCII form before libcurl sees it, so that there is only one
reading of it. What a host name resolves to is known at the socket alone: names can resolve to
anything and to something else a moment later, and redirects lead anywhere. So networks and ports
are checked there (`Addresses.refusal`), for every address that would be connected to.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, quote, urlsplit

from pairsieve.schemas.outcomes import Outcome

CACHED_VERDICTS = 10_000  # IP addresses whose verdict is remembered
MAX_URL_CHARS = 16_384  # twice what common servers accept
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WELL_KNOWN = frozenset(
    ("ftp", "file", "data", "gopher", "blob", "mailto", "javascript", "ws", "wss")
)
# What comes out as it went in: most URLs of the web.
_PLAIN = re.compile(
    r"(https?)://((?:[a-z0-9_][a-z0-9_-]{0,62}\.){1,8}[a-z]{2,24})/[A-Za-z0-9!$%&'()*+,/:;=@\[\]~._-]*"
    r"(?:\?[A-Za-z0-9!$%&'()*+,/:;=?@\[\]~._-]+)?"
)
_AMPERSAND = re.compile(r"&(?:amp;|#0*38;|#x0*26;)+", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,252}")
_BRACKETED = re.compile(r"\[([0-9a-f:.]{2,45})\](?::(.*))?")
_HEXADECIMAL = re.compile(r"0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
_UNQUOTED = "!$%&'()*+,/:;=?@[]~"  # Source: requests.utils.requote_uri, without "#"

# Not on the public web. Source: IANA IPv4 Special-Purpose Address Registry (RFC 6890), and
# 224.0.0.0/4 multicast (RFC 5771).
_SPECIAL_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
# Source: IANA IPv6 Address Space (global unicast is 2000::/3) and Special-Purpose Address Registry.
_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16")
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that can be requested: ASCII, without credentials and fragment.

    Attributes:
        url: As it is requested.
        host: Its host, in lower case.
        origin: Scheme, host and port, such as `https://example.org`; robots.txt is per origin.
    """

    url: str
    host: str
    origin: str
    port: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A URL that cannot or may not be requested."""

    outcome: Outcome
    detail: str


class Addresses:
    """The networks and ports that may be reached: the public web, and what the recipe lists."""

    def __init__(
        self,
        allow_networks: tuple[IPv4Network | IPv6Network, ...],
        ports: tuple[int, ...],
        blocked: Callable[[Target], str | None] | None = None,
    ) -> None:
        """Allow these; `blocked` gives the entry of the blocklist that a target is on, if any."""
        self._networks = allow_networks
        self._ports = frozenset((80, 443, *ports))
        self._blocked = blocked
        self.refusal = lru_cache(maxsize=CACHED_VERDICTS)(self._verdict)

    def target(self, url: str) -> Target | Refused:
        """Return `url` in the form in which it is requested, or why it may not be."""
        target = target_of(url)
        if isinstance(target, Refused):
            return target
        entry = self._blocked(target) if self._blocked else None
        if entry:
            return Refused(Outcome.BLOCKLIST, entry)
        if target.port not in self._ports:
            return Refused(Outcome.BLOCKED_ADDRESS, f"port {target.port} is not in fetch.ports")
        return target

    def _verdict(self, address: str, port: int) -> str | None:
        """Return why a socket may not be connected to the IP `address`, None if it may."""
        if port not in self._ports:
            return f"port {port} is not in fetch.ports"
        ip = ip_address(address)
        mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
        if _public(ip) or any(ip in net or (mapped and mapped in net) for net in self._networks):
            return None
        return f"{address} is not on the public web nor in fetch.allow_networks"


def target_of(url: str) -> Target | Refused:
    """Return `url` in one strict form, or why it has none.

    Credentials and fragment are dropped, the host is lower case and IDNA, what is not allowed in a
    path or query is percent-encoded; `%XX` stays as it is. `&amp;` becomes `&`, as in the HTML that
    a URL was copied from; other entities look like parameters and stay (`&copy=2`).
    """
    if len(url) > MAX_URL_CHARS:
        return Refused(Outcome.NO_URL, f"more than {MAX_URL_CHARS} characters")
    url = _AMPERSAND.sub("&", url.strip(" \t\r\n\f"))
    plain = _PLAIN.fullmatch(url)
    if plain and plain.end(2) < 254:
        return Target(url, plain[2], url[: plain.end(2)], _DEFAULT_PORTS[plain[1]])
    if _CONTROL.search(url):
        return Refused(Outcome.NO_URL, "control characters")
    scheme = _SCHEME.match(url)
    if not scheme:
        return Refused(Outcome.NO_URL, "no scheme")
    if scheme[1].lower() not in _DEFAULT_PORTS:
        known = scheme[1].lower() in _WELL_KNOWN  # others may be the name in `name:password@`
        return Refused(Outcome.BLOCKED_SCHEME, f"scheme {scheme[1]}" if known else "scheme")
    try:
        return _rebuilt(urlsplit(url))
    except ValueError:  # also UnicodeError: lone surrogates, hosts that IDNA refuses
        return Refused(Outcome.NO_URL, "not a well-formed URL")


def _rebuilt(parts: SplitResult) -> Target:
    """Return the target of `parts`; ValueError if it is not well-formed."""
    if "\\" in parts.netloc:  # browsers and RFC 3986 disagree on the host
        raise ValueError("backslash before the path")
    host, port = _host_and_port(parts.netloc.rpartition("@")[2])
    default = _DEFAULT_PORTS[parts.scheme]
    authority = f"{host}:{port}" if port and port != default else host
    path = quote(parts.path, safe=_UNQUOTED) or "/"
    query = f"?{quote(parts.query, safe=_UNQUOTED)}" if parts.query else ""
    origin = f"{parts.scheme}://{authority}"
    return Target(f"{origin}{path}{query}", host, origin, port or default)


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """Return host, as ASCII, and port, if there is one, of `host:port`; ValueError if malformed."""
    bracketed = _BRACKETED.fullmatch(authority.lower())
    if bracketed:
        host, port = f"[{IPv6Address(bracketed[1])}]", bracketed[2]
    else:
        host, _, port = authority.partition(":")
        host = (host if host.isascii() else host.encode("idna").decode("ascii")).lower()
        if not _HOST.fullmatch(host):
            raise ValueError(f"not a host: {host[:100]!r}")
        if numeric(host):
            host = _dotted(host)
    if port and not (_PORT.fullmatch(port) and 1 <= int(port) <= 65535):
        raise ValueError(f"not a port: {port[:20]!r}")
    return host, int(port) if port else None


def numeric(host: str) -> bool:
    """Return whether `host` is an IP address in one of its spellings, not a name.

    Source: WHATWG URL, "ends in a number": decimal, octal or hexadecimal, of one to four parts.
    """
    last = host.rstrip(".").rpartition(".")[2]
    return host.startswith("[") or last.isdigit() or bool(_HEXADECIMAL.fullmatch(last))


def _dotted(host: str) -> str:
    """Return a numeric IPv4 host, such as 2130706433 or 0x7f.1, as four decimals; ValueError."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError as error:
        raise ValueError("not an IPv4 address") from error


def _public(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether `ip`, and every IPv4 address inside it, is global unicast."""
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _SPECIAL_V4)
    embedded = _embedded(ip)
    if embedded:
        return all(_public(v4) for v4 in embedded)
    return ip in _GLOBAL_V6 and not any(ip in network for network in _SPECIAL_V6)


def _embedded(ip: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that a mapped, 6to4, Teredo or NAT64 address stands for."""
    if ip.ipv4_mapped:
        return (ip.ipv4_mapped,)
    if ip.sixtofour:
        return (ip.sixtofour,)
    if ip.teredo:
        return ip.teredo
    if ip in _NAT64:
        return (IPv4Address(int(ip) & 0xFFFF_FFFF),)
    return ()
