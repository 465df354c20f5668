"""Thresholds of a selection's rules: which there are, and what each makes of its rule.

A threshold is an option of a filter that is a number and stands in its condition. On which measure
it is a bound is read off that condition, so that a filter need not say it twice.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite
from typing import Any, get_type_hints

from pairsieve.filters import FILTERS
from pairsieve.filters.base import name_of
from pairsieve.pipeline.ledger.rules import Rule, filter_rule
from pairsieve.pipeline.ledger.sql import identifier
from pairsieve.pipeline.selections.record import Record
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe_keep import Keep

SCORE = "score"  # the option of a rule on ranks: the lowest score that it takes
_CLASSES = {name_of(f): f for f in FILTERS}
_BOUND = re.compile(r"^(?P<measure>.*?) (?:>=|<=|>|<) $", re.DOTALL)
_DISTANCES = (1, 2, -1, -2, 0.0078125, 0.015625, -0.0078125, -0.015625)  # of values that are tried


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number of one rule.

    Attributes:
        rule: The rule as it was applied.
        entry: Its entry in `keep`.
        option: Name of the option.
        value: What it is in this selection; None where it is no bound now.
        measure: SQL of the number that it bounds; None where it is not one number.
    """

    rule: Rule
    entry: Keep
    option: str
    value: float | None
    measure: str | None

    @property
    def key(self) -> str:
        """Return how it is written."""
        return f"{self.rule.name}.{self.option}"

    @property
    def is_whole(self) -> bool:
        """Return whether only whole numbers are allowed."""
        return (
            self.option in _numbers(self.entry.filter) and _numbers(self.entry.filter)[self.option]
        )


def find(record: Record, key: str) -> Threshold:
    """Return the threshold that is called RULE.OPTION, or the one that RULE has.

    Raises:
        BadOption: there is no such rule or option, it is no threshold, or RULE has several.
    """
    if key in record.entries:
        return _only(record, key)
    name, _, option = key.rpartition(".")
    if name not in record.entries:
        near = nearest(key, list(record.entries)) if record.entries else "it has none"
        raise BadOption(f"{key}: the selection has no rule of that name; {near}")
    known = options(record.entries[name])
    if option not in known:
        listed = (
            nearest(option, known) if known else f"it has none{_none_known(record.entries[name])}"
        )
        raise BadOption(f"{key}: `{option}` is no threshold of `{name}`; {listed}")
    return _threshold(record, name, option)


def options(entry: Keep) -> list[str]:
    """Return the options of a rule that are thresholds."""
    if entry.top_fraction is not None:
        return [] if entry.by else [SCORE]  # with `by`, each value has its own lowest score
    numbers = _numbers(entry.filter)
    return [option for option in numbers if _two_conditions(entry, option)]


def _only(record: Record, name: str) -> Threshold:
    """Return the only threshold of a rule, or the only one that the recipe sets."""
    known = options(record.entries[name])
    chosen = [option for option in known if option in record.entries[name].options]
    if len(chosen or known) == 1:
        return _threshold(record, name, (chosen or known)[0])
    if not known:
        raise BadOption(f"{name}: this rule has no threshold{_none_known(record.entries[name])}")
    named = ", ".join(f"{name}.{option}" for option in known)
    raise BadOption(f"{name}: which of its thresholds? {named}")


def _none_known(entry: Keep) -> str:
    """Return what else to do where a rule has no threshold: filters of the user's own have none."""
    own = entry.filter and entry.filter not in _CLASSES
    return "; of a filter of your own, `select --set` tries other values" if own else ""


def _threshold(record: Record, name: str, option: str) -> Threshold:
    entry = record.entries[name]
    (rule,) = (rule for rule in record.rules if rule.name == name)
    if entry.of is not None and entry.top_fraction is not None:
        return Threshold(rule, entry, option, None, identifier(entry.of))
    return Threshold(rule, entry, option, _value(entry, option), _measure(entry, option))


def _value(entry: Keep, option: str) -> float | None:
    """Return what an option is: the recipe's value, else the filter's own."""
    default = getattr(_CLASSES[entry.filter or ""](), option)
    value: float | None = entry.options.get(option, default)
    return value


def rule_with(entry: Keep, rule: Rule, values: Mapping[str, float]) -> Rule:
    """Return a rule with other values of its thresholds.

    Raises:
        BadOption: a value cannot be.
    """
    if entry.of is not None and entry.top_fraction is not None:
        return replace(rule, sql=f"{identifier(entry.of)} >= {values[SCORE]!r}", rank=None)
    name = entry.filter or ""
    return replace(rule, sql=filter_rule(rule.name, name, {**entry.options, **values}))


def number(key: str, value: Any) -> float:
    """Return a value of a threshold; BadOption if it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise BadOption(f"{key}: a threshold is a number, got {value!r}")
    return value


@cache
def _numbers(filter: str | None) -> dict[str, bool]:
    """Return the options of a filter that are numbers, and whether they are whole ones."""
    if filter not in _CLASSES or not hasattr(_CLASSES[filter], "rule"):
        return {}
    hints = get_type_hints(_CLASSES[filter])
    return {
        name: hint in (int, int | None)
        for name, hint in hints.items()
        if hint in (int, int | None, float, float | None)
    }


def _two_conditions(entry: Keep, option: str) -> tuple[tuple[float, str], ...]:
    """Return two values of an option with the conditions they make; none if these are the same.

    They are others than the one it has, with which a filter may leave the bound out.
    """
    name, now = entry.filter or "", _value(entry, option)
    tried = [1_000_000, 999_999] if now is None else [now + by for by in _DISTANCES]
    made: list[tuple[float, str]] = []
    for value in tried:
        whole = _numbers(name)[option]
        if whole and value != int(value):
            continue
        try:
            sql = filter_rule(name, name, {**entry.options, option: int(value) if whole else value})
        except BadOption:
            continue
        if not made or sql != made[0][1]:
            made.append((value, sql))
        if len(made) == 2:
            return tuple(made)
    return ()


def _measure(entry: Keep, option: str) -> str | None:
    """Return the SQL of what an option bounds, as its condition has it: `measure >= value`."""
    conditions: Sequence[tuple[float, str]] = _two_conditions(entry, option)
    if not conditions:
        return None
    (first, one), (second, other) = conditions
    whole = _numbers(entry.filter)[option]
    texts = [repr(int(value) if whole else float(value)) for value in (first, second)]
    for found in re.finditer(re.escape(texts[0]), one):
        if one[: found.start()] + texts[1] + one[found.end() :] == other:
            last = re.split(r" (?:AND|OR) ", one[: found.start()])[-1]
            bound = _BOUND.match(last)
            return bound["measure"] if bound and _is_whole(bound["measure"]) else None
    return None


def _is_whole(measure: str) -> bool:
    """Return whether no part of what a condition is made of begins before the measure."""
    apart = re.search(r"\b(?:CASE|WHEN|THEN|ELSE|BETWEEN)\b", measure)
    return not apart and measure.count("(") == measure.count(")")
