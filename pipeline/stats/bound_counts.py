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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.ledger.sql import columns_of
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.stats.histogram_bins import Bins, Measure
from pairsieve.pipeline.stats.partials import OF_BOUNDS
from pairsieve.schemas.columns import OUTCOME, ROW, arrow_schema
from pairsieve.schemas.outcomes import Outcome

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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


def counted(
    connection: "DuckDBPyConnection",
    bounds: Sequence[Binned],
    rules: Sequence[str],
    quotas: Sequence[str],
    there: Sequence[str],
) -> tuple[pa.Table, pa.Table]:
    """Return the tables `bounds` and `nearest` of `joined`, a block with its verdicts.

    What the bounds are of is computed for all of them in one scan; numpy then counts in a fifth of
    the time that DuckDB takes to group by the bin.

    Args:
        connection: Has `joined`.
        bounds: The thresholds and their bins.
        rules: The names behind the bits of a verdict.
        quotas: Those of rules on how many survive, which are left out.
        there: The columns of the block.
    """
    known = {name.lower() for name in there}
    some = [
        (bound, bins)
        for bound, bins in bounds
        if {name.lower() for name in bound.reads} <= known and bound.rule in rules
    ]
    tables: dict[str, list[pa.Table]] = {
        name: [arrow_schema(OF_BOUNDS[name]).empty_table()] for name in ("bounds", "nearest")
    }
    for bound, bins, pairs in _judged(connection, some, rules, quotas) if some else ():
        tables["bounds"].append(_binned(bound, bins, pairs))
        tables["nearest"].append(_near(bound, pairs))
    return pa.concat_tables(tables["bounds"]), pa.concat_tables(tables["nearest"])


class _Pairs(NamedTuple):
    """The pairs of a block with an image, as one threshold has them; every array is (n,).

    Attributes:
        rows: int64.
        values: float64, of what is bounded; not a number where it is null.
        others: bool, whether all other rules keep the pair, and the rest of this one.
        passes: bool, whether the bound does.
        wrong: bool, whether the rule says another thing.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    others: NDArray[np.bool_]
    passes: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


def _judged(
    connection: "DuckDBPyConnection",
    bounds: Sequence[Binned],
    rules: Sequence[str],
    quotas: Sequence[str],
) -> Iterator[tuple[CountedBound, Bins, _Pairs]]:
    """Yield the thresholds with the pairs of `joined` that have an image."""
    said = ", ".join(
        f"{bound.value} AS v{place}, coalesce({bound.rest}, false) AS rest{place}, "
        f"coalesce({bound.passes}, false) AS passes{place}, "
        f"coalesce({bound.denied}, false) AS denied{place}"
        for place, (bound, _) in enumerate(bounds)
    )
    table = connection.sql(
        f"SELECT {ROW.name}, {FAILING_BITS.name}, {said} "
        f"FROM joined AS ledger WHERE {OUTCOME.name} = '{Outcome.OK}'"
    ).to_arrow_table()
    judged = table[FAILING_BITS.name].is_valid().to_numpy()
    bits = table[FAILING_BITS.name].fill_null(0).to_numpy()
    for place, (bound, bins) in enumerate(bounds):
        value, rest, passes, denied = (
            table[f"{name}{place}"] for name in ("v", "rest", "passes", "denied")
        )
        left_out = np.uint64(_ALL_BITS ^ _mask(rules, (bound.rule, *quotas)))
        others, holds = judged & (bits & left_out == 0), rest.to_numpy()
        said_no = bits & np.uint64(_mask(rules, [bound.rule])) > 0
        wrong = denied.to_numpy() | (others & ((holds & passes.to_numpy()) == said_no))
        values = value.cast(pa.float64()).fill_null(math.nan).to_numpy()
        yield (
            bound,
            bins,
            _Pairs(table[ROW.name].to_numpy(), values, others & holds, passes.to_numpy(), wrong),
        )


def _mask(rules: Sequence[str], names: Sequence[str]) -> int:
    """Return the bits of some rules."""
    return reduce(or_, (1 << place for place, rule in enumerate(rules) if rule in names), 0)


_ALL_BITS = (1 << 64) - 1


def _binned(bound: CountedBound, bins: Bins, pairs: _Pairs) -> pa.Table:
    """Return the rows of `bounds`: those of bins in order, and behind them what has no value."""
    measured = np.isfinite(pairs.values)
    size = bins.last - bins.first + 2  # the last has what is not measured
    index = np.full(len(measured), size - 1)
    index[measured] = bins.places(pairs.values[measured]) - bins.first
    lowest, highest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(lowest, index[measured], pairs.values[measured])
    np.maximum.at(highest, index[measured], pairs.values[measured])
    of_bin = [np.bincount(index, minlength=size)]
    of_bin += [
        np.bincount(index[which], minlength=size)
        for which in (pairs.others, pairs.others & pairs.passes, pairs.wrong)
    ]
    there = np.flatnonzero(of_bin[0])
    unmeasured = there == size - 1
    columns = [
        pa.array([bound.key] * len(there), pa.string()),
        pa.array(there + bins.first, mask=unmeasured),
        *(pa.array(counts[there]) for counts in of_bin),
        *(pa.array(ends[there], mask=unmeasured) for ends in (lowest, highest)),
    ]
    schema = arrow_schema(OF_BOUNDS["bounds"])
    return pa.table(columns, schema.names).cast(schema)


def _near(bound: CountedBound, pairs: _Pairs) -> pa.Table:
    """Return the rows of `nearest`: the pairs nearest to the bound on either side, by row."""
    distances = np.abs(pairs.values - bound.at)
    chosen = []
    for inside in (False, True):
        there = pairs.others & (pairs.passes == inside) & np.isfinite(pairs.values)
        some = np.flatnonzero(there)
        if len(some) > NEAREST:
            last = np.partition(distances[some], NEAREST - 1)[NEAREST - 1]
            some = some[distances[some] <= last]
        chosen.append(some[np.lexsort((pairs.rows[some], distances[some]))][:NEAREST])
    found = np.concatenate(chosen)
    schema = arrow_schema(OF_BOUNDS["nearest"])
    columns = [
        pa.array([bound.key] * len(found), pa.string()),
        *(pa.array(each[found]) for each in (pairs.passes, distances, pairs.values, pairs.rows)),
    ]
    return pa.table(columns, schema.names).cast(schema)


def overlaps(rules: int) -> str:
    """Return the query of how many pairs of `joined` each two of so many rules say no to."""
    bits = FAILING_BITS.name
    return (
        f"WITH alike AS (SELECT {bits} AS bits, count(*) AS pairs FROM joined WHERE {bits} > 0 "
        f"GROUP BY ALL), places AS (SELECT range::INT AS place FROM range({rules})) "
        "SELECT a.place AS first, b.place AS second, sum(pairs)::BIGINT AS pairs "
        "FROM alike, places AS a, places AS b WHERE (bits >> a.place) & 1 = 1 "
        "AND (bits >> b.place) & 1 = 1 GROUP BY ALL ORDER BY ALL"
    )


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
