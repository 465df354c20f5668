"""Entry lists: reading those that `concept_balance` matches captions with, and the matching.

The form of MetaCLIP: an entry is found where it has a space on either side, and the text gets one
at its ends and around `,.;:?!` and backticks. An edge of an entry in a script without spaces needs
none, as in Meta CLIP 2.

Source: Xu et al. (arXiv:2309.16671), algorithm 1; Aho and Corasick, "Efficient string matching"
(1975), by pyahocorasick.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pairsieve.filters import wordnet
from pairsieve.filters.word_lists import is_spaceless

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
WRAPPED = ",.;:?!`"
OTHERS = ""  # the language of entries for all captions whose language has no list


def read(path: str) -> list[str]:
    """Return the entries of the list at `path`, sorted, each once.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text in UTF-8, no list of texts, or there is no entry.
    """
    try:
        listed = wordnet.nouns(Path(path)) if wordnet.is_there(Path(path)) else _read(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file") from error
    entries = {entry.strip() for entry in listed} - {""}
    if not entries:
        raise ValueError(f"{path}: holds no entry")
    if broken := [entry for entry in entries if _LONE_SURROGATE.search(entry)]:
        raise ValueError(f"{path}: {min(broken)!r} is not text: half a character stands alone")
    return sorted(entries)


def _read(path: str) -> list[str]:
    """Return the lines of a file, or the texts of its list in JSON."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8") from error
    return _listed(path, text) if text.lstrip().startswith("[") else text.splitlines()


def _listed(path: str, text: str) -> list[str]:
    """Return the texts of a list in JSON."""
    try:
        listed: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: begins as a list in JSON and is none: {error}") from error
    if not all(isinstance(entry, str) for entry in listed):
        raise ValueError(f"{path}: not all of the list are texts")
    return list(listed)


def spaced(text: str) -> str:
    """Return a text with a space at its ends and around marks, and none but plain spaces."""
    text = f" {text} "
    for mark in WRAPPED:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")


class Matcher:
    """Finds the entries of lists in texts; an entry is known by its place in all lists."""

    def __init__(self, languages: Sequence[str], entries: Sequence[str], ignore_case: bool) -> None:
        """Take entries and, of each, the language of its list."""
        import ahocorasick

        self._ignore_case = ignore_case
        self._automata: dict[str, Any] = {}
        for index, (language, entry) in enumerate(zip(languages, entries, strict=True)):
            if language not in self._automata:
                self._automata[language] = ahocorasick.Automaton(ahocorasick.STORE_INTS)
            self._automata[language].add_word(self._needle(entry), index)
        for automaton in self._automata.values():
            automaton.make_automaton()

    def match(self, text: str, language: str | None) -> list[int]:
        """Return the places of the entries in a text, ascending, each once."""
        automaton = self._automata.get(language or OTHERS) or self._automata.get(OTHERS)
        if automaton is None:
            return []
        found = automaton.iter(spaced(text.casefold() if self._ignore_case else text))
        return sorted({index for _, index in found})

    def _needle(self, entry: str) -> str:
        """Return what is looked for of an entry."""
        entry = entry.casefold() if self._ignore_case else entry
        before, after = ("" if is_spaceless(edge) else " " for edge in (entry[0], entry[-1]))
        return f"{before}{entry}{after}"


def read_all(path: str | None, languages: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the languages and entries of some files; those of `path` are for all others.

    Raises:
        OSError, ValueError: as `read` does.
    """
    files = ({OTHERS: path} if path else {}) | dict(sorted(languages.items()))
    lists = {language: read(file) for language, file in files.items()}
    names = [language for language, entries in lists.items() for _ in entries]
    return names, [entry for entries in lists.values() for entry in entries]
