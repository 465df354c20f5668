"""The score of the demo: what the ledger says of every kind of planted pair."""

from dataclasses import dataclass
from pathlib import Path

from pairsieve.jobs.demo_web.defects import DEFECTS

# `duplicate` is judged by the cluster, since which of the copies is kept is the keeper's choice.
_DEFECT_QUERY = """
SELECT
    t.defect,
    count(*) AS planted,
    count(*) FILTER (
        CASE
            WHEN t.expected_rule = 'duplicate' THEN l.cluster = o.cluster
            ELSE coalesce(l.outcome = t.expected_outcome, false)
                OR coalesce(list_contains(l.failing, t.expected_rule), false)
        END
    ) AS detected,
    count(*) FILTER (l.keep) AS kept
FROM read_parquet(?) AS t
LEFT JOIN ledger AS l ON l.row = t.row
LEFT JOIN ledger AS o ON o.row = t.original
GROUP BY t.defect
"""


# Of pairs that were measured and say something of a picture: wrong captions, those of them that
# the rule refused, and true ones that it refused.
_CAPTION_QUERY = """
SELECT
    count(*) FILTER (t.defect IN $wrong),
    count(*) FILTER (t.defect IN $wrong AND list_contains(l.failing, $rule)),
    count(*) FILTER (t.defect IN $true AND list_contains(l.failing, $rule))
FROM read_parquet($truth) AS t
JOIN ledger AS l ON l.row = t.row
WHERE l.clip_similarity IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class CaptionScore:
    """What `clip_similarity` made of the captions that say something of a picture.

    Attributes:
        wrong: Pairs with a caption of another scene.
        wrong_refused: Of these, pairs that the rule refused.
        true_refused: Pairs with a true caption that the rule refused.
    """

    wrong: int
    wrong_refused: int
    true_refused: int

    @property
    def precision(self) -> float:
        """Return which share of the refused pairs have a wrong caption; 1 if none is refused."""
        refused = self.wrong_refused + self.true_refused
        return self.wrong_refused / refused if refused else 1.0

    @property
    def recall(self) -> float:
        """Return which share of the wrong captions is refused; 1 if there are none."""
        return self.wrong_refused / self.wrong if self.wrong else 1.0


@dataclass(frozen=True, slots=True)
class DefectScore:
    """What became of one kind of planted pair.

    Attributes:
        defect: Name of the kind.
        planted: Pairs of this kind.
        detected: Of these, pairs of which the ledger says what it should; for a kind that should
            come through, pairs that were fetched and decoded.
        kept: Of the planted, pairs that survived.
        expected: The outcome or rule that the ledger should have.
    """

    defect: str
    planted: int
    detected: int
    kept: int
    expected: str


def score_defects(stats: Path, truth: Path) -> list[DefectScore]:
    """Return the score of every kind, in the order of DEFECTS, from `stats.duckdb` and the truth.

    The web's `pairs.parquet` must have been the whole input, so that rows are the same.
    """
    import duckdb

    with duckdb.connect(str(stats), read_only=True) as connection:
        rows = connection.execute(_DEFECT_QUERY, [str(truth)]).fetchall()
    counted = {defect: counts for defect, *counts in rows}
    return [
        DefectScore(defect.name, planted, detected, kept, defect.rule or str(defect.outcome))
        for defect in DEFECTS
        if defect.name in counted
        for planted, detected, kept in [counted[defect.name]]
    ]


def score_captions(stats: Path, truth: Path) -> CaptionScore:
    """Return what became of wrong and true captions, from `stats.duckdb` and the truth.

    Captions that describe no picture are in neither, nor are pictures that show nothing.
    """
    import duckdb

    names = {
        kind: [d.name for d in DEFECTS if d.caption == kind and d.picture != "placeholder_card"]
        for kind in ("true", "wrong")
    }
    with duckdb.connect(str(stats), read_only=True) as connection:
        parameters = names | {"truth": str(truth), "rule": "clip_similarity"}
        (row,) = connection.execute(_CAPTION_QUERY, parameters).fetchall()  # of an aggregate
    return CaptionScore(*row)
