"""Order statistics over a pool of any size: the pair of a given rank, found in rounds over blocks.

In a round every block tells its quantiles within an interval; together they bound where the pair
lies, so that each round narrows the interval by about their number. When few enough pairs are left
they are collected and sorted. What the driver holds are quantiles and that many pairs.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.ledger.sql import identifier, quoted

QUANTILES = 1024  # that a block tells of
COLLECTED = 400_000  # pairs that the driver sorts

# Columns and SQL over `ledger` -> the one row that each block answers with.
Query = Callable[[Sequence[str], str], Iterable[tuple[Any, ...]]]
# Asks for columns and SQL, is sent the answers of all blocks, and ends with a condition.
Search = Generator[tuple[Sequence[str], str], list[tuple[Any, ...]], str]


@dataclass(frozen=True, slots=True)
class Key:
    """What pairs are ordered by: a column or what is made of it, and if the highest comes first."""

    column: str
    descending: bool = False
    made: str = "{0}"

    @property
    def sql(self) -> str:
        """Return the key as SQL."""
        return self.made.format(identifier(self.column))

    def before(self, value: Any) -> str:
        """Return the condition of what comes before `value`."""
        return f"{self.sql} {'>' if self.descending else '<'} {literal(value)}"

    def after(self, value: Any) -> str:
        """Return the condition of what comes after `value`."""
        return f"{self.sql} {'<' if self.descending else '>'} {literal(value)}"

    def order(self, value: Any) -> Any:
        """Return what Python sorts a value by, in ascending order."""
        return _Reversed(value) if self.descending else value


@dataclass(frozen=True, slots=True)
class _Reversed:
    """Sorts the other way round."""

    value: Any

    def __lt__(self, other: "_Reversed") -> bool:
        return bool(other.value < self.value)


def first_of_share(
    query: Query, keys: Sequence[Key], share: float, collected: int = COLLECTED
) -> str:
    """Return the condition of a share of the pairs, their number rounded up; see `first`."""
    return first(query, keys, lambda pairs: ceil(share * pairs), collected)


def first(
    query: Query, keys: Sequence[Key], wanted: Callable[[int], int], collected: int = COLLECTED
) -> str:
    """Return the condition of the first pairs among those whose first key is not null.

    The first key is null where it is NaN, too.

    Args:
        query: Asks every block; once for quantiles and once for pairs, in each round.
        keys: By which to order; together they tell any two pairs apart.
        wanted: How many, given how many there are; at most that many.
        collected: At most so many pairs are sorted here.

    Returns:
        SQL that is true for them, false for the others; of no meaning where the first is null.
    """
    search = searching(keys, wanted, f"{keys[0].sql} IS NOT NULL", Limits(QUANTILES, collected))
    try:
        asked = next(search)
        while True:
            asked = search.send(list(query(*asked)))
    except StopIteration as end:
        return str(end.value)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a search the driver holds: `quantiles` per block, `collected` pairs at most."""

    quantiles: int
    collected: int


def searching(
    keys: Sequence[Key], wanted: Callable[[int], int], within: str, limits: Limits
) -> Search:
    """Search for what `first` returns among the pairs `within`, where the first key is not null."""
    fixed: tuple[Any, ...] = ()
    rank: int | None = None
    for number, key in enumerate(keys):
        while True:
            told = yield [key.column], _quantiles(key.sql, within, limits.quantiles)
            steps = _steps_of_blocks(key, told)
            if rank is None:
                rank = wanted(sum(step.least for step in steps))
            if not rank:
                return "false"
            least, most = _bounds(steps, rank)
            found = yield from _inside(keys[number:], within, (least, most), limits.collected)
            rank -= found.before
            if found.pairs is not None:
                return _up_to(keys, (*fixed, *found.pairs[rank - 1]))
            within = f"{within} AND {_between(key, least, most)}"
            if key.order(least) == key.order(most):
                break
        fixed = (*fixed, least)
    raise AssertionError("the keys do not tell pairs apart")


def _between(key: Key, first: Any, last: Any) -> str:
    """Return the condition of what lies between two values, both included."""
    return f"NOT ({key.before(first)}) AND NOT ({key.after(last)})"


@dataclass(frozen=True, slots=True)
class _Inside:
    """How many pairs come before an interval; those inside in order, None if they are too many."""

    before: int
    pairs: list[tuple[Any, ...]] | None


def _inside(
    keys: Sequence[Key], within: str, ends: tuple[Any, Any], collected: int
) -> Generator[tuple[Sequence[str], str], list[tuple[Any, ...]], _Inside]:
    """Search for what lies between two values of the first key, both included."""
    inside = _between(keys[0], *ends)
    listed = ", ".join(f"k{number} := {key.sql}" for number, key in enumerate(keys))
    answers = yield (
        [key.column for key in keys],
        f"SELECT count(*) FILTER ({keys[0].before(ends[0])}), count(*) FILTER ({inside}), "
        f"(list(struct_pack({listed})) FILTER ({inside}))[:{collected}] "
        f"FROM ledger WHERE {within}",
    )
    before = sum(answer[0] for answer in answers)
    if sum(answer[1] for answer in answers) > collected:
        return _Inside(before, None)
    pairs = [tuple(pair.values()) for answer in answers for pair in answer[2] or ()]
    pairs.sort(key=lambda pair: [key.order(v) for key, v in zip(keys, pair, strict=True)])
    return _Inside(before, pairs)


@dataclass(frozen=True, slots=True)
class _Step:
    """A quantile of a block.

    At least `least` more pairs are up to its value than up to the quantile before; at most `most`
    more come before the next quantile's value than before this one's.
    """

    order: Any
    value: Any
    least: int
    most: int


def _steps_of_blocks(key: Key, told: Iterable[tuple[Any, ...]]) -> list[_Step]:
    """Return the quantiles of all blocks in order."""
    steps = [step for pairs, values in told if pairs for step in _steps(key, pairs, values)]
    return sorted(steps, key=lambda step: step.order)


def _quantiles(value: str, within: str, count: int = QUANTILES) -> str:
    """Return the query for how many pairs there are `within`, and the quantiles of a value."""
    place = f"greatest(1, ceil(pairs * number / {count}.0)::BIGINT)"
    return (
        f"SELECT pairs, list_transform(range({count + 1}), lambda number: ordered[{place}]) "
        "FROM (SELECT count(*) AS pairs, list_sort(list(value)) AS ordered "
        f"FROM (SELECT {value} AS value FROM ledger WHERE {within}))"
    )


def quantiles(
    query: Query, columns: Sequence[str], value: str, within: str, shares: Sequence[float]
) -> list[Any]:
    """Return, of each share, a value up to which about that share of pairs is; none without pairs.

    Exact where each block has no more pairs than it tells quantiles; else off by a thousandth.

    Args:
        query: Asks every block, once.
        columns: What `value` and `within` read.
        value: SQL of a number that is never null `within`.
        within: The condition of the pairs that count.
        shares: In ascending order, from 0 to 1.
    """
    told = query(columns, _quantiles(value, within))
    steps = [step for pairs, values in told if pairs for step in _steps(Key(""), pairs, values)]
    steps.sort(key=lambda step: step.order)
    pairs = sum(step.least for step in steps)
    found, before = [], 0
    waiting = list(shares)
    for step in steps:
        before += step.least
        while waiting and before >= waiting[0] * pairs:
            found.append(step.value)
            waiting.pop(0)
    return found


def _steps(key: Key, pairs: int, values: Sequence[Any]) -> list[_Step]:
    """Return the quantiles of one block in the order of the key, each value once."""
    count = len(values) - 1
    places = [max(1, ceil(pairs * number / count)) for number in range(count + 1)]
    if key.descending:
        values = values[::-1]
        places = [pairs - place + 1 for place in places[::-1]]
    following = [*places[1:], pairs + 1]
    earlier = [0, *places[:-1]]
    return [
        _Step(key.order(value), value, place - before, after - place)
        for value, place, before, after in zip(values, places, earlier, following, strict=True)
    ]


def _bounds(steps: Sequence[_Step], rank: int) -> tuple[Any, Any]:
    """Return the values between which the pair of this rank lies, given all blocks' quantiles.

    The first is the last value before which there are surely fewer than `rank` pairs; the last is
    the first value up to which there are surely as many.
    """
    first, last = steps[0].value, None
    at_least, at_most = 0, 0
    for _, alike in groupby(steps, key=lambda step: step.order):
        group = list(alike)
        if at_most < rank:
            first = group[0].value
        at_least += sum(step.least for step in group)
        at_most += sum(step.most for step in group)
        if at_least >= rank and last is None:
            last = group[0].value
    return first, last


NUMBER = "CASE WHEN isnan({0}) THEN NULL ELSE {0} END"  # of a column of floats


def has_order(type: pa.DataType) -> bool:
    """Return whether one value of the type is more than another: of numbers and times, not texts.

    Null is a column without any value, of which nothing is known.
    """
    return bool(
        pa.types.is_integer(type)
        or pa.types.is_floating(type)
        or pa.types.is_decimal(type)
        or pa.types.is_temporal(type)
        or pa.types.is_null(type)
    )


def is_orderable(type: pa.DataType) -> bool:
    """Return whether Python orders the values as DuckDB does, and `literal` writes them exactly."""
    return bool(
        pa.types.is_integer(type)
        or pa.types.is_float32(type)
        or pa.types.is_float64(type)
        or pa.types.is_string(type)
    )


def _up_to(keys: Sequence[Key], values: Sequence[Any]) -> str:
    """Return the condition of pairs that come not after the one with these keys."""
    condition = "true"
    for key, value in reversed(list(zip(keys, values, strict=True))):
        condition = f"({key.before(value)} OR ({key.sql} = {literal(value)} AND {condition}))"
    return condition


def literal(value: Any) -> str:
    """Return a number or a text as SQL that has exactly this value."""
    if isinstance(value, str):
        return quoted(value)
    return f"'{value!r}'::DOUBLE" if isinstance(value, float) else repr(value)
