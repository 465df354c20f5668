"""Request headers that a recipe may add: which names and values, and to whom they go."""

import re
from typing import Annotated

from pydantic import AfterValidator

MAX_HEADERS = 20
MAX_CHARS = 4096  # of a value
SENSITIVE = frozenset(("authorization", "cookie"))  # for one host alone, over https alone
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[!-~](?:[ !-~]*[!-~])?")
HOST_NAME = r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])"  # as in a canonical URL
_HOST = re.compile(rf"{HOST_NAME}(?::(?!80$|443$)[0-9]{{1,5}})?")
_PRODUCT = re.compile(r"[A-Za-z0-9]")
_CONTACT = re.compile(r"https?://[^\s/]+|[^\s@<>()]+@[^\s@<>()]+")
_REASONS = {
    "host": "it follows from the URL",
    "user-agent": "say `fetch.user_agent`",
    "accept-encoding": "what a body may become is limited as it is decoded",
    **dict.fromkeys(
        (
            "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
            "upgrade", "http2-settings", "expect", "alt-used",
        ),
        "it is about the connection, not the request",
    ),
    **dict.fromkeys(
        ("proxy-authorization", "proxy-authenticate"), "no proxy is used"
    ),
    **dict.fromkeys(
        ("content-length", "content-type", "content-encoding"), "the request has no body"
    ),
    **dict.fromkeys(
        (
            "range", "if-range", "if-match", "if-none-match", "if-modified-since",
            "if-unmodified-since",
        ),
        "a part of an image, or none, would come",
    ),
}  # fmt: skip


def reachable(user_agent: str) -> str:
    """Refuse a User-Agent from which a site's owner could not tell whom to write to."""
    if not (user_agent.isascii() and user_agent.isprintable()):
        raise ValueError(f"must be printable ASCII, got {user_agent!r}")
    if not _PRODUCT.match(user_agent) or not _CONTACT.search(user_agent):
        raise ValueError(
            "must begin with a name and hold a URL or an e-mail address, so that a site's owner "
            f'can reach you, e.g. "my-lab/1.0 (+https://example.org/crawler)"; got {user_agent!r}'
        )
    return user_agent


def _checked(headers: dict[str, str]) -> dict[str, str]:
    """Refuse headers that cannot be sent, or that another part of the request decides."""
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"at most {MAX_HEADERS} headers, got {len(headers)}")
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header; allowed: letters, digits and `-`")
        if reason := _REASONS.get(name.lower()):
            raise ValueError(f"`{name}` cannot be set: {reason}")
        if len(value) > MAX_CHARS or not _VALUE.fullmatch(value):
            raise ValueError(
                f"the value of `{name}` must be 1 to {MAX_CHARS} printable ASCII characters in one "
                f"line, with no space at its ends, got {value[:80]!r}"
            )
    folded = [name.lower() for name in headers]
    if twice := next((name for name in folded if folded.count(name) > 1), None):
        raise ValueError(f"`{twice}` stands there twice; capitals make no other name")
    return headers


def _harmless(headers: dict[str, str]) -> dict[str, str]:
    """Refuse headers that no other host must see."""
    if secret := next((name for name in headers if name.lower() in SENSITIVE), None):
        raise ValueError(
            f"`{secret}` would go to every host; say `host_headers: {{example.org: "
            f"{{{secret}: ...}}}}`"
        )
    return headers


def _of_hosts(hosts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Refuse what is no host as it stands in a URL in canonical form."""
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ValueError(
                f"{host!r} is no host; write it as `example.org`, `xn--...` or `[2001:db8::1]`, in "
                "small letters, with `:port` if that is neither 80 nor 443"
            )
    return hosts


Headers = Annotated[dict[str, str], AfterValidator(_checked)]
HeadersForAll = Annotated[Headers, AfterValidator(_harmless)]
HostHeaders = Annotated[dict[str, Headers], AfterValidator(_of_hosts)]
