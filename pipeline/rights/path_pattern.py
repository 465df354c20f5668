"""Patterns of paths as robots.txt and tdmrep.json have them: `*` for anything, `$` for the end.

Source: RFC 9309, 2.2.2 and 2.2.3. A pattern matches from the beginning of the path. The time is
linear in the path for each part between two `*`, whatever the pattern.
"""

import re
import string

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_NOT_ASCII = re.compile(r"[^\x21-\x7e]")


def matches(pattern: str, path: str) -> bool:
    """Return whether `pattern` matches `path`, both as `normal` gives them."""
    whole = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    if not others:
        return not whole or at == len(path)
    last = others.pop() if whole else ""
    for part in others:
        at = path.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(path) - at >= len(last) and path.endswith(last)


def normal(text: str) -> str:
    """Return a path or pattern with one spelling of everything that is escaped."""
    text = _NOT_ASCII.sub(lambda c: "".join(f"%{byte:02X}" for byte in _bytes(c[0])), text)
    return _ESCAPE.sub(_one_spelling, text)


def _bytes(character: str) -> bytes:
    return character.encode("utf-8", "replace")


def _one_spelling(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
