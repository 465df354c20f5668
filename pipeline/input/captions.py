"""What counts as the URL or the text of a pair, where JSON or Parquet hold other than a string.

A list of strings is several captions of one image: one of them is the text, and all stay as an
extra column. Anything else that is no string is no text; it, too, stays as an extra column, and the
row says so.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

FIRST, LONGEST = "first", "longest"
SHOWN = 60  # characters of a value that is told
_KINDS = {bool: "true or false", int: "a number", float: "a number", dict: "an object"}


def chosen(captions: Sequence[str | None], rule: str, seed: str) -> str | None:
    """Return the caption that is the text; None where none has any characters.

    Args:
        captions: In the order of the input.
        rule: `first`, `longest` (the first of them), or `random(n)` by the number n.
        seed: What tells the pair from others, such as its URL; it shapes `random` alone.
    """
    usable = [caption for caption in captions if caption and caption.strip()]
    if not usable:
        return None
    if rule == FIRST:
        return usable[0]
    if rule == LONGEST:
        return max(usable, key=len)
    drawn = hashlib.md5(f"{rule} {seed}".encode("utf-8", "surrogatepass"), usedforsecurity=False)
    return usable[int.from_bytes(drawn.digest()[:8], "big") % len(usable)]


def is_captions(value: Any) -> bool:
    """Return whether a JSON value is a list of strings, some of them perhaps null."""
    if not isinstance(value, list):
        return False
    strings = sum(isinstance(one, str) for one in value)
    return strings > 0 and strings + value.count(None) == len(value)


def told(name: str, value: Any) -> str:
    """Return what is wrong with a value that should be a string."""
    kind = "a list" if isinstance(value, list) else _KINDS.get(type(value), "no string")
    return f"`{name}` is {kind}: {str(value)[:SHOWN]}"
