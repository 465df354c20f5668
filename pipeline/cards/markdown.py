"""Markdown of text from anywhere: nothing in it becomes markup, a link or another cell."""

import re
from collections.abc import Iterable, Sequence

MOST_CHARS = 200  # of a text from outside
_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$])")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def escaped(text: object) -> str:
    """Return a text from outside in one line, as Markdown that shows it."""
    plain = _INVISIBLE.sub(" ", str(text)).strip()
    cut = plain if len(plain) <= MOST_CHARS else f"{plain[:MOST_CHARS]}…"
    return re.sub(r"(?i)\b(https?|ftp|www)([.:])", r"\1\\\2", _MARKUP.sub(r"\\\1", cut))


def code(text: object) -> str:
    """Return a name, also one from outside, in one line as code; fit for a table."""
    plain = _INVISIBLE.sub(" ", str(text)).strip()[:MOST_CHARS].replace("`", "'")
    return f"`{plain}`".replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; cells must be escaped already. Empty without rows."""
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines])


def page(parts: Iterable[str]) -> str:
    """Return a page of paragraphs, headings and tables; empty ones are left out."""
    return "\n\n".join(filter(None, parts)) + "\n"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
