"""The highest share of the pairs of every value of a column, each value with a bound of its own.

The searches for all values go on side by side: in a round every block is read once and answers them
all. The more values there are, the less each search tells of a block, so the driver holds no more
than it does for one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import ceil
from typing import Any

from pairsieve.pipeline.ledger.ranks import COLLECTED, QUANTILES, Key, Limits, Search, searching
from pairsieve.pipeline.ledger.sql import identifier, quoted
from pairsieve.schemas.errors import BadOption

MOST_VALUES = 1000  # of the column: each has a bound in the condition that every pair is asked
LEAST_QUANTILES = 16  # that a block tells of one value

# Columns and queries over `ledger` -> of each block the one row that each query gives.
Queries = Callable[[Sequence[str], Sequence[str]], Iterable[Sequence[tuple[Any, ...]]]]


def first_of_each(
    queries: Queries, keys: Sequence[Key], share: float, by: str, collected: int = COLLECTED
) -> str:
    """Return the condition of a share of the pairs of each value, their number rounded up.

    Pairs without a value count as one more value. See `ranks.first`.

    Args:
        queries: Asks every block, once in each round.
        keys: By which to order; together they tell any two pairs apart.
        share: Of the pairs of each value whose first key is not null.
        by: The column of values.
        collected: At most so many pairs are sorted here.

    Raises:
        BadOption: the column has too many values.
    """
    scored = f"{keys[0].sql} IS NOT NULL"
    values = _values(queries, keys[0], by, scored)
    many = max(1, len(values))
    limits = Limits(max(LEAST_QUANTILES, QUANTILES // many), max(1, collected // many))
    searches = {
        value: searching(keys, partial(_share, share), f"{scored} AND {same(by, value)}", limits)
        for value in values
    }
    columns = [by, *(key.column for key in keys)]
    found = _side_by_side(partial(queries, columns), searches)
    cases = " ".join(f"WHEN {same(by, value)} THEN {found[value]}" for value in values)
    return f"CASE {cases} ELSE false END" if cases else "false"


def same(by: str, value: str | None) -> str:
    """Return the condition of the pairs that have this value, as text; None for those without."""
    column = f"{identifier(by)}::VARCHAR"
    return f"{column} IS NULL" if value is None else f"{column} = {quoted(value)}"


def _share(share: float, pairs: int) -> int:
    return ceil(share * pairs)


def _values(queries: Queries, key: Key, by: str, scored: str) -> list[str | None]:
    """Return the values of the pairs with a score, in order; the lack of one comes last."""
    sql = (
        f"SELECT list(value) FROM (SELECT DISTINCT {identifier(by)}::VARCHAR AS value FROM ledger "
        f"WHERE {scored} LIMIT {MOST_VALUES + 1})"
    )
    values: set[str | None] = set()
    for ((told,),) in queries([by, key.column], [sql]):
        values.update(told or ())
        if len(values) > MOST_VALUES:
            raise BadOption(
                f"keep: top_fraction by {by}: the column has more than {MOST_VALUES:,} values; "
                "take one with fewer, as language"
            )
    return sorted(values, key=lambda value: (value is None, value or ""))


def _side_by_side(
    ask: Callable[[Sequence[str]], Iterable[Sequence[tuple[Any, ...]]]],
    searches: Mapping[str | None, Search],
) -> dict[str | None, str]:
    """Return what every search ends with; in a round all that go on are asked together."""
    found: dict[str | None, str] = {}
    asked = {value: next(search)[1] for value, search in searches.items()}
    while asked:
        answers = list(ask(list(asked.values())))
        following = {}
        for number, value in enumerate(asked):
            try:
                of_value = [block[number] for block in answers]
                following[value] = searches[value].send(of_value)[1]
            except StopIteration as end:
                found[value] = end.value
        asked = following
    return found
