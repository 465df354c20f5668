"""Which addresses may be reached: first the URL, then the socket itself.

A URL is judged in the canonical form in which it is requested. What a host name resolves to is
known at the socket alone: names can resolve to anything and to something else a moment later, and
redirects lead anywhere. So networks and ports are checked there (`Addresses.refusal`), for every
address that would be connected to.
"""

import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from pairsieve.pipeline.fetch.canonical_url import (
    DEFAULT_PORTS,
    MAX_URL_CHARS,
    CanonicalUrl,
    canonical,
    scheme_of,
)
from pairsieve.schemas.outcomes import Outcome

CACHED_VERDICTS = 10_000  # IP addresses whose verdict is remembered
_WELL_KNOWN = frozenset(
    ("ftp", "file", "data", "gopher", "blob", "mailto", "javascript", "ws", "wss")
)
# The standard lets a host be `a$b` or `a..b`; nobody can own such a name, and libcurl refuses it.
_HOST = re.compile(r"(?=.{1,254}$)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?")

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
        blocked: Callable[[CanonicalUrl], str | None] | None = None,
    ) -> None:
        """Allow these; `blocked` gives the entry of the blocklist that a target is on, if any."""
        self._networks = allow_networks
        self._ports = frozenset((80, 443, *ports))
        self._blocked = blocked
        self.refusal = lru_cache(maxsize=CACHED_VERDICTS)(self._verdict)

    def target(self, text: str, base: CanonicalUrl | None = None) -> CanonicalUrl | Refused:
        """Return a URL, which may be relative to `base`, as it is requested, or why it may not."""
        target = target_of(text, base)
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


def target_of(text: str, base: CanonicalUrl | None = None) -> CanonicalUrl | Refused:
    """Return the canonical form of a URL, which may be relative to `base`, if it can be requested.

    A refusal repeats nothing that may be the name in `name:password@`.
    """
    url = canonical(text, base)
    scheme = url.scheme if url else scheme_of(text)
    if scheme and scheme not in DEFAULT_PORTS:
        detail = f"scheme {scheme}" if scheme in _WELL_KNOWN else "scheme"
        return Refused(Outcome.BLOCKED_SCHEME, detail)
    if len(url.url if url else text) > MAX_URL_CHARS:
        return Refused(Outcome.NO_URL, f"more than {MAX_URL_CHARS} characters")
    if url is None:
        well_formed = "not a well-formed URL" if scheme or base else "no scheme"
        return Refused(Outcome.NO_URL, well_formed)
    if not url.is_address and not _HOST.fullmatch(url.host):
        return Refused(Outcome.NO_URL, "not a host name")
    return url


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


class OpenSocket:
    """A file descriptor of a new socket, open as long as this is.

    A Python socket that nobody closes would prepare a warning, at more than its own cost.
    """

    __slots__ = ("_number",)

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        """Open it.

        Raises:
            OSError: this process may open no more.
        """
        opened = socket.SocketType(family, kind, protocol)
        os.close(os.dup(opened.fileno()))  # pycurl does the same, but hides that it cannot
        self._number = opened.detach()

    def fileno(self) -> int:
        """Return the number of the file descriptor."""
        return self._number

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            os.close(self._number)
