"""Which script the letters of a text are of: one look-up per code point, for a batch at once.

Source: Unicode 16, Scripts.txt, by blocks; ISO 15924 for the codes.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pairsieve.schemas.arrays import Floats, Texts

NONE = "Zyyy"  # no letters
KANA_SHARE = 0.1  # of Han and kana; a text with less is Chinese with a borrowed sign
# First and last code point of the blocks of a script; digits and marks in them count as letters.
BLOCKS: dict[str, tuple[tuple[int, int], ...]] = {
    "Latn": (
        (0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6),
        (0xF8, 0x24F), (0x250, 0x2AF), (0x1E00, 0x1EFF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A),
    ),
    "Grek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrl": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "Armn": ((0x531, 0x58F),),
    "Hebr": ((0x591, 0x5F4), (0xFB1D, 0xFB4F)),
    "Arab": (
        (0x610, 0x61A), (0x620, 0x6D3), (0x6D5, 0x6FF), (0x750, 0x77F), (0x870, 0x8FF),
        (0xFB50, 0xFDFF), (0xFE70, 0xFEFC),
    ),
    "Deva": ((0x900, 0x97F), (0xA8E0, 0xA8FF)),
    "Beng": ((0x980, 0x9FF),),
    "Guru": ((0xA00, 0xA7F),),
    "Gujr": ((0xA80, 0xAFF),),
    "Orya": ((0xB00, 0xB7F),),
    "Taml": ((0xB80, 0xBFF),),
    "Telu": ((0xC00, 0xC7F),),
    "Knda": ((0xC80, 0xCFF),),
    "Mlym": ((0xD00, 0xD7F),),
    "Sinh": ((0xD80, 0xDFF),),
    "Thai": ((0xE01, 0xE3A), (0xE40, 0xE5B)),
    "Laoo": ((0xE80, 0xEFF),),
    "Tibt": ((0xF00, 0xFFF),),
    "Mymr": ((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "Geor": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F)),
    "Ethi": ((0x1200, 0x139F), (0x2D80, 0x2DDF), (0xAB00, 0xAB2F)),
    "Khmr": ((0x1780, 0x17FF), (0x19E0, 0x19FF)),
    "Hang": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)),
    "Hani": (
        (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF), (0x20000, 0x323AF),
    ),
    "Jpan": ((0x3041, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF),
             (0xFF66, 0xFF9D)),
}  # fmt: skip
NAMES = (NONE, *BLOCKS)
LATIN, HAN, KANA = (NAMES.index(name) for name in ("Latn", "Hani", "Jpan"))


@cache
def _table() -> NDArray[np.uint8]:
    """Return the index in `NAMES` of every code point's script."""
    table = np.zeros(0x110000, np.uint8)
    for index, blocks in enumerate(BLOCKS.values(), 1):
        for first, last in blocks:
            table[first : last + 1] = index
    return table


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text; a lone surrogate is one too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def scripts(texts: Sequence[str]) -> tuple[Texts, Floats]:
    """Return the script of most letters of each text, (n,), and its share of them, (n,), [0, 1].

    Kana and Han together are `Jpan` where at least a tenth is kana.
    """
    names = np.array(["Latn" if one.isascii() else "" for one in texts], object)
    shares = np.ones(len(texts), np.float32)
    rows = [row for row, one in enumerate(texts) if not one.isascii() or one.lower() == one.upper()]
    names[rows], shares[rows] = _of_letters([texts[row] for row in rows])
    return names, shares


def _of_letters(texts: Sequence[str]) -> tuple[Texts, Floats]:
    """Return script and share, letter by letter; ASCII with a letter needs none of that."""
    counts = _counts(texts)
    han = counts[:, HAN] + counts[:, KANA]
    japanese = (counts[:, KANA] > 0) & (counts[:, KANA] >= KANA_SHARE * han)
    counts[:, KANA] = np.where(japanese, han, 0)
    counts[:, HAN] = np.where(japanese, 0, han)
    letters = counts[:, 1:].sum(axis=1)
    index = np.where(letters > 0, counts[:, 1:].argmax(axis=1) + 1, 0)
    share = counts[np.arange(len(texts)), index] / np.maximum(letters, 1)
    return np.array(NAMES, object)[index], np.where(letters > 0, share, 0).astype(np.float32)


def _counts(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return how many letters of each script each text has, (n, scripts)."""
    lengths = np.array([len(text) for text in texts], np.int64)
    found = _table()[code_points("".join(texts))]
    owner = np.repeat(np.arange(len(texts)) * len(NAMES), lengths)
    counts = np.bincount(owner + found, minlength=len(texts) * len(NAMES))
    return counts.reshape(len(texts), len(NAMES)).astype(np.int64)
