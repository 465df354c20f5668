"""Bounds: what is counted around each threshold of a selection, and which pairs lie nearest to it.

Of the pairs with an image that all other rules keep it is counted how many lie in which bin of what
the threshold bounds. So it is known exactly how many would survive with each edge of a bin as the
threshold. That the rule is its bound and the rest of its condition is not believed but counted.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from pairsieve.pipeline.ledger.sql import columns_of, quoted
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.stats.histogram_bins import Bins, Measure
from pairsieve.pipeline.stats.partials import OF_BOUNDS
from pairsieve.schemas.columns import OUTCOME, ROW
from pairsieve.schemas.outcomes import Outcome

DECIMALS = 7  # that a float has
NEAREST = 4  # pairs of either side of a bound that the page shows


@dataclass(frozen=True, slots=True)
class CountedBound:
    """A threshold around which pairs are counted; all SQL is over the ledger.

    Attributes:
        key: RULE.OPTION.
        rule: Name of the rule.
        at: The value.
        at_least: True for a lower bound, False for an upper one.
        whole: Whether its values are whole numbers.
        gate: Whether its rule is a gate.
        measure: What is bounded.
        rest: What the rule says without the bound.
        passes: What the bound says.
        denied: What the rule says where the bound says no; it must never let a pair through.
    """

    key: str
    rule: str
    at: float
    at_least: bool
    whole: bool
    gate: bool
    measure: str
    rest: str
    passes: str
    denied: str

    @property
    def reads(self) -> frozenset[str]:
        """Return the columns that must be read."""
        return columns_of(self.measure) | columns_of(self.rest)

    @property
    def value(self) -> str:
        """Return the SQL of the number that is bounded, null where it is not finite.

        It is rounded, since a bound is compared in the precision of the column: 0.7 as a float is
        not below 0.7.
        """
        number = f"TRY(round(({self.measure})::DOUBLE, {DECIMALS}))"
        return f"CASE WHEN isfinite({number}) THEN {number} END"

    def bins(self) -> Measure:
        """Return what its bins are found of."""
        return Measure(self.key, self.value, columns_of(self.measure), self.whole, self.at)


Binned = tuple[CountedBound, Bins]


def queries(
    bounds: Sequence[Binned], rules: Sequence[str], quotas: Sequence[str], there: Sequence[str]
) -> Mapping[str, str]:
    """Return the query of each table of `OF_BOUNDS` over `joined`, a block with its verdicts.

    Args:
        bounds: The thresholds and their bins.
        rules: The names behind the bits of a verdict.
        quotas: Those of rules on how many survive, which are left out.
        there: The columns of the block.
    """
    known = {name.lower() for name in there}
    some = [
        (bound, bins, _mask(rules, (bound.rule, *quotas)), _mask(rules, [bound.rule]))
        for bound, bins in bounds
        if {name.lower() for name in bound.reads} <= known and bound.rule in rules
    ]
    return {
        "bounds": " UNION ALL ".join(_binned(*each) for each in some) or _nothing("bounds"),
        "nearest": " UNION ALL ".join(_near(bound, mask) for bound, _, mask, _ in some)
        or _nothing("nearest"),
        "overlaps": _overlaps(len(rules)),
    }


def _mask(rules: Sequence[str], names: Sequence[str]) -> int:
    """Return the bits of some rules."""
    return reduce(or_, (1 << place for place, rule in enumerate(rules) if rule in names), 0)


_ALL_BITS = (1 << 64) - 1


def _judged(bound: CountedBound, mask: int) -> str:
    """Return the query of the pairs with an image: `v`, and what all others and the bound say.

    `mask` are the bits of what does not count among the others.
    """
    others = f"{FAILING_BITS.name} & {_ALL_BITS ^ mask}::UBIGINT = 0"
    return (
        f"(SELECT {ROW.name}, {FAILING_BITS.name}, {bound.value} AS v, {others} AS others, "
        f"coalesce({bound.rest}, false) AS rest, coalesce({bound.passes}, false) AS passes, "
        f"coalesce({bound.denied}, false) AS denied "
        f"FROM joined AS ledger WHERE {OUTCOME.name} = '{Outcome.OK}')"
    )


def _binned(bound: CountedBound, bins: Bins, mask: int, own: int) -> str:
    said_no = f"{FAILING_BITS.name} & {own}::UBIGINT > 0"
    return (
        f"(SELECT {quoted(bound.key)} AS threshold, "
        f"CASE WHEN v IS NOT NULL THEN {bins.index('v')} END AS bin, count(*) AS pairs, "
        "count(*) FILTER (others AND rest) AS others, "
        "count(*) FILTER (others AND rest AND passes) AS kept, "
        f"count(*) FILTER (denied OR (others AND (rest AND passes) = ({said_no}))) AS wrong, "
        f"min(v) AS lowest, max(v) AS highest FROM {_judged(bound, mask)} "
        "GROUP BY bin ORDER BY bin)"
    )


def _near(bound: CountedBound, mask: int) -> str:
    return (
        f"(SELECT {quoted(bound.key)} AS threshold, inside, unnest(arg_min(one, key, {NEAREST}), "
        "recursive := true) FROM (SELECT passes AS inside, "
        f"struct_pack(distance := abs(v - {bound.at!r}), value := v, row := row) AS one, "
        f"struct_pack(d := abs(v - {bound.at!r}), r := row) AS key "
        f"FROM {_judged(bound, mask)} WHERE others AND rest AND v IS NOT NULL) "
        "GROUP BY inside ORDER BY ALL)"
    )


def _overlaps(rules: int) -> str:
    """Return the query of how many pairs each two rules say no to."""
    bits = FAILING_BITS.name
    return (
        f"WITH alike AS (SELECT {bits} AS bits, count(*) AS pairs FROM joined WHERE {bits} > 0 "
        f"GROUP BY ALL), places AS (SELECT range::INT AS place FROM range({rules})) "
        "SELECT a.place AS first, b.place AS second, sum(pairs)::BIGINT AS pairs "
        "FROM alike, places AS a, places AS b WHERE (bits >> a.place) & 1 = 1 "
        "AND (bits >> b.place) & 1 = 1 GROUP BY ALL ORDER BY ALL"
    )


def _nothing(table: str) -> str:
    """Return the query of a table of `OF_BOUNDS` without rows."""
    return f"SELECT {', '.join(f'NULL AS {c.name}' for c in OF_BOUNDS[table])} LIMIT 0"


@dataclass(frozen=True, slots=True)
class BoundCounts:
    """What was counted around a bound.

    Attributes:
        kept: Pairs that survive now.
        pairs: Pairs with an image, by bin.
        others: Pairs that all other rules keep, by bin.
        ends: The lowest and the highest value.
    """

    kept: int
    pairs: Mapping[int, int]
    others: Mapping[int, int]
    ends: tuple[float, float]


def sweep(bound: CountedBound, bins: Bins, counts: BoundCounts) -> Iterator[tuple[float, int]]:
    """Yield (value of the threshold, survivors), by value: one per bin, and as it is now."""
    points = {bound.at: counts.kept}
    so_far = 0
    inside = range(bins.first, bins.last + 1)
    for index in reversed(inside) if bound.at_least else inside:
        so_far += counts.others.get(index, 0)
        value = _threshold_at(bound, bins, index, counts.ends)
        if not math.isclose(value, bound.at, rel_tol=1e-9, abs_tol=1e-12):
            points[value] = so_far
    yield from sorted(points.items())


def _threshold_at(bound: CountedBound, bins: Bins, index: int, ends: tuple[float, float]) -> float:
    """Return the bound that lets through a bin and all that lie further inside.

    The end bins also hold what lies beyond them.
    """
    if bound.at_least:
        edge = min(bins.edge(index), ends[0]) if index == bins.first else bins.edge(index)
        return math.ceil(edge) if bound.whole else edge
    if index == bins.last:
        edge = max(bins.edge(index + 1), ends[1])
        return math.ceil(edge) if bound.whole else edge
    edge = bins.edge(index + 1)
    return math.ceil(edge) - 1 if bound.whole else math.nextafter(edge, -math.inf)
