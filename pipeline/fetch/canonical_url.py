"""The canonical form of a URL: what the WHATWG URL standard makes of it, as browsers do.

A URL is read here and nowhere else. robots.txt, the blocklist, a host's turn and pace, duplicates
within a unit, the request, redirects and the ledger's `host` and `url_hash` go by this one form,
because whatever read the text differently could be got round by a spelling of it. Credentials and
fragment, which are not sent, are no part of it.

Two things come before the standard. Entities are read as in the HTML that a URL was copied from:
numbers with or without a semicolon, names with one, and `&amp` (other names without a semicolon are
parameters to everybody else and stay, as in `&copy=2`); an ampersand encoded twice is one. And
`//host/path` takes https.

Source: https://url.spec.whatwg.org/, host names by UTS 46. Measured, one core, best of 5 x 100,000:
1.6 us for a URL that is its own canonical form; 5.5 us for another of 121 characters, 7.8 us with a
query of 25, 10.4 us with a name to encode; the hash 0.8 us.
"""

import hashlib
import html
import re
from dataclasses import dataclass
from html.entities import html5

from ada_url import URL

MAX_URL_CHARS = 16_384  # twice what common servers accept
DEFAULT_PORTS = {"http": 80, "https": 443}
# At both ends of a URL they are not part of it; tabs and line breaks are not anywhere.
_STRIPPED = "".join(map(chr, range(0x21)))
_TABS_AND_BREAKS = re.compile(r"[\t\n\r]+")
_ENTITY = re.compile(
    r"(?P<ampersand>&(?:amp(?:;|(?![=a-z0-9]))|#0*38(?:;|(?![0-9]))|#x0*26(?:;|(?![0-9a-f])))+)"
    r"|&#(?:0*(?P<decimal>[0-9]{1,9})|x0*(?P<hex>[0-9a-f]{1,7}));?"
    r"|&(?P<name>[a-z][a-z0-9]{1,31};)",
    re.IGNORECASE,
)
_NO_SCHEME = re.compile(r"[/\\][\t\n\r]*[/\\]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# A URL whose canonical form is itself: most are of this kind, and a match costs a third of parsing.
# What parts its pieces is in none of them, so it fails in linear time. No group with `++`, which
# passed over what it looks ahead for before Python 3.11.5.
_PLAIN = re.compile(
    r"(https?)://(?![^/]*xn--)((?:[a-z0-9_-]{1,63}+\.)+[a-z][a-z0-9-]{0,62})"
    r"(?:/(?!\.)[A-Za-z0-9_.~!$()*+,;=:@-]*+)+"
    r"(?:\?[A-Za-z0-9_.~!$()*+,=:@/?%-]*+(?:&(?!#|[aA][mM][pP])[A-Za-z0-9_.~!$()*+,=:@/?%-]*+)*)?"
)
# Of a URL that has been serialised: credentials hold no `@`, `/` or `?` of their own.
_BEGINNING = re.compile(r"([a-z][a-z0-9+.-]*):(?://([^/?@]*@)?(\[[^\]]*\]|[^/?:]*)(?::([0-9]+))?)?")


@dataclass(frozen=True, slots=True)
class CanonicalUrl:
    """A URL in its canonical form.

    Attributes:
        url: All of it, as it is requested.
        scheme: Such as `https`.
        host: ASCII and in lower case, an IPv6 address in brackets; "" where there is none.
        origin: Scheme, host and port, such as `https://example.org`; robots.txt is per origin.
        port: 0 where there is none.
    """

    url: str
    scheme: str
    host: str
    origin: str
    port: int

    @property
    def target(self) -> str:
        """Return what is requested of the host: path and query."""
        return self.url[len(self.origin) :]

    @property
    def host_name(self) -> str:
        """Return the host without a dot at its end, which would stand for the same host."""
        return self.host.rstrip(".") or self.host

    @property
    def is_address(self) -> bool:
        """Return whether the host is an IP address: no name ends in a number."""
        return self.host.startswith("[") or self.host.rpartition(".")[2].isdigit()

    @property
    def hash(self) -> int:
        """Return the 64-bit BLAKE2b of the URL."""
        return int.from_bytes(hashlib.blake2b(self.url.encode(), digest_size=8).digest(), "big")


def canonical(text: str, base: CanonicalUrl | None = None) -> CanonicalUrl | None:
    """Return the canonical form of a URL, None where the standard refuses it or it is too long.

    It may be relative to `base`.
    """
    if len(text) > MAX_URL_CHARS:
        return None
    if plain := _PLAIN.fullmatch(text):
        scheme, host = plain.groups()
        return CanonicalUrl(text, scheme, host, f"{scheme}://{host}", DEFAULT_PORTS[scheme])
    return parsed(text, base)


def is_plain(text: str) -> bool:
    """Return whether a URL of the web is seen at a glance to be its own canonical form."""
    return len(text) <= MAX_URL_CHARS and _PLAIN.fullmatch(text) is not None


def parsed(text: str, base: CanonicalUrl | None = None) -> CanonicalUrl | None:
    """Return the canonical form as the standard's parser has it, of a URL that is not too long."""
    try:
        href = URL(_prepared(text, base), base.url if base else None).href
    except ValueError:
        return None
    href = href.partition("#")[0]
    beginning = _BEGINNING.match(href)
    if beginning is None:  # no URL that has been serialised
        return None
    scheme, credentials, host, port = beginning.groups("")
    origin, rest = href[: beginning.end()], href[beginning.end() :]
    if credentials:
        origin = origin.replace(credentials, "", 1)
    number = int(port) if port else DEFAULT_PORTS.get(scheme, 0)
    return CanonicalUrl(origin + rest, scheme, host, origin, number)


def canonical_or_given(text: str) -> str:
    """Return the canonical form of a URL as text, or `text` where it has none."""
    url = canonical(text)
    return url.url if url else text


def scheme_of(text: str) -> str | None:
    """Return the scheme, in lower case, of a text that need not be a URL; None without one."""
    scheme = _SCHEME.match(_TABS_AND_BREAKS.sub("", _prepared(text, None)))
    return scheme[1].lower() if scheme else None


def _prepared(text: str, base: CanonicalUrl | None) -> str:
    """Return `text` as it goes to the standard's parser."""
    if not text.isascii():  # a surrogate alone is no character, as in the standard
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = text.strip(_STRIPPED)
    if "&" in text:
        text = _ENTITY.sub(_character, _TABS_AND_BREAKS.sub("", text))
    return f"https:{text}" if base is None and _NO_SCHEME.match(text) else text


def _character(entity: re.Match[str]) -> str:
    """Return what an entity stands for; one that no HTML knows stays as it is."""
    if entity["ampersand"]:
        return "&"
    if entity["name"]:
        return html5.get(entity["name"], entity[0])
    return html.unescape(f"&#{entity['decimal']};" if entity["decimal"] else f"&#x{entity['hex']};")
