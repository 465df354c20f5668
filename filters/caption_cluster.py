"""Drop captions that many pairs share but for a word or a number: "Photo 12 of 40 of the hotel".

`group.caption_cluster` finds which captions of the input are alike: of the words and pairs of
neighbouring words that either has, both have a share of `min_jaccard` at least. Words are letters
and digits in a row, in NFKC, without case; in scripts that put no spaces between words, characters;
the first 1,000 code points are read. What is alike is a cluster, along chains; all pairs of one
with more than `max_pairs` are dropped. `at_most: {per: caption_cluster, n: 10}` keeps ten of each
instead.

Source: Broder, "On the resemblance and containment of documents" (1997), for the similarity and
MinHash, by which candidates are found; `caption_frequency` for the 10 of ALIGN and COYO-700M, who
count equal texts only. The default of `min_jaccard` is ours.
Measured: 19 us of CPU per pair (`bench text`). Of pairs of real captions that are alike, found by
comparing all with all, candidates are 639 of 639 in CC3M's validation part and 1 of 1 in 5,000 of
LAION at 0.7, 1,613 of 1,614 and 2 of 2 at 0.6; the number of bands is computed for 0.99 of those
just at the threshold, not chosen by this.
"""

from dataclasses import dataclass

from pairsieve.schemas.pool_columns import CAPTION_CLUSTER_PAIRS


@dataclass(frozen=True, slots=True)
class CaptionCluster:
    """Keep captions of clusters of at most `max_pairs` pairs."""

    max_pairs: int = 10  # pairs, at most, at least 1

    def __post_init__(self) -> None:
        if not self.max_pairs >= 1:
            raise ValueError(f"max_pairs must be at least 1, got {self.max_pairs}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; null without a caption."""
        return f"{CAPTION_CLUSTER_PAIRS.name} <= {self.max_pairs}"
