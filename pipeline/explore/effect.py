"""The effect of thresholds at other values: survivors, what each rule drops alone, and intervals.

Nothing is read here: a sample in memory answers within milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.filters.order import Phase
from pairsieve.pipeline.explore.sample import Flags, Sample
from pairsieve.pipeline.learning.intervals import of_share

BINS = 40
KEPT = 64  # thresholds of which the bars are known


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of pairs with an image: exact, or with the ends of its interval of 95 %."""

    pairs: int
    low: int
    high: int

    @property
    def exact(self) -> bool:
        """Return whether it is a count."""
        return self.low == self.high

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"{self.pairs:,}" if self.exact else f"{self.pairs:,} ({self.low:,} to {self.high:,})"
        )


@dataclass(frozen=True, slots=True)
class RuleEffect:
    """What a rule does.

    Attributes:
        rule: Its name.
        dropped: Pairs with an image that it says no to.
        only_this: Those of them that no other rule drops.
    """

    rule: str
    dropped: Estimate
    only_this: Estimate


@dataclass(frozen=True, slots=True)
class Effect:
    """What the rules do with some values of their thresholds.

    Attributes:
        survivors: Pairs that all rules keep.
        gained: Survivors that the selection's own values drop.
        lost: Pairs that these keep, and that do not survive.
        rules: What each rule does, in order.
    """

    survivors: Estimate
    gained: Estimate
    lost: Estimate
    rules: tuple[RuleEffect, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the histogram over a bound.

    Attributes:
        low, high: Its ends; the outermost bars also hold what lies beyond.
        passing: Pairs of the sample there that all other rules keep.
        others: Pairs that another rule drops.
    """

    low: float
    high: float
    passing: int
    others: int


def effect(sample: Sample, values: Mapping[str, float]) -> Effect:
    """Return what the rules do with other values of some thresholds, by their keys."""
    now = failing(sample, values)
    fails = now.sum(axis=0, dtype=np.int32)
    kept, before = fails == 0, ~failing(sample, {}).any(axis=0)
    rules = tuple(
        RuleEffect(rule.name, estimate(sample, row), estimate(sample, row & (fails == 1)))
        for rule, row in zip(sample.rules, now, strict=True)
    )
    return Effect(
        estimate(sample, kept),
        estimate(sample, kept & ~before),
        estimate(sample, before & ~kept),
        rules,
    )


def failing(sample: Sample, values: Mapping[str, float]) -> Flags:
    """Return which rules say no to which pairs, (rules, n).

    As in `select`, a pair that a gate on its image stops was not measured for later rules, which
    have nothing to say of it.
    """
    passes = passing(sample, values)
    gates = [place for place, rule in enumerate(sample.rules) if _is_image_gate(rule)]
    stopped = ~passes[gates].all(axis=0) if gates else np.zeros(sample.taken, bool)
    late = np.array([rule.phase > Phase.IMAGE for rule in sample.rules], bool)
    if stopped.any():
        passes[late] |= stopped
    return ~passes


def dropped_by_others(sample: Sample, key: str, no: Flags) -> Flags:
    """Return which pairs another rule drops than that of a threshold, (n,).

    `no` is what `failing` returns.
    """
    bound, _ = sample.bound(key)
    others = np.array([rule.name != bound.threshold.rule.name for rule in sample.rules])
    dropped: Flags = no[others].any(axis=0)
    return dropped


def _is_image_gate(rule: object) -> bool:
    return bool(getattr(rule, "gate", False)) and getattr(rule, "phase", None) is Phase.IMAGE


def passing(sample: Sample, values: Mapping[str, float]) -> Flags:
    """Return the conditions of the rules on the pairs, (rules, n), whatever came before."""
    passes = sample.rest.copy()
    place = {rule.name: number for number, rule in enumerate(sample.rules)}
    for bound, measured in zip(sample.bounds, sample.values, strict=True):
        at = values.get(bound.key, bound.value)
        passes[place[bound.threshold.rule.name]] &= bound.passes(measured, at)
    return passes


def estimate(sample: Sample, chosen: Flags) -> Estimate:
    """Return how many pairs of the pool are like those chosen of the sample."""
    found = int(chosen.sum())
    if sample.exact:
        return Estimate(found, found, found)
    if not sample.taken:
        return Estimate(0, 0, sample.images)
    share = found / sample.taken
    low, high = of_share(share, _independent(sample, chosen, share))
    return Estimate(*(round(sample.images * one) for one in (share, low, high)))


def _independent(sample: Sample, chosen: Flags, share: float) -> float:
    """Return how many independent draws the sample is worth: fewer where blocks were left out.

    Pairs of one block are like one another, so the spread between blocks counts then.
    """
    if sample.all_blocks or not 0 < share < 1:
        return sample.taken
    off = np.bincount(sample.blocks, weights=chosen - share)
    variance = float((off**2).sum()) / sample.taken**2
    return min(sample.taken, share * (1 - share) / variance) if variance else sample.taken


def histogram(sample: Sample, key: str, no: Flags) -> list[Bar]:
    """Return the bars over what a threshold bounds, the outermost half per cent in the end bars.

    What is not measured is in none. `no` is what `failing` returns.
    """
    edges, places, known = _binned(sample, key)
    others = dropped_by_others(sample, key, no)[known]
    in_bar = np.bincount(places, minlength=len(edges))
    dropped = np.bincount(places[others], minlength=len(edges))
    return [
        Bar(float(left), float(right), int(every - out), int(out))
        for left, right, every, out in zip(edges, edges[1:], in_bar, dropped, strict=False)
    ]


@lru_cache(KEPT)
def _binned(sample: Sample, key: str) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64], Flags]:
    """Return the ends of the bars, the bar of each measured pair, and which pairs are measured."""
    bound, measured = sample.bound(key)
    known = np.isfinite(measured)
    if not known.any():
        return np.zeros(0), np.zeros(0, np.int64), known
    low, high = np.quantile(measured[known], [0.005, 0.995])
    low, high = min(float(low), bound.value), max(float(high), bound.value)
    edges = _edges(low, high, bound.threshold.is_whole)
    places = np.searchsorted(edges, measured[known].astype(np.float64), side="right") - 1
    return edges, np.clip(places, 0, len(edges) - 2), known


def _edges(low: float, high: float, whole: bool) -> NDArray[np.floating[Any]]:
    """Return the ends of the bars, one after the other."""
    if whole:
        step = max(1, round((high - low) / BINS))
        return np.arange(np.floor(low), high + step + 1, step)
    if low == high:
        return np.array([low, low + 1])
    return np.linspace(low, high, BINS + 1)


def command(sample: Sample, values: Mapping[str, float], words: tuple[str, str, str]) -> str:
    """Return the command that makes these values a selection; `words` are recipe, dataset, name."""
    from shlex import quote

    recipe, dataset, name = map(quote, words)
    given = "".join(f" --set {quote(one)}" for one in settings(sample, values))
    return f"pairsieve select {recipe} --dataset {dataset}{given} --name {name}"


def settings(sample: Sample, values: Mapping[str, float]) -> list[str]:
    """Return what `--set` is given: the thresholds that are others than in the selection."""
    return [
        f"{bound.key}={bound.written_value(values[bound.key])}"
        for bound in sample.bounds
        if bound.key in values and values[bound.key] != bound.value
    ]
