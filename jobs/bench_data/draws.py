"""Seeded draws: a random number is a function of seed, name and id, so a part is made alone.

What row 7 of a pool looks like follows from 7, whichever process makes it, in whatever order; so a
copy far away from its original needs nothing but the original's id.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ids = NDArray[np.uint64]

_HEX = np.array([f"{byte:02x}".encode() for byte in range(256)], "S2")


@dataclass(frozen=True, slots=True)
class Draws:
    """Random numbers by name and id."""

    seed: int

    def bits(self, name: str, ids: Ids) -> Ids:
        """Return 64 random bits for each id: SplitMix64 from a start of the name's own."""
        start = np.uint64(zlib.crc32(name.encode()) << 32 | self.seed & 0xFFFFFFFF)
        with np.errstate(over="ignore"):
            mixed = (ids + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ _mixed(start)
            return np.asarray(_mixed(mixed), np.uint64)

    def share(self, name: str, ids: Ids) -> NDArray[np.float64]:
        """Return a number in [0, 1) for each id."""
        return (self.bits(name, ids) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, name: str, ids: Ids, most: int | Ids) -> Ids:
        """Return a whole number from 0 to below `most` for each id."""
        return self.bits(name, ids) % np.uint64(1 if isinstance(most, int) and not most else most)

    def words(self, name: str, ids: Ids, count: int) -> Ids:
        """Return `count` times 64 random bits for each id, (n, count)."""
        return np.stack([self.bits(f"{name} {index}", ids) for index in range(count)], axis=1)

    def normal(self, name: str, ids: Ids, mean: float, deviation: float) -> NDArray[np.float64]:
        """Return a number for each id, nearly normal: the sum of four uniform ones."""
        shares = self.words(name, ids, 1)[:, 0].view(np.uint16).reshape(-1, 4).astype(np.float64)
        values: NDArray[np.float64] = mean + deviation * 3**0.5 * (shares.sum(axis=1) / 65_536 - 2)
        return values


def _mixed(values: np.uint64 | Ids) -> np.uint64 | Ids:
    """Return SplitMix64's finalizer of the values."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hex_texts(words: Ids) -> pa.StringArray:
    """Return 64-bit words, (n, k), as texts of 16 k hex digits."""
    digits = _HEX[words.astype(">u8").view(np.uint8).reshape(len(words), -1)]
    width = 16 * words.shape[1]
    offsets = np.arange(0, width * len(words) + 1, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(digits.tobytes())]
    return pa.StringArray.from_buffers(len(words), buffers[1], buffers[2])


def flipped(draws: Draws, name: str, values: Ids, bits: NDArray[np.int64], ids: Ids) -> Ids:
    """Return 64-bit values with so many random bits changed, each at most once or again."""
    for step in range(int(bits.max(initial=0))):
        bit = np.uint64(1) << draws.below(f"{name} {step}", ids, 64)
        values = np.where(bits > step, values ^ bit, values)
    return values
