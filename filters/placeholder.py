"""Drop placeholders: "image not available", a site's logo, a blank.

Only the whole pool shows them: `group` counts on how many hosts the copies of an image are and
under how many captions, and compares up to 16 of these by their words. A photograph that many shops
or newspapers show has similar captions; a placeholder is shown under anything. All pairs with such
an image are dropped, because none of their captions is its own.

Source: the thresholds are ours.
Measured: among 20,000 pairs of captions drawn from the 15,833 of CC3M's validation set (Sharma et
al., ACL 2018), 97 % share less than a third of the words of the shorter, which counts as unrelated;
39 % share no word at all. Of images under eight of them each, the lowest share of unrelated pairs
among 50 is 0.86; of images under eight wordings of one caption, the highest is 0.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import (
    PLACEHOLDER_CAPTIONS,
    PLACEHOLDER_HOSTS,
    PLACEHOLDER_UNRELATED,
)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Drop images that many hosts show under many captions which have nothing in common."""

    min_hosts: int = 5  # different hosts, at least 1; from there on
    min_captions: int = 5  # different captions, at least 2; from there on
    min_unrelated: float = 0.8  # share of pairs of captions, 0 to 1; from there on

    def __post_init__(self) -> None:
        if self.min_hosts < 1:
            raise ValueError(f"min_hosts must be at least 1, got {self.min_hosts}")
        if self.min_captions < 2:
            raise ValueError(f"min_captions must be at least 2, got {self.min_captions}")
        if not 0 <= self.min_unrelated <= 1:
            raise ValueError(f"min_unrelated must be 0 to 1, got {self.min_unrelated}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; null where `group` has not counted."""
        return (
            f"{PLACEHOLDER_HOSTS.name} < {self.min_hosts} "
            f"OR {PLACEHOLDER_CAPTIONS.name} < {self.min_captions} "
            f"OR {PLACEHOLDER_UNRELATED.name} < {self.min_unrelated}"
        )
