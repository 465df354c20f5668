"""Bounds: the thresholds of a selection's rules that can be moved without asking DuckDB again.

The condition of a rule is taken apart into `measure >= value` for each of its thresholds, and the
rest of it. What a pair has of the measures and what the rest says is then all that is needed to say
of any values whether the rule lets the pair through. That it can be taken apart so is not believed
but checked on every pair that is read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.ledger.rules import Rule
from pairsieve.pipeline.ledger.sql import can_be_tried, reads_all
from pairsieve.pipeline.selections.record import Record
from pairsieve.pipeline.selections.thresholds import Threshold, find, options
from pairsieve.pipeline.stats.bound_counts import CountedBound


@dataclass(frozen=True, slots=True)
class Bound:
    """A threshold that is a bound on a measure.

    Attributes:
        threshold: What it is and where it stands.
        at_least: True for a lower bound, False for an upper one; the bound itself is kept by both.
        operator: As the condition has it.
        written: The part of the condition.
    """

    threshold: Threshold
    at_least: bool
    operator: str
    written: str

    @property
    def key(self) -> str:
        """Return how it is written: RULE.OPTION."""
        return self.threshold.key

    @property
    def value(self) -> float:
        """Return what it is in the selection."""
        return float(self.threshold.value or 0)

    @property
    def measure(self) -> str:
        """Return the SQL of what it bounds."""
        return str(self.threshold.measure)

    def passes(self, values: NDArray[np.floating], at: float) -> NDArray[np.bool_]:
        """Return whether each of these values is within the bound at `at`, (n,).

        What is not measured must be an infinity on the outer side. A decimal is compared in the
        precision of the measure, as DuckDB does.
        """
        literal = self.written_value(at)
        bound = values.dtype.type(at) if "e" not in literal else np.float64(at)
        if self.operator in (">", "<"):
            return values > bound if self.at_least else values < bound
        return values >= bound if self.at_least else values <= bound

    def written_value(self, at: float) -> str:
        """Return a value as it is written in a condition."""
        return repr(int(at)) if self.threshold.is_whole else repr(float(at))


def bounds_of(record: Record) -> tuple[Bound, ...]:
    """Return the bounds of a selection's rules, in the order of these."""
    return tuple(bound for rule in record.rules for bound in _of_rule(record, rule))


def _of_rule(record: Record, rule: Rule) -> Iterator[Bound]:
    entry = record.entries.get(rule.name)
    if entry is None or rule.rank or rule.quota:
        return
    for option in options(entry):
        threshold = find(record, f"{rule.name}.{option}")
        if threshold.value is None or threshold.measure is None:
            continue
        value = threshold.value
        texts = {repr(value), repr(float(value))} | (
            {repr(int(value))} if value % 1 == 0 else set()
        )
        either = "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))
        pattern = rf"{re.escape(threshold.measure)} (>=|<=|>|<) (?:{either})(?![\w.])"
        found = list(re.finditer(pattern, rule.sql))
        if len(found) == 1:
            operator = found[0][1]
            yield Bound(threshold, operator[0] == ">", operator, found[0][0])


def without(rule: Rule, bounds: tuple[Bound, ...], instead: str = "true") -> str:
    """Return the condition of a rule with something else instead of its bounds."""
    sql = rule.sql
    for bound in bounds:
        sql = sql.replace(bound.written, instead, 1)
    return sql


def counted_bounds(record: Record) -> tuple[CountedBound, ...]:
    """Return the bounds of a selection's rules as a report counts around them."""
    return tuple(
        _counted(bound)
        for bound in bounds_of(record)
        if can_be_tried(bound.threshold.rule.sql) and not reads_all(bound.threshold.rule.sql)
    )


def _counted(bound: Bound) -> CountedBound:
    rule = bound.threshold.rule
    return CountedBound(
        key=bound.key,
        rule=rule.name,
        at=bound.value,
        at_least=bound.at_least,
        whole=bound.threshold.is_whole,
        gate=rule.gate,
        measure=bound.measure,
        rest=f"TRY(({without(rule, (bound,))}\n))",
        passes=f"TRY(({bound.written}))",
        denied=f"TRY(({without(rule, (bound,), 'false')}\n))",
    )
