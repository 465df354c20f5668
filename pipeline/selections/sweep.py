"""Sweep: how many pairs survive if one threshold, or two, were others; the other rules as they are.

Every count is exact: a task counts a block for all values at once, and the counts are added up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import prod
from typing import Any

from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger import block_columns
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.pool import Block, Pool, for_rules
from pairsieve.pipeline.ledger.ranks import quantiles
from pairsieve.pipeline.ledger.rules import Rule, columns_read
from pairsieve.pipeline.ledger.sql import columns_of
from pairsieve.pipeline.ledger.verdicts import judge
from pairsieve.pipeline.selections.record import Record, read
from pairsieve.pipeline.selections.thresholds import Threshold, find, number, rule_with
from pairsieve.schemas.columns import OUTCOME, ROW
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe_file import value_of

POINTS = 20  # of a sweep, besides the ends and the value as it is
MOST_CELLS = 400
HAS_IMAGE = f"{OUTCOME.name} = '{Outcome.OK}'"


@dataclass(frozen=True, slots=True)
class Axis:
    """A threshold and the values that it is to have."""

    threshold: Threshold
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a sweep has counted.

    Attributes:
        axes: One or two thresholds with their values.
        images: Pairs with an image; one that a gate has stopped before its fetch has none.
        others: Those of them that all rules but the swept ones keep.
        passing: For each value of the first axis, the pairs with an image that pass its rule; the
            second threshold, if it is of the same rule, as it is.
        survivors: For each value of the first axis, then of the second, the survivors of all rules.
    """

    axes: tuple[Axis, ...]
    images: int
    others: int
    passing: list[int]
    survivors: list[list[int]]

    def to_json(self) -> dict[str, Any]:
        """Return the counts with the names of the thresholds."""
        axes = [
            {
                "threshold": axis.threshold.key,
                "now": axis.threshold.value,
                "values": list(axis.values),
            }
            for axis in self.axes
        ]
        rows = self.survivors if len(self.axes) > 1 else [one for (one,) in self.survivors]
        return {
            "axes": axes,
            "images": self.images,
            "others": self.others,
            "passing": self.passing,
            "survivors": rows,
        }


def parse(spec: str) -> tuple[str, list[Any]]:
    """Return the threshold's name and the values of RULE.OPTION=VALUE,VALUE.

    Raises:
        BadOption: it is not written so.
    """
    key, equals, values = (part.strip() for part in spec.partition("="))
    if not equals or not key or not values:
        example = "clip_similarity.min_similarity=0.2,0.25,0.3"
        raise BadOption(f"what-if: {spec}: write RULE.OPTION=VALUES, e.g. {example}")
    return key, parse_values(key, values)


def parse_values(key: str, text: str) -> list[Any]:
    """Return numbers that are written with commas between them; BadOption if they are not."""
    import yaml

    try:
        return [number(key, value) for value in value_of(f"[{text}]")]
    except yaml.YAMLError as error:
        raise BadOption(f"{key}: write numbers with commas between them, got {text}") from error


def sweep(
    store: Store,
    engine: Engine,
    name: str,
    key: str,
    values: Sequence[float] = (),
    units: int = BLOCK_UNITS,
) -> Counts:
    """Return what a selection would keep with other values of one threshold.

    Args:
        store: The dataset.
        engine: Where blocks are counted.
        name: Of the selection.
        key: The rule, or RULE.OPTION.
        values: Of the threshold; none for about 20 quantiles of what it bounds.
        units: Units of a block.

    Raises:
        BadOption: there is no such selection or threshold, or a value cannot be.
        Stopped: a task's process kept dying.
    """
    _, record = read(store, name)
    threshold = find(record, key)
    pool = _pool(store, engine, record, units)
    chosen = _checked(threshold, values) if values else _grid(pool, threshold)
    return _count(pool, record, (Axis(threshold, chosen),))


def what_if(
    store: Store,
    engine: Engine,
    name: str,
    specs: Sequence[tuple[str, Sequence[float]]],
    units: int = BLOCK_UNITS,
) -> Counts:
    """Return what a selection would keep with each pair of values of two thresholds, or one.

    Raises:
        BadOption: there is no such selection or threshold, one is given twice, or they are many.
        Stopped: a task's process kept dying.
    """
    _, record = read(store, name)
    found = [find(record, key) for key, _ in specs]
    axes = tuple(
        Axis(threshold, _checked(threshold, values))
        for threshold, (_, values) in zip(found, specs, strict=True)
    )
    if len({axis.threshold.key for axis in axes}) < len(axes):
        raise BadOption(f"what-if: {axes[0].threshold.key} is given twice")
    cells = prod(len(axis.values) for axis in axes)
    if len(axes) > 2 or cells > MOST_CELLS:
        raise BadOption(f"what-if: at most two thresholds and {MOST_CELLS} counts at once")
    return _count(_pool(store, engine, record, units), record, axes)


def _pool(store: Store, engine: Engine, record: Record, units: int) -> Pool:
    files = block_columns.current(store, ledger_files(store, record.scores, before=SELECT))
    return Pool(store, engine, files, units)


def _checked(threshold: Threshold, values: Sequence[float]) -> tuple[float, ...]:
    """Return values in ascending order, each once and allowed."""
    chosen = sorted({number(threshold.key, value) for value in values})
    for value in chosen:
        rule_with(threshold.entry, threshold.rule, {threshold.option: value})
    return tuple(chosen)


def _grid(pool: Pool, threshold: Threshold) -> tuple[float, ...]:
    """Return quantiles of what a threshold bounds, in three digits, and its value as it is."""
    if threshold.measure is None:
        raise BadOption(f"{threshold.key}: bounds no single measure; say which values: --at")
    measure = f"({threshold.measure})"
    within = f"{HAS_IMAGE} AND {measure} IS NOT NULL AND NOT isnan({measure}::DOUBLE)"
    columns = [*columns_of(measure), OUTCOME.name]
    shares = [step / POINTS for step in range(POINTS + 1)]
    found = quantiles(pool.query, columns, measure, within, shares)
    rounded = [int(value) if threshold.is_whole else float(f"{value:.3g}") for value in found]
    now = [] if threshold.value is None else [threshold.value]
    if not rounded + now:
        raise BadOption(f"{threshold.key}: no pair has what it bounds; say which values: --at")
    return tuple(sorted(value for value in {*rounded, *now} if _is_allowed(threshold, value)))


def _is_allowed(threshold: Threshold, value: float) -> bool:
    try:
        rule_with(threshold.entry, threshold.rule, {threshold.option: value})
    except BadOption:
        return False
    return True


def _count(pool: Pool, record: Record, axes: tuple[Axis, ...]) -> Counts:
    """Return the counts of every cell of the grid, added up over the blocks."""
    swept = {axis.threshold.rule.name for axis in axes}
    others = [
        replace(rule, sql="true", rank=None) if rule.name in swept else rule
        for rule in record.rules
        if rule.quota is None  # it would count the survivors of each value apart
    ]
    first, *rest = axes
    passing = [_rules(record, axes[:1], (value,)) for value in first.values]
    cells = [_rules(record, axes, values) for values in product(*(axis.values for axis in axes))]
    pool, applied = for_rules(pool, others)
    told = pool.each(partial(_of_block, applied, passing, cells), pool.blocks)
    images, kept, *counts = (sum(column) for column in zip(*(c for _, c in told), strict=True))
    width = len(rest[0].values) if rest else 1
    of_cells = counts[len(passing) :]
    survivors = [of_cells[start : start + width] for start in range(0, len(of_cells), width)]
    return Counts(axes, images, kept, counts[: len(passing)], survivors)


def _rules(record: Record, axes: Sequence[Axis], values: Sequence[float]) -> list[Rule]:
    """Return the swept rules, each once, with these values of their thresholds."""
    set_: dict[str, dict[str, float]] = {}
    for axis, value in zip(axes, values, strict=True):
        set_.setdefault(axis.threshold.rule.name, {})[axis.threshold.option] = value
    by_name = {rule.name: rule for rule in record.rules}
    return [rule_with(record.entries[n], by_name[n], options) for n, options in set_.items()]


def _of_block(
    applied: Sequence[Rule],
    passing: Sequence[Sequence[Rule]],
    cells: Sequence[Sequence[Rule]],
    block: Block,
) -> list[int]:
    """Return (images, kept by the others, passing of each value, survivors of each cell)."""
    asked = list(dict.fromkeys(rule.condition for rules in (*passing, *cells) for rule in rules))
    place = {condition: f"c{index}" for index, condition in enumerate(asked)}

    def all_of(rules: Sequence[Rule]) -> str:
        return " AND ".join(place[rule.condition] for rule in rules)

    counted = [f"count(*) FILTER ({all_of(rules)})" for rules in passing]
    counted += [f"count(*) FILTER (keep AND {all_of(rules)})" for rules in cells]
    answers = ", ".join(f"{condition} AS {name}" for condition, name in place.items())
    columns = columns_read([*applied, *(rule for rules in cells for rule in rules)])
    with block.ledger(columns and columns | {ROW.name, OUTCOME.name}) as connection:
        judge(connection, applied)
        query = f"""
            SELECT count(*), count(*) FILTER (keep), {", ".join(counted)}
            FROM judged JOIN (SELECT row, {answers} FROM ledger WHERE {HAS_IMAGE}) USING (row)
            """
        (row,) = connection.execute(query).fetchall()
        return list(row)
