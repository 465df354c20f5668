"""Hex digits read as 64-bit words: compiled, so import it where it is used."""

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.base import compiled

DIGITS = 16  # of a word


@compiled
def read_hex(
    starts: NDArray[np.int64],
    characters: NDArray[np.uint8],
    values: NDArray[np.uint64],
    words: NDArray[np.uint64],
) -> NDArray[np.bool_]:
    """Fill `words`, (n, k), from texts of 16 k hex digits; return which texts are such, (n,).

    Args:
        starts: Where each text begins in `characters`, and the end, (n + 1,).
        characters: All texts, one after the other.
        values: What each character counts; 16 or more if it is no digit.
        words: What becomes the numbers.
    """
    found = np.zeros(len(words), np.bool_)
    for text in range(len(words)):
        start = starts[text]
        if starts[text + 1] - start != DIGITS * words.shape[1]:
            continue
        every = np.uint64(0)
        for word in range(words.shape[1]):
            value = np.uint64(0)
            for digit in range(DIGITS):
                found_value = values[characters[start + DIGITS * word + digit]]
                every |= found_value
                value = (value << np.uint64(4)) | found_value
            words[text, word] = value
        found[text] = every < np.uint64(16)
    return found
