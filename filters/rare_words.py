"""Drop captions with a word, or a pair of neighbouring words, that hardly any other has.

Names of files, serial numbers and misspelt heaps of tags hold what no other caption does. `group`
counts the words of all captions of the input and their pairs, those of pairs that are there twice
once, and finds the rarest of each caption: how often it occurs, and how many occur so often or more
often. Words are letters and digits in a row, in NFKC, without case; in scripts that put no spaces
between words, characters; the first 1,000 code points are read. It counts where a rule of the
recipe reads this.

The default is for pools of billions: one with fewer different words and pairs keeps all.

Source: ALIGN (arXiv:2102.05918), section 3, drops alt-texts that "contain any rare token (outside
of 100 million most frequent unigrams and bigrams from the raw dataset)". Its words are not
published; those that occur as often as the last of the 100 million are outside, if they are not all
within.
Measured: 12 us of CPU per pair (`bench text`).
"""

from dataclasses import dataclass

from pairsieve.schemas.pool_columns import RAREST_WORD_RANK, RAREST_WORD_TIMES


@dataclass(frozen=True, slots=True)
class RareWords:
    """Keep captions all of whose words and pairs of words are among the commonest."""

    max_rank: int = 100_000_000  # words and pairs of words, at most, at least 1
    min_times: int = 1  # that each occurs in the pool, at least

    def __post_init__(self) -> None:
        for name in ("max_rank", "min_times"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; null without a word."""
        rank = f"{RAREST_WORD_RANK.name} <= {self.max_rank}"
        return f"{rank} AND {RAREST_WORD_TIMES.name} >= {self.min_times}"
