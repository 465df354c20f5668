"""Order statistics over a pool of any size: the pair of a given rank, found in rounds over blocks.

In a round every block tells its quantiles within an interval; together they bound where the pair
lies, so that each round narrows the interval by about their number. When few enough pairs are left
they are collected and sorted. What the driver holds are quantiles and that many pairs.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.ledger.sql import quoted

QUANTILES = 256  # that a block tells of
COLLECTED = 50_000  # pairs that the driver sorts
Query = Callable[[str], Iterable[list[tuple[Any, ...]]]]  # SQL -> the rows of each block


@dataclass(frozen=True, slots=True)
class Key:
    """What pairs are ordered by: a column, and whether its highest value comes first."""

    column: str
    descending: bool = False

    def before(self, value: Any) -> str:
        """Return the condition of what comes before `value`."""
        return f"{self.column} {'>' if self.descending else '<'} {literal(value)}"

    def order(self, value: Any) -> Any:
        """Return what Python sorts a value by, in ascending order; all NaN are alike."""
        number = 0.0 if value != value else value
        return _Reversed(number) if self.descending else number


@dataclass(frozen=True, slots=True)
class _Reversed:
    """Sorts the other way round."""

    value: Any

    def __lt__(self, other: "_Reversed") -> bool:
        return bool(other.value < self.value)


def pair_of_rank(
    query: Query, keys: Sequence[Key], rank: int, collected: int = COLLECTED
) -> tuple[Any, ...]:
    """Return the keys of the `rank`-th pair, from 1, of those whose first key is not null.

    Args:
        query: Runs SQL over `pairs` in every block; yields the rows of each.
        keys: By which to order; together they tell any two pairs apart. Where there are NaN the
            first key tells them from numbers: quantiles have no place for them.
        rank: At most as many as there are.
        collected: At most so many pairs are sorted here.
    """
    within = f"{keys[0].column} IS NOT NULL"
    fixed: tuple[Any, ...] = ()
    for number, key in enumerate(keys):
        while True:
            interval = _interval(query, key, within, rank)
            rank -= interval.before
            last = f"NOT ({key.before(interval.first)})"
            within = f"{within} AND {last} AND NOT ({_after(key, interval.last)})"
            if interval.pairs <= collected:
                return fixed + _sorted(query, keys[number:], within)[rank - 1]
            if key.order(interval.first) == key.order(interval.last):
                break
        fixed = (*fixed, interval.first)
    raise AssertionError("the keys do not tell pairs apart")


def _after(key: Key, value: Any) -> str:
    return Key(key.column, not key.descending).before(value)


@dataclass(frozen=True, slots=True)
class _Interval:
    """Between which values, both included, a pair lies; how many come before, how many lie in."""

    first: Any
    last: Any
    before: int
    pairs: int


def _interval(query: Query, key: Key, within: str, rank: int) -> _Interval:
    """Return an interval of values that has the pair of this rank among those `within`."""
    shares = [number / QUANTILES for number in range(QUANTILES + 1)]
    told = query(
        f"SELECT count(*), quantile_disc({key.column}, {shares}) FROM pairs WHERE {within}"
    )
    steps: list[tuple[Any, Any, int, int]] = []
    for ((pairs, values),) in told:
        if pairs:
            steps += _steps(key, pairs, values)
    steps.sort(key=lambda step: step[0])
    first, last = _bounds(steps, rank)
    counts = query(
        f"SELECT count(*) FILTER ({key.before(first)}), "
        f"count(*) FILTER (NOT ({_after(key, last)})) FROM pairs WHERE {within}"
    )
    before, until = map(sum, zip(*(row for (row,) in counts), strict=True))
    return _Interval(first, last, before, until - before)


def _steps(key: Key, pairs: int, values: Sequence[Any]) -> list[tuple[Any, Any, int, int]]:
    """Return (order, value, least, most) of a block's quantiles.

    At least `least` more pairs are up to the value than up to the one before; at most `most` more
    come before the next value than before this one.
    """
    places = [max(1, ceil(pairs * number / QUANTILES)) for number in range(QUANTILES + 1)]
    if key.descending:
        values = values[::-1]
        places = [pairs - place + 1 for place in places[::-1]]
    following = [*places[1:], pairs + 1]
    earlier = [0, *places[:-1]]
    return [
        (key.order(value), value, place - before, after - place)
        for value, place, before, after in zip(values, places, earlier, following, strict=True)
    ]


def _bounds(steps: Sequence[tuple[Any, Any, int, int]], rank: int) -> tuple[Any, Any]:
    """Return the values between which the pair of this rank lies, given all blocks' steps in order.

    The first is the last value before which there are surely fewer than `rank` pairs; the last is
    the first value up to which there are surely as many.
    """
    first, last = steps[0][1], steps[-1][1]
    at_least, at_most = 0, 0
    bounded = False
    index = 0
    while index < len(steps):
        end = index
        while end < len(steps) and steps[end][0] == steps[index][0]:
            end += 1
        if at_most < rank:
            first = steps[index][1]
        at_least += sum(step[2] for step in steps[index:end])
        at_most += sum(step[3] for step in steps[index:end])
        if at_least >= rank and not bounded:
            last, bounded = steps[index][1], True
        index = end
    return first, last


def _sorted(query: Query, keys: Sequence[Key], within: str) -> list[tuple[Any, ...]]:
    """Return the keys of all pairs `within`, in order."""
    columns = ", ".join(key.column for key in keys)
    found = [row for rows in query(f"SELECT {columns} FROM pairs WHERE {within}") for row in rows]
    return sorted(
        found, key=lambda row: [key.order(value) for key, value in zip(keys, row, strict=True)]
    )


def is_orderable(type: pa.DataType) -> bool:
    """Return whether Python orders the values as DuckDB does, and `literal` writes them exactly."""
    return bool(
        pa.types.is_integer(type)
        or pa.types.is_float32(type)
        or pa.types.is_float64(type)
        or pa.types.is_string(type)
    )


def up_to(keys: Sequence[Key], values: Sequence[Any]) -> str:
    """Return the condition of pairs that come not after the one with these keys."""
    condition = "true"
    for key, value in reversed(list(zip(keys, values, strict=True))):
        condition = f"({key.before(value)} OR ({key.column} = {literal(value)} AND {condition}))"
    return condition


def literal(value: Any) -> str:
    """Return a number or a text as SQL that has exactly this value."""
    if isinstance(value, str):
        return quoted(value)
    return f"'{value!r}'::DOUBLE" if isinstance(value, float) else repr(value)
