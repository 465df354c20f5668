"""Keep one of all copies of an image.

`group` takes the best image, by `group.prefer`, and joins to it every image whose file is equal, or
whose pHash differs in at most `max_distance` of 64 bits and whose other signals, `group.verify`,
agree; then the best of the rest, and so on. `group` reads the option, the rule reads what `group`
wrote. What is found at which distance: [near-duplicates.md](near-duplicates.md).

Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), for
distances between pHashes as likeness. The default 4 is ours.
Measured: storing a picture smaller moves its own pHash by 0 bits in 92 % of 188 pictures from the
web, by 2 in 7 %, by 6 in one.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import DUPLICATE_OF

MAX_DISTANCE = 10  # bits; farther apart, different pictures meet, and the exact search gets slow


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Keep one of the images that are at most `max_distance` bits of pHash apart."""

    max_distance: int = 4  # bits of 64, 0 to 10

    def __post_init__(self) -> None:
        if self.max_distance not in range(MAX_DISTANCE + 1):
            raise ValueError(f"max_distance must be 0 to {MAX_DISTANCE}, got {self.max_distance}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; it is never null."""
        return f"{DUPLICATE_OF.name} IS NULL"
