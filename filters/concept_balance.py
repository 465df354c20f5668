"""Balance concepts as MetaCLIP does: at most about t pairs of each entry of a list.

`group` matches captions with the list in `group.entries`, and counts of each entry the different
pairs with an image. An entry with n pairs draws each of them with p = min(1, t / n), and a pair
stays if one of its entries draws it: so the head is thinned and the tail stays whole. The draw is a
hash of seed, uid and entry, the same over any cutting of the pool. Which t is a question for
`select`: the column `concept_rank` is the least at which a pair is drawn, so what a smaller t keeps
a larger one keeps too.

Entries are found where spaces, `,.;:?!` or a backtick bound them, with capitals as they are unless
`ignore_case`; at an edge in a script without spaces, anywhere. Pairs without an entry are dropped,
as published.

Source: Xu et al., "Demystifying CLIP Data" (arXiv:2309.16671), algorithm 1, t = 20,000 for 400
million of 1.6 billion pairs, 170,000 for 2.5 billion; its code (github.com/facebookresearch/
MetaCLIP, metaclip/substr_matching.py, balancing.py) draws for each entry by itself, so this does.
`max_tail`: Chuang et al., "Meta CLIP 2" (arXiv:2507.22062), where each language has the t at which
the tail has the same share of its matches as in English.
Measured: 21 us of CPU per caption of 12 words with 500,000 entries, in 0.7 GB (`bench text`).
"""

from dataclasses import dataclass

from pairsieve.schemas.pool_columns import CONCEPT_MATCHES, CONCEPT_RANK, CONCEPT_TAIL


@dataclass(frozen=True, slots=True)
class ConceptBalance:
    """Keep what one of its entries draws, if each draws `max_pairs` of its pairs."""

    max_pairs: int = 20_000  # pairs that an entry draws, in the mean, at least 1
    max_tail: float | None = None  # instead: of each language the matches of rarer entries, (0, 1]
    keep_unmatched: bool = False  # keep captions without an entry

    def __post_init__(self) -> None:
        if not self.max_pairs >= 1:
            raise ValueError(f"max_pairs must be at least 1, got {self.max_pairs}")
        if self.max_tail is not None and not 0 < self.max_tail <= 1:
            raise ValueError(f"max_tail must be above 0 and at most 1, got {self.max_tail}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; null where `group` has not matched."""
        drawn = f"{CONCEPT_RANK.name} < {self.max_pairs}"
        if self.max_tail is not None:
            drawn = f"{CONCEPT_TAIL.name} < {self.max_tail!r}"
        unmatched = str(self.keep_unmatched).lower()
        return f"CASE WHEN {CONCEPT_MATCHES.name} = 0 THEN {unmatched} ELSE {drawn} END"
