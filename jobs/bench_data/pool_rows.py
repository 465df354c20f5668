"""The rows of a drawn pool: what `gather` and `embed` would have left of pairs like the web's.

Every value follows from the seed and the number of the row. A row is the pair of another row, shows
the same file or nearly the same picture with a small chance; then it takes from the other's number
what the two have in common. So any unit can be made without the others.

Shares are of the kind that LAION and DataComp report; only costs are measured on them, no quality.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pairsieve.jobs.bench_data.draws import Draws, Ids, flipped, hex_texts

REPEATED, SAME_FILE, NEAR, PLACEHOLDER = 0.003, 0.02, 0.05, 0.005  # of the rows
STARS = 0.2  # of the near copies: those of an image with many
STAR_ROWS = 5000  # rows for each such image
PLACEHOLDERS = 50  # different ones
MOST_BITS = 6  # of a near copy's pHash that differ
ROWS_PER_HOST = 100
CELLS = 75  # values of `colour`
WORDS = 4000  # of the captions' language
MOST_WORDS = 24  # of a caption
TERSE = 0.02  # of the captions: one word or two
SYLLABLES = (
    "ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu", "pan", "der", "kil", "mon", "tur",
    "sel", "fin", "gar", "hol", "wes",
)  # fmt: skip

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Some rows of a pool: who they are.

    Attributes:
        draws: The pool's.
        total: Rows of the pool.
        unit: Rows of a unit.
        row: The numbers of these, (n,).
    """

    draws: Draws
    total: int
    unit: int
    row: Ids

    @cached_property
    def pair(self) -> Ids:
        """Return whose URL and text each has: an earlier row's in another unit, or its own."""
        other = self._earlier("pair")
        apart = other // np.uint64(self.unit) != self.row // np.uint64(self.unit)
        return np.where(
            (self.draws.share("repeated", self.row) < REPEATED) & apart, other, self.row
        )

    @cached_property
    def kind(self) -> NDArray[np.float64]:
        """Return the number in [0, 1) of each pair that says whose picture it shows."""
        return self.draws.share("picture", self.pair)

    @cached_property
    def near(self) -> Flags:
        """Return which pictures are near copies of another."""
        return (self.kind >= SAME_FILE) & (self.kind < SAME_FILE + NEAR)

    @cached_property
    def picture(self) -> Ids:
        """Return which picture each shows, near copies that of their original."""
        draws, pair = self.draws, self.pair
        stars = max(1, self.total // STAR_ROWS)
        star = draws.below("star", pair, stars) * np.uint64(STAR_ROWS)
        original = np.where(
            draws.share("starred", pair) < STARS, star, draws.below("original", pair, pair + 1)
        )
        placeholder = self.total + draws.below("placeholder", pair, PLACEHOLDERS)
        copied = self.kind < SAME_FILE + NEAR
        blank = ~copied & (self.kind < SAME_FILE + NEAR + PLACEHOLDER)
        return np.where(copied, original, np.where(blank, placeholder, pair)).astype(np.uint64)

    @cached_property
    def file(self) -> Ids:
        """Return an id of the file that each shows: of its picture, or a near copy's own."""
        return np.where(self.near, self.pair | np.uint64(1 << 62), self.picture)

    def _earlier(self, name: str) -> Ids:
        return self.draws.below(name, self.row, np.maximum(self.row, np.uint64(1)))


class Web:
    """The texts of a pool: its hosts, URLs and captions."""

    def __init__(self, draws: Draws, total: int) -> None:
        """Take the draws of a pool of `total` rows."""
        self._draws = draws
        self._hosts = max(10, total // ROWS_PER_HOST)
        numbers = np.arange(WORDS, dtype=np.uint64)
        syllables = draws.words("word", numbers, 3) % np.uint64(len(SYLLABLES))
        lengths = draws.below("syllables", numbers, 3)
        self._words = pa.array(
            "".join(SYLLABLES[s] for s in three[: 1 + int(length)])
            for three, length in zip(syllables.tolist(), lengths, strict=True)
        )

    def host(self, pairs: Ids) -> pa.StringArray:
        """Return the host of each pair; the n-th most frequent one has about 1 / n of them."""
        rank = np.floor(self._hosts ** self._draws.share("host", pairs)).astype(np.int64)
        word = self._words.take(pa.array(rank % WORDS))
        return pc.binary_join_element_wise("img", _texts(rank), ".", word, ".example", "")

    def urls(self, pairs: Ids, hosts: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
        """Return each pair's URL as the input has it, and in its canonical form."""
        draws = self._draws
        folder = self._words.take(pa.array(draws.below("folder", pairs, WORDS)))
        name = self._words.take(pa.array(draws.below("name", pairs, WORDS)))
        path = pc.binary_join_element_wise(
            "://", hosts, "/media/", folder, "/", name, "-", _texts(pairs), ".jpg", ""
        )
        secure = pc.if_else(draws.share("secure", pairs) < 0.8, "https", "http")
        canonical = pc.binary_join_element_wise(secure, path, "")
        shouted = pc.binary_join_element_wise(pc.utf8_upper(secure), path, "#top", "")
        odd = pa.array(draws.share("spelling", pairs) < 0.02)
        return pc.if_else(odd, shouted, canonical), canonical

    def texts(self, pairs: Ids) -> tuple[pa.StringArray, NDArray[np.int64]]:
        """Return the caption of each pair and its words."""
        share = self._draws.share("words", pairs)
        longer = 3 + np.floor((MOST_WORDS - 3) * share**2)
        counts = np.where(share < TERSE, 1 + np.floor(2 / TERSE * share), longer).astype(np.int64)
        drawn = self._draws.words("caption", pairs, MOST_WORDS // 4).view(np.uint16) % WORDS
        used = np.arange(MOST_WORDS)[None, :] < counts[:, None]
        offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
        words = self._words.take(pa.array(drawn[used]))
        return pc.binary_join(pa.ListArray.from_arrays(offsets, words), " "), counts


def _texts(numbers: NDArray[np.uint64] | NDArray[np.int64]) -> pa.StringArray:
    return pc.cast(pa.array(numbers), pa.string())


def uids(urls: pa.StringArray, texts: pa.StringArray) -> list[str]:
    """Return the uid of each pair, as `unit/ledger_part.py` makes it."""
    sizes = pc.binary_length(urls).to_pylist()
    together = pc.binary_join_element_wise(urls.cast(pa.binary()), texts.cast(pa.binary()), b"")
    return [
        hashlib.blake2b(size.to_bytes(8, "little") + both, digest_size=16).hexdigest()
        for size, both in zip(sizes, together.to_pylist(), strict=True)
    ]


def url_hashes(canonical: pa.StringArray) -> NDArray[np.uint64]:
    """Return the 64-bit BLAKE2b of each canonical URL."""
    texts = canonical.cast(pa.binary()).to_pylist()
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


@dataclass(frozen=True)
class Pictures:
    """What is measured of the pictures of some rows that have the same bytes, or nearly."""

    rows: Rows

    @cached_property
    def bits_apart(self) -> NDArray[np.int64]:
        """Return by how many bits the pHash of each differs from its original's."""
        drawn = self.rows.draws.below("apart", self.rows.pair, MOST_BITS + 1).astype(np.int64)
        return np.where(self.rows.near, drawn, 0)

    def perceptual_hash(self) -> Ids:
        """Return the pHash of each."""
        own = self.rows.draws.bits("pHash", self.rows.picture)
        return flipped(self.rows.draws, "pHash bit", own, self.bits_apart, self.rows.pair)

    def dhash(self) -> Ids:
        """Return the dhash of each: of a copy as many bits away, or twice as many."""
        draws, rows = self.rows.draws, self.rows
        apart = self.bits_apart * (1 + draws.below("dhash apart", rows.pair, 2).astype(np.int64))
        return flipped(draws, "dhash bit", draws.bits("dhash", rows.picture), apart, rows.pair)

    def colours(self) -> pa.ListArray:
        """Return 75 colours of each, those of a copy a few levels away."""
        draws, rows = self.rows.draws, self.rows
        words = draws.words("colour", rows.picture, -(-CELLS // 8))
        levels = words.view(np.uint8).reshape(len(words), -1)[:, :CELLS] // 2 + 64
        levels += np.where(self.bits_apart, draws.below("dim", rows.pair, 6), 0)[:, None].astype(
            np.uint8
        )
        offsets = pa.array(np.arange(0, levels.size + 1, CELLS, dtype=np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(levels.reshape(-1).astype(np.uint8)))

    def sha256(self) -> pa.StringArray:
        """Return the SHA-256 of each file."""
        return hex_texts(self.rows.draws.words("sha256", self.rows.file, 4))
