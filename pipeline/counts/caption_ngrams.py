"""Words of captions and pairs of neighbouring words, as numbers: what captions are compared by.

Letters, marks and digits in a row are a word, in NFKC, without case; in scripts that put no spaces
between words each character is one. Of a caption the first 1,000 code points are read, so that a
page of text takes no more memory than so many. A number is the XXH3 of 64 bits of a word, and a
mixture of two of them for a pair.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from pairsieve.filters.word_lists import SPACELESS, comparable

CHARS_READ = 1000  # code points
Hashes = NDArray[np.uint64]
_ASCII_WORD = re.compile("[a-z0-9]+")
_FIRST_OF_PAIR = np.uint64(0x9E3779B97F4A7C15)


class Ngrams(NamedTuple):
    """The words and pairs of words of some captions, one caption after the other.

    Attributes:
        keys: Their numbers, (m,), those of a caption in no order, as often as they occur.
        sizes: How many each caption has, (n,).
    """

    keys: Hashes
    sizes: NDArray[np.int64]


def words(text: str) -> list[str]:
    """Return the words of a caption."""
    text = text[:CHARS_READ]
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    found: list[str] = _word().findall(comparable(text))
    return found


@cache
def _word() -> Any:
    """Return the pattern of a word; of regex, whose letters have marks."""
    import regex

    return regex.compile(rf"[{SPACELESS}]|[[\w\p{{M}}]--[_{SPACELESS}]]++", regex.V1)


def ngrams(texts: Iterable[str | None]) -> Ngrams:
    """Return the words and pairs of words of captions."""
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    listed: list[int] = []
    sizes = []
    for text in texts:
        found = words(text) if text else []
        listed.extend(map(numbers.__getitem__, found))
        sizes.append(len(found))
    keys = np.array([xxh3_64_intdigest(word.encode()) for word in numbers], np.uint64)
    return _with_pairs(keys[np.array(listed, np.int64)], np.array(sizes, np.int64))


def _with_pairs(keys: Hashes, sizes: NDArray[np.int64]) -> Ngrams:
    """Return words, given one caption after the other, with the pairs of neighbours among them."""
    owners = np.repeat(np.arange(len(sizes)), sizes)
    neighbours = np.flatnonzero(owners[1:] == owners[:-1])
    pairs = mixed(keys[neighbours] * _FIRST_OF_PAIR + keys[neighbours + 1])
    every = np.append(keys, pairs)
    order = np.argsort(np.append(owners, owners[neighbours]), kind="stable")
    return Ngrams(every[order], np.maximum(2 * sizes - 1, 0))


def mixed(numbers: Hashes) -> Hashes:
    """Return words of 64 bits, each of which depends on all bits of its own: SplitMix64's end."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))
