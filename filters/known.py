"""Keep what no earlier dataset has.

`group` compares every image with the earlier datasets and files of hashes that the recipe's `known`
lists, by SHA-256 and by pHash within its `max_distance`.

Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), for
distances between pHashes as likeness.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import KNOWN_IN


@dataclass(frozen=True, slots=True)
class Known:
    """Keep images that no earlier dataset of the recipe's `known` has."""

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; it is never null."""
        return f"{KNOWN_IN.name} IS NULL"
