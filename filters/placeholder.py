"""Drop placeholders: "image not available", a site's logo, a blank.

Only the whole pool shows them: `group` counts on how many hosts the copies of an image are and
under how many captions, and compares up to 16 of these by their words. A photograph that many shops
or newspapers show has similar captions; a placeholder is shown under anything. So is the portrait
out of a stock that stands for many people; so one of two things must be seen besides. Either most
of the hosts show the image under several captions, as a site does with what it puts in place of
missing pictures; or the image is as empty as cards with a notice are. All pairs with such an image
are dropped, because none of their captions is its own.

Source: the thresholds are ours.
Measured: among 20,000 pairs of captions drawn from the 15,833 of CC3M's validation set (Sharma et
al., ACL 2018), 97 % share less than a third of the words of the shorter, which counts as unrelated;
39 % share no word at all. Of images under eight of them each, the lowest share of unrelated pairs
among 50 is 0.86; of images under eight wordings of one caption, the highest is 0. Of 66 portraits
and product shots that eight hosts each show under such captions, 2 are as empty as cards, all drawn
cards and blanks are.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import (
    LOW_INFORMATION,
    PLACEHOLDER_CAPTIONS,
    PLACEHOLDER_HOSTS,
    PLACEHOLDER_REPEATED,
    PLACEHOLDER_UNRELATED,
)


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Drop images that many hosts show under captions which have nothing in common."""

    min_hosts: int = 5  # different hosts, at least 1; from there on
    min_captions: int = 5  # different captions, at least 2; from there on
    min_unrelated: float = 0.8  # share of pairs of captions, 0 to 1; from there on
    min_repeated: float = 0.5  # share of the hosts that show it under several captions; or
    min_flat: float = 0.75  # share of its area that is empty, as of a card: `low_information`

    def __post_init__(self) -> None:
        if self.min_hosts < 1:
            raise ValueError(f"min_hosts must be at least 1, got {self.min_hosts}")
        if self.min_captions < 2:
            raise ValueError(f"min_captions must be at least 2, got {self.min_captions}")
        for name in ("min_unrelated", "min_repeated", "min_flat"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; null where `group` has not counted."""
        return (
            f"{PLACEHOLDER_HOSTS.name} < {self.min_hosts} "
            f"OR {PLACEHOLDER_CAPTIONS.name} < {self.min_captions} "
            f"OR {PLACEHOLDER_UNRELATED.name} < {self.min_unrelated} "
            f"OR {PLACEHOLDER_REPEATED.name} < {self.min_repeated} "
            f"AND coalesce({LOW_INFORMATION.name}, 1) < {self.min_flat}"
        )
