"""Labelling: which pairs to ask a person about, and what the answers say of a threshold.

Pairs are cut into strata by what the threshold bounds: on either side the nearest few, and the rest
in equal parts. Of each stratum the share of good pairs follows from the labels there, however many
were given in others; so precision and recall are those of all pairs, though labels are not drawn
evenly. The nearest are asked first, then those where the estimate is least certain.

Shares have Jeffreys' prior, Beta(1/2, 1/2), and the intervals are quantiles of seeded draws: L. D.
Brown, T. T. Cai, A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16
(2001).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.explore.effect import dropped_by_others, failing
from pairsieve.pipeline.explore.sample import Sample, row_hashes

NEAREST = 20  # pairs of either side that are asked first
PARTS = 4  # into which the rest of either side is cut
DRAWS = 4000
SEED = 0
PRIOR = 0.5
Rows = NDArray[np.int64]
Labels = Mapping[int, bool]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Pairs that lie alike.

    Attributes:
        inside: Whether the threshold keeps them.
        nearest: Whether they are the nearest to it.
        low: The least value of what it bounds.
        high: The highest.
        rows: Their rows, in the order in which they are asked, (n,).
    """

    inside: bool
    nearest: bool
    low: float
    high: float
    rows: Rows

    def marked(self, labels: Labels) -> tuple[int, int]:
        """Return how many of its pairs are labelled good, and how many bad."""
        said = [labels[row] for row in self.rows.tolist() if row in labels]
        return sum(said), len(said) - sum(said)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with the ends of its interval of 95 %."""

    share: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.share:.0%} ({self.low:.0%} to {self.high:.0%})"


@dataclass(frozen=True, slots=True)
class Judged:
    """What labels say of a threshold.

    Attributes:
        precision: Share of good pairs among those that it keeps.
        recall: Share of the good pairs that it keeps.
        good, bad: Labels that were given among the strata.
    """

    precision: Share
    recall: Share
    good: int
    bad: int


def strata(sample: Sample, key: str, at: float) -> list[Stratum]:
    """Return the strata of a threshold at a value, inside first, the nearest first of either side.

    Only pairs are in one that all other rules keep and that have a value of what it bounds.
    """
    bound, values = sample.bound(key)
    wanted = np.isfinite(values) & ~dropped_by_others(sample, key, failing(sample, {}))
    inside = bound.passes(values, at)
    return [
        stratum
        for side in (True, False)
        for stratum in _of_side(sample, values, at, side, wanted & (inside == side))
    ]


def _of_side(
    sample: Sample, values: NDArray[np.floating], at: float, side: bool, chosen: NDArray[np.bool_]
) -> list[Stratum]:
    places = np.flatnonzero(chosen)
    distances = np.abs(values[places].astype(np.float64) - at)
    ordered = places[np.lexsort((row_hashes(sample.rows[places]), distances))]
    parts = [ordered[:NEAREST], *np.array_split(ordered[NEAREST:], PARTS)]
    return [
        Stratum(
            side,
            number == 0,
            float(values[part].min()),
            float(values[part].max()),
            sample.rows[part if number == 0 else part[np.argsort(row_hashes(sample.rows[part]))]],
        )
        for number, part in enumerate(parts)
        if len(part)
    ]


def next_rows(
    strata: Sequence[Stratum], labels: Labels, count: int, skipped: frozenset[int] = frozenset()
) -> list[int]:
    """Return up to `count` rows to ask next.

    First come the nearest to the threshold, by turns from either side, then pairs of the stratum of
    which the share of good ones is least certain for its size.
    """
    waiting = [
        [row for row in one.rows.tolist() if row not in labels and row not in skipped]
        for one in strata
    ]
    near = [rows for one, rows in zip(strata, waiting, strict=True) if one.nearest]
    asked = [row for turn in range(NEAREST) for rows in near for row in rows[turn : turn + 1]]
    known: list[tuple[float, float]] = [one.marked(labels) for one in strata]
    rest = {n: rows for n, rows in enumerate(waiting) if rows and not strata[n].nearest}
    while len(asked) < count and rest:
        doubtful = max(rest, key=lambda n: len(strata[n].rows) * _deviation(*known[n]))
        asked.append(rest[doubtful].pop(0))
        good, bad = known[doubtful]
        known[doubtful] = (good + 0.5, bad + 0.5)  # as if the answer were not known
        rest = {n: rows for n, rows in rest.items() if rows}
    return asked[:count]


def _deviation(good: float, bad: float) -> float:
    """Return the standard deviation of the share of good pairs."""
    a, b = good + PRIOR, bad + PRIOR
    return float(np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1))))


def judge(strata: Sequence[Stratum], labels: Labels) -> Judged | None:
    """Return what labels say of a threshold; None without pairs inside."""
    inside = np.array([one.inside for one in strata], bool)
    if not inside.any():
        return None
    sizes = np.array([len(one.rows) for one in strata], np.float64)
    counts = np.array([one.marked(labels) for one in strata])
    drawn = np.random.default_rng(SEED).beta(
        counts[:, 0] + PRIOR, counts[:, 1] + PRIOR, (DRAWS, len(strata))
    )
    unknown = sizes - counts.sum(axis=1)  # what was labelled is not estimated
    good = counts[:, 0] + unknown * drawn
    kept = good[:, inside].sum(axis=1)
    everything = np.maximum(good.sum(axis=1), 1e-12)
    return Judged(
        _share(kept / sizes[inside].sum()),
        _share(kept / everything),
        int(counts[:, 0].sum()),
        int(counts[:, 1].sum()),
    )


def _share(draws: NDArray[np.float64]) -> Share:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Share(float(draws.mean()), float(low), float(high))
