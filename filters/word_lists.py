"""Word lists: a text file with an entry a line, or a folder of such files, one per language.

The form of the List of Dirty, Naughty, Obscene, and Otherwise Bad Words. Entries of several words
are found as such. Text and entries are compared in the same form: NFKC, without case, white space
collapsed. An entry counts where it is no part of a longer word; in scripts that put no spaces
between words, anywhere.

Source: LDNOOBW (github.com/LDNOOBW); Aho and Corasick, "Efficient string matching" (1975), by
pyahocorasick.
"""

import re
from collections import Counter
from functools import lru_cache
from typing import Any
from unicodedata import normalize

from pairsieve.schemas.recipe_text import files_of

SPACELESS = (  # scripts that put no spaces between words, as a set of characters
    "\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uaa60-\uaa7f\uf900-\ufaff\U00020000-\U000323af"
)
_SPACELESS = re.compile(f"[{SPACELESS}]")
_OF_WORD = re.compile(r"[^\W_]|[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u064b-\u065f\u0900-\u0963]")
CHARS_READ = 10_000  # code points; the rest of a page of text is not looked at


def comparable(text: str) -> str:
    """Return the form in which texts and entries are compared."""
    if not text.isascii():
        text = normalize("NFKC", normalize("NFKC", text).casefold())
    return " ".join(text.lower().split())


def is_spaceless(sign: str) -> bool:
    """Return whether a sign is of a script that puts no spaces between words."""
    return bool(_SPACELESS.match(sign))


def read(path: str) -> list[str]:
    """Return the entries of the list at `path` in comparable form, sorted, each once.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text in UTF-8, or there is no entry.
    """
    entries: set[str] = set()
    for file in files_of(path):
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: not text in UTF-8") from error
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{file}: no such file or folder") from error
        entries |= {comparable(line) for line in lines}
    entries.discard("")
    if not entries:
        raise ValueError(f"{path}: holds no entry")
    return sorted(entries)


class WordLists:
    """Finds the entries of several lists in texts, all at once."""

    def __init__(self, paths: tuple[tuple[str, str], ...]) -> None:
        """Read the lists; `paths` are pairs of name and path."""
        import ahocorasick

        lists: dict[str, list[str]] = {}
        for name, path in paths:
            for entry in read(path):
                lists.setdefault(entry, []).append(name)
        self._automaton: Any = ahocorasick.Automaton()
        for entry, names in lists.items():
            self._automaton.add_word(entry, (entry, names))
        self._automaton.make_automaton()

    def count(self, text: str) -> list[tuple[str, int]]:
        """Return names of lists and how often entries of each occur, sorted; not those with none.

        The first 10,000 code points are read. Where entries overlap each counts.
        """
        if not self._automaton:
            return []
        text = comparable(text[:CHARS_READ])
        counts: Counter[str] = Counter()
        for last, (entry, names) in self._automaton.iter(text):
            if _is_whole(text, last + 1 - len(entry), last + 1):
                counts.update(names)
        return sorted(counts.items())


@lru_cache(maxsize=2)
def loaded(paths: tuple[tuple[str, str], ...]) -> WordLists:
    """Return the lists of these names and paths, read once per process."""
    return WordLists(paths)


def _is_whole(text: str, start: int, end: int) -> bool:
    """Return whether neither edge of an entry lies inside a word."""
    return not _inside(text[start - 1 : start], text[start]) and not _inside(
        text[end : end + 1], text[end - 1]
    )


def _inside(beyond: str, edge: str) -> bool:
    """Return whether the sign beyond an edge and the one at it belong to one word."""
    if not beyond or _SPACELESS.match(edge) or _SPACELESS.match(beyond):
        return False
    return bool(_OF_WORD.match(beyond) and _OF_WORD.match(edge))
