"""What is read from an answer's header besides the status: a version, a redirect, and opt-outs.

Source: tdm-reservation and tdm-policy: W3C TDM Reservation Protocol, section 5.2; Content-Usage:
draft-ietf-aipref-attach-05, section 2; the others: preferences.py.
"""

import re
from dataclasses import dataclass, field

from pairsieve.pipeline.fetch.content_coding import codings
from pairsieve.pipeline.rights.opt_out import OptOut
from pairsieve.pipeline.rights.preferences import directive, signal, usage
from pairsieve.schemas.recipe_opt_outs import Form

MAX_CHARS = 200  # of a header's value that is kept
_FIELDS = re.compile(
    rb"^(etag|last-modified|content-encoding|content-length|location|x-robots-tag|"
    rb"tdm-reservation|tdm-policy|content-usage|content-signal)"
    rb"[ \t]*:([^\r\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_STATUS = re.compile(rb"\n?HTTP/([0-9.]{1,8}) +([0-9]{3})")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


@dataclass(slots=True)
class Header:
    """What the header of an answer says; all but `location` at most MAX_CHARS characters."""

    status: int
    http_version: str | None = None  # such as `1.1` or `2`
    etag: str | None = None
    last_modified: str | None = None
    location: str = ""  # the first one; libcurl refuses a second that differs
    codings: tuple[str, ...] = ()  # of the body, in the order they were applied
    length: int = 0  # as declared, bytes; 0 if it is not
    opt_outs: list[OptOut] = field(default_factory=list)  # at most one of a form


def complete(lines: bytes) -> bool:
    """Return whether `lines` hold all of the header of an answer that is not an interim one."""
    return lines.endswith((b"\r\n\r\n", b"\n\n")) and _status(lines, _start(lines))[0] >= 200


def read(lines: bytes, robot: str) -> Header:
    """Return what `lines`, one or more headers of which the last counts, say to `robot`.

    `robot` is a product token in lower case.
    """
    start = _start(lines)
    header = Header(*_status(lines, start))
    encodings: list[str] = []
    declared: dict[bytes, list[str]] = {}
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
            case declaration:
                declared.setdefault(declaration, []).append(raw.decode("latin-1").strip())
    if declared:
        header.opt_outs = _opt_outs(declared, robot)
    header.codings = codings(encodings) if encodings else ()
    return header


def _start(lines: bytes) -> int:
    """Return where the last header begins; before it are those of interim answers."""
    return max(0, lines.rfind(b"\nHTTP/"))


def _status(lines: bytes, start: int) -> tuple[int, str | None]:
    """Return status and version of HTTP; 0 and None of what is no header."""
    status = _STATUS.match(lines, start)
    return (int(status[2]), status[1].decode()) if status else (0, None)


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


def _opt_outs(declared: dict[bytes, list[str]], robot: str) -> list[OptOut]:
    """Return what the values of such fields opt out of; the lines of one dictionary are joined."""
    found = []
    for name, form, says in (
        (b"content-usage", Form.CONTENT_USAGE, usage),
        (b"content-signal", Form.CONTENT_SIGNAL, signal),
    ):
        allowed, words = says(", ".join(declared[name])) if name in declared else (None, "")
        if allowed is False:
            found.append(OptOut(form, f"{form.replace('_', '-').title()}: {words}"))
    tags = (directive(value, robot) for value in declared.get(b"x-robots-tag", ()))
    if tag := next(filter(None, tags), None):
        found.append(OptOut(Form.X_ROBOTS_TAG, f"X-Robots-Tag: {tag}"))
    if "1" in declared.get(b"tdm-reservation", ()):
        policy = "".join(f", tdm-policy: {url}" for url in declared.get(b"tdm-policy", ())[:1])
        found.append(OptOut(Form.TDM_RESERVATION, f"tdm-reservation: 1{policy}"[:MAX_CHARS]))
    return found
