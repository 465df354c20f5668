"""What is read from an answer's header besides the status: a version, a redirect, and opt-outs.

Source: X-Robots-Tag, https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag;
noai and noimageai: introduced by DeviantArt, November 2022; tdm-reservation: W3C TDM Reservation
Protocol, section 5.1.
"""

import re
from dataclasses import dataclass

from pairsieve.pipeline.fetch.content_coding import codings
from pairsieve.schemas.outcomes import Outcome

MAX_CHARS = 200  # of a header's value that is kept
OPT_OUTS = frozenset(("noai", "noimageai", "noindex", "noimageindex", "none"))
_FIELDS = re.compile(
    rb"^(etag|last-modified|content-encoding|content-length|location|x-robots-tag|"
    rb"tdm-reservation)"
    rb"[ \t]*:([^\r\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_STATUS = re.compile(rb"\n?HTTP/[0-9.]+ +([0-9]{3})")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_RESERVED = (Outcome.TDM_RESERVED, "tdm-reservation: 1")
# Directives that have a value after a colon, which a name of a robot has, too.
_VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


@dataclass(slots=True)
class Header:
    """What the header of an answer says; all but `location` at most MAX_CHARS characters."""

    status: int
    etag: str | None = None
    last_modified: str | None = None
    location: str = ""  # the first one; libcurl refuses a second that differs
    codings: tuple[str, ...] = ()  # of the body, in the order they were applied
    length: int = 0  # as declared, bytes; 0 if it is not
    opt_out: tuple[Outcome, str] | None = None


def complete(lines: bytes) -> bool:
    """Return whether `lines` hold all of the header of an answer that is not an interim one."""
    return lines.endswith((b"\r\n\r\n", b"\n\n")) and _status(lines, _start(lines)) >= 200


def read(lines: bytes, robot: str) -> Header:
    """Return what `lines`, one or more headers of which the last counts, say to `robot`.

    `robot` is a product token in lower case.
    """
    start = _start(lines)
    header = Header(_status(lines, start))
    encodings: list[str] = []
    for name, raw in _FIELDS.findall(lines, start):
        match name.lower():
            case b"content-length":
                digits = raw.strip()
                header.length = int(digits[:20]) if digits.isdigit() else 0
            case b"etag":
                header.etag = text(raw)
            case b"last-modified":
                header.last_modified = text(raw)
            case b"content-encoding":
                encodings.append(raw.decode("latin-1"))
            case b"location":
                header.location = header.location or _location(raw)
            case b"x-robots-tag":
                header.opt_out = header.opt_out or _opted_out(raw.decode("latin-1"), robot)
            case _:
                if raw.strip() == b"1":
                    header.opt_out = header.opt_out or _RESERVED
    header.codings = codings(encodings) if encodings else ()
    return header


def _start(lines: bytes) -> int:
    """Return where the last header begins; before it are those of interim answers."""
    return max(0, lines.rfind(b"\nHTTP/"))


def _status(lines: bytes, start: int) -> int:
    status = _STATUS.match(lines, start)
    return int(status[1]) if status else 0


def text(raw: bytes) -> str:
    """Return a header's value as proper text; bytes that are not UTF-8 are taken for Latin-1."""
    try:
        value = raw.decode("utf-8")
    except UnicodeDecodeError:
        value = raw.decode("latin-1")
    return value.strip()[:MAX_CHARS]


def _location(raw: bytes) -> str:
    """Return a Location as text; bytes that are not UTF-8 reach the next request as they are."""
    raw = raw.strip()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _NOT_ASCII.sub(lambda byte: b"%%%02X" % byte[0][0], raw).decode("ascii")


def _opted_out(value: str, robot: str) -> tuple[Outcome, str] | None:
    """Return the opt-out in one X-Robots-Tag; a name before a colon addresses what follows it."""
    addressed = True
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in _VALUED:
            addressed = name.strip() in (robot, "*")
            part = rest
        if addressed and part.strip() in OPT_OUTS:
            return Outcome.OPT_OUT, f"X-Robots-Tag: {part.strip()}"
    return None
