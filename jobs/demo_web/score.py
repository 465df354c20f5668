"""Planted against found: what the ledger says of every kind of planted pair."""

from dataclasses import dataclass
from pathlib import Path

from pairsieve.jobs.demo_web.defects import DEFECTS

# `duplicate` is judged by the cluster, since which of the copies is kept is the keeper's choice.
# What comes later counts as found as soon as an outcome or a rule of that name says so.
_QUERY = """
SELECT
    t.defect,
    count(*) AS planted,
    count(*) FILTER (
        CASE
            WHEN t.later IS NOT NULL
                THEN l.outcome = t.later OR list_contains(l.failing, t.later)
            WHEN t.expected_rule = 'duplicate' THEN l.cluster = o.cluster
            ELSE coalesce(l.outcome = t.expected_outcome, false)
                OR coalesce(list_contains(l.failing, t.expected_rule), false)
        END
    ) AS found,
    count(*) FILTER (l.keep) AS kept
FROM read_parquet(?) AS t
LEFT JOIN ledger AS l ON l.row = t.row
LEFT JOIN ledger AS o ON o.row = t.original
GROUP BY t.defect
"""


# Of pairs that were measured and say something of a picture: wrong captions, those of them that
# the rule refused, and true ones that it refused.
_CAPTIONS = """
SELECT
    count(*) FILTER (t.defect IN $wrong),
    count(*) FILTER (t.defect IN $wrong AND list_contains(l.failing, $rule)),
    count(*) FILTER (t.defect IN $true AND list_contains(l.failing, $rule))
FROM read_parquet($truth) AS t
JOIN ledger AS l ON l.row = t.row
WHERE l.clip_similarity IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Captions:
    """What `clip_similarity` made of the captions that say something of a picture.

    Attributes:
        wrong: Pairs with a caption of another scene.
        found: Of these, pairs that the rule refused.
        lost: Pairs with a true caption that the rule refused.
    """

    wrong: int
    found: int
    lost: int

    @property
    def precision(self) -> float:
        """Return which share of the refused pairs have a wrong caption; 1 if none is refused."""
        refused = self.found + self.lost
        return self.found / refused if refused else 1.0

    @property
    def recall(self) -> float:
        """Return which share of the wrong captions is refused; 1 if there are none."""
        return self.found / self.wrong if self.wrong else 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """What became of one kind of planted pair.

    Attributes:
        defect: Name of the kind.
        planted: Pairs of this kind.
        found: Of these, pairs of which the ledger says what it should; for a kind that should
            come through, pairs that were fetched and decoded.
        kept: Of the planted, pairs that survived.
        expected: The outcome or rule that should be told.
        later: The capability, not built yet, that will find them; "" if none is missing.
    """

    defect: str
    planted: int
    found: int
    kept: int
    expected: str
    later: str


def score(stats: Path, truth: Path) -> list[Score]:
    """Return the score of every kind, in the order of DEFECTS, from `stats.duckdb` and the truth.

    The web's `pairs.parquet` must have been the whole input, so that rows are the same.
    """
    import duckdb

    with duckdb.connect(str(stats), read_only=True) as connection:
        rows = connection.execute(_QUERY, [str(truth)]).fetchall()
    counted = {defect: counts for defect, *counts in rows}
    return [
        Score(defect.name, planted, found, kept, defect.rule or str(defect.outcome), defect.later)
        for defect in DEFECTS
        if defect.name in counted
        for planted, found, kept in [counted[defect.name]]
    ]


def captions(stats: Path, truth: Path) -> Captions:
    """Return what became of wrong and true captions, from `stats.duckdb` and the truth.

    Captions that describe no picture are in neither, nor are pictures that show nothing.
    """
    import duckdb

    names = {
        kind: [d.name for d in DEFECTS if d.caption == kind and d.picture != "card"]
        for kind in ("true", "wrong")
    }
    with duckdb.connect(str(stats), read_only=True) as connection:
        asked = names | {"truth": str(truth), "rule": "clip_similarity"}
        row = connection.execute(_CAPTIONS, asked).fetchone()
    assert row is not None  # an aggregate has one row
    return Captions(*row)
