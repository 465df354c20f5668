"""The recipe's `keep` list as DuckDB conditions, checked and in the order in which they apply.

Gates come first, by the phase at which they apply: what a gate stops is never measured further, so
no later rule can apply to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from pairsieve.filters import FILTERS, own
from pairsieve.filters.base import Configured, Filters, Rules, checker_of, name_of
from pairsieve.filters.minor_safety import MinorSafety
from pairsieve.filters.order import Phase, ordered
from pairsieve.pipeline.ledger import caption_checks, score_checks
from pairsieve.pipeline.ledger.ranks import has_order
from pairsieve.pipeline.ledger.sql import (
    can_be_tried,
    check_repeatable,
    columns_of,
    identifier,
    isolated,
    reads_all,
)
from pairsieve.schemas.columns import (
    CAPTIONED,
    COLUMNS,
    EMBEDDED,
    GATHERED,
    GROUPED,
    LISTED,
    MINOR_SAFETY,
    ROW,
    SEMANTIC_COSINE,
    SEMANTIC_OF,
    UID,
    Column,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_file import said
from pairsieve.schemas.recipe_keep import Keep


@dataclass(frozen=True, slots=True)
class Rank:
    """The highest `fraction` of the pairs that have the score `of`, a column; NaN is no score.

    With `by`, of the pairs of each value of that column; those without one are a group, too. The
    count is rounded up; equal scores are ordered by uid and row, so the result is exact and the
    same every time.
    """

    of: str
    fraction: float
    by: str | None = None

    @property
    def sql(self) -> str:
        """Return the condition over the whole pool at once; null without the score."""
        score = identifier(self.of)
        score = f"(CASE WHEN {score}::VARCHAR = 'nan' THEN NULL ELSE {score} END)"
        group = f"PARTITION BY {identifier(self.by)}::VARCHAR" if self.by else ""
        return (
            f"CASE WHEN {score} IS NOT NULL THEN "
            f"row_number() OVER ({group} ORDER BY {score} DESC NULLS LAST, {UID.name}, {ROW.name}) "
            f"<= ceil({self.fraction!r} * count({score}) OVER ({group})) END"
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """How many survivors of all other rules stay: a cap per value, a sample, or a mix.

    Attributes:
        n: Pairs to keep; with `per`, of each value of that column.
        fraction: Or the share of the pairs to keep.
        per: The column whose values are capped or mixed; None for a sample.
        by: The column of which the highest stay; None for an order by the hash of seed and uid.
        shares: Of a mix, values and their shares; a range of lengths from 3 on is `3+`.
        seed: Of the hash.
    """

    seed: int
    n: int | None = None
    fraction: float | None = None
    per: str | None = None
    by: str | None = None
    shares: tuple[tuple[str, float], ...] = ()
    ranges: bool = False

    @property
    def sql(self) -> str:
        """Return a condition that is always true, with the quota in words, and its columns."""
        read = [identifier(name) for name in (self.per, self.by, UID.name) if name]
        words = str(self).replace("*/", "* /")
        return " OR ".join((f"true /* {words} */", *(f"{name} IS NULL" for name in read)))

    def __str__(self) -> str:
        """Return the quota in words."""
        order = (
            f"highest {self.by} first" if self.by else f"by the hash of uid and seed {self.seed}"
        )
        if self.shares:
            listed = ", ".join(f"{value} {share:g}" for value, share in self.shares)
            return f"mix by {self.per}: {listed}; {order}"
        kept = f"{self.n} pairs" if self.fraction is None else f"{self.fraction:g} of the pairs"
        return f"{kept}{f' per {self.per}' if self.per else ''}, {order}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One yes or no on the columns of a pair.

    Attributes:
        name: Name in the funnel and in `first_failing`.
        sql: DuckDB condition of a pair to keep; null when it reads a score that is missing.
        gate: True when a pair that fails it costs nothing more.
        phase: When its columns are there.
        rank: Of a rule on the highest scores: which share of them.
        quota: Of a rule on how many survive: the survivors of all rules before it.
    """

    name: str
    sql: str
    gate: bool
    phase: Phase
    rank: Rank | None = None
    quota: Quota | None = None

    @property
    def condition(self) -> str:
        """Return the condition for a query: null, too, on rows on which it fails.

        DuckDB cannot try windows and subqueries; what fails in them fails the query.
        """
        return f"TRY(({self.sql}\n))" if can_be_tried(self.sql) else f"({self.sql}\n)"


def rules(recipe: Recipe, filters: Filters | None = None) -> tuple[Rule, ...]:
    """Return the rules in the order in which they apply.

    Gates come by phase, then the rest as listed, those on how many survive after the others.

    Raises:
        BadOption: an unknown filter or option, an impossible value, a condition that is not SQL,
            a name given twice, a gate on a column that comes too late, a model's score without a
            model, filters that cannot be put in order.
    """
    filters = own.of(recipe) if filters is None else filters
    ordered(filters)
    scores = EMBEDDED + recipe.other_scores
    listed = [
        _rule(f"keep.{index}", entry, scores, filters, recipe.shard.seed)
        for index, entry in enumerate(recipe.keep)
    ]
    _check_vectors(listed, recipe)
    _check_asked(listed, recipe, filters)
    caption_checks.check([(rule.name, columns_of(rule.sql)) for rule in listed], recipe)
    _check_ranks(listed, arrow_schema(COLUMNS + recipe.other_scores))
    if recipe.embed:
        for index, (entry, rule) in enumerate(zip(recipe.keep, listed, strict=True)):
            read = {name.lower() for name in columns_of(rule.sql)}
            score_checks.check(f"keep.{index}", entry, read, rule.sql, recipe.embed)
            for model in recipe.other_models:
                score_checks.check_further(f"keep.{index}", read, model)
    names = [rule.name for rule in listed]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise BadOption(
                f"keep.{index}: a second rule is called `{name}`; give one of them a `name:`"
            )
    return tuple(sorted(listed, key=_turn))


def _turn(rule: Rule) -> int:
    """Return when a rule applies: gates by phase, then those on pairs, then those on how many."""
    if rule.gate:
        return int(rule.phase)
    return len(Phase) + (rule.quota is not None)


def gates(recipe: Recipe, phase: Phase, filters: Filters | None = None) -> tuple[Rule, ...]:
    """Return the gates that apply at `phase`."""
    return tuple(rule for rule in rules(recipe, filters) if rule.gate and rule.phase is phase)


def passing(table: pa.Table, applied: Sequence[Rule]) -> NDArray[np.bool_]:
    """Return True for the rows of `table`, (n,), that pass every rule; null counts as no."""
    if not applied or not table.num_rows:
        return np.ones(table.num_rows, bool)
    condition = " AND ".join(rule.condition for rule in applied)
    with isolated() as connection:
        connection.register("ledger", table)
        query = f"SELECT coalesce({condition}, false) AS passes FROM ledger"
        return np.asarray(connection.execute(query).fetchnumpy()["passes"], bool)


def check(applied: Sequence[Rule], schema: pa.Schema, images: str | None = None) -> None:
    """Refuse a rule that DuckDB cannot apply to a ledger of this schema, or that ranks no numbers.

    `images` is the input's column of images, if there is one: it is none of the ledger's.

    Raises:
        BadOption: naming the rule, and the nearest column or, in DuckDB's words, what is wrong.
    """
    import duckdb

    with isolated() as connection:
        connection.register("ledger", schema.empty_table())
        for rule in applied:
            try:
                connection.execute(f"SELECT CAST({rule.condition} AS BOOLEAN) FROM ledger")
            except (duckdb.Error, ValueError) as error:
                why = _unknown_column(rule, schema, images) or error
                raise BadOption(f"keep: the rule `{rule.name}` does not fit: {why}") from error
    _check_ranks(applied, schema)


def _unknown_column(rule: Rule, schema: pa.Schema, images: str | None) -> str | None:
    """Return what is wrong if the rule reads a column that is not there."""
    try:
        read = columns_of(rule.sql)
    except ValueError:
        return None
    known = {name.lower() for name in schema.names}
    for name in sorted(read):
        if images and name.lower() == images.lower() and name.lower() not in known:
            return f"`{name}` holds the images, whose bytes are never a column of the ledger"
        if name.lower() not in known:
            return f"there is no column `{name}`; {nearest(name, schema.names)}"
    return None


def _check_ranks(applied: Sequence[Rule], schema: pa.Schema) -> None:
    """Refuse to rank a column of this schema that holds neither numbers nor times."""
    types = {field.name.lower(): field.type for field in schema}
    for rule in applied:
        by = rule.rank.of if rule.rank else rule.quota.by if rule.quota else None
        type = types.get(by.lower()) if by else None
        if type is not None and not has_order(type):
            words = {"string": "text, as all of CSV and TSV is", "bool": "true or false"}
            kind = "a list" if pa.types.is_list(type) else words.get(str(type), str(type))
            verb = "top_fraction" if rule.rank else "at_most"
            raise BadOption(
                f"keep: the rule `{rule.name}` does not fit: `{by}` is {kind}; "
                f"`{verb}` ranks a column of numbers, dates or times"
            )


def _check_vectors(listed: Sequence[Rule], recipe: Recipe) -> None:
    """Refuse rules on vectors in a recipe without a model: they would drop every pair."""
    scores = {column.name for column in (*EMBEDDED, SEMANTIC_OF, SEMANTIC_COSINE)}
    for index, rule in enumerate(listed):
        read = {name.lower() for name in columns_of(rule.sql)} & scores
        if read and recipe.embed is None:
            raise BadOption(
                f"keep.{index}: `{rule.name}` reads {', '.join(sorted(read))}, which a model "
                "measures, and the recipe has no `embed`; name the model there"
            )


def _check_asked(listed: Sequence[Rule], recipe: Recipe, filters: Filters) -> None:
    """Refuse rules on what the recipe does not ask to be measured: they would drop every pair."""
    needs = {
        column.name: one.needs
        for one in (*ordered(filters).text, *ordered(filters).image)
        if isinstance(one, Configured) and one.configured(recipe) is None
        for column in one.writes
    }
    for index, rule in enumerate(listed):
        if read := sorted({name.lower() for name in columns_of(rule.sql)} & needs.keys()):
            raise BadOption(
                f"keep.{index}: `{rule.name}` reads {', '.join(read)}, which is only measured with "
                f"`{needs[read[0]]}`; add that to the recipe"
            )


def _rule(key: str, entry: Keep, scores: tuple[Column, ...], filters: Filters, seed: int) -> Rule:
    """Return the rule of one entry of `keep`, which is at `key` in the recipe."""
    rank, quota = None, _quota(entry, seed)
    if entry.where is not None:
        sql = entry.where
    elif entry.filter is not None:
        sql = filter_rule(key, entry.filter, entry.options, filters)
    elif quota is not None:
        sql = quota.sql
    else:
        rank = _rank(key, entry)
        sql = rank.sql
    over_pool = quota or entry.top_fraction is not None
    phase = Phase.POOL if over_pool else _phase(key, sql, scores, filters)
    if entry.gate and phase > Phase.IMAGE:
        late = "caption" if caption_checks.reads_captions(columns_of(sql)) else "embed"
        raise BadOption(
            f"{key}: `{entry.rule_name}` cannot be a gate: what it reads is known only after "
            f"`{late if phase is Phase.VECTORS else 'group'}`; leave out `gate: true`"
        )
    if (entry.filter == MINOR_SAFETY.name) != (entry.rule_name == MINOR_SAFETY.name):
        raise BadOption(f"{key}.name: `{MINOR_SAFETY.name}` is the name of that filter alone")
    return Rule(entry.rule_name, sql, entry.gate, phase, rank, quota)


def _quota(entry: Keep, seed: int) -> Quota | None:
    """Return how many survivors an entry keeps, if it says so."""
    if entry.at_most:
        return Quota(seed, entry.at_most.n, per=entry.at_most.per, by=entry.at_most.by)
    if entry.sample:
        return Quota(seed, entry.sample.n, entry.sample.fraction)
    if entry.mix:
        return Quota(seed, per=entry.mix.by, shares=tuple(sorted(entry.mix.shares.items())))
    if lengths := entry.length_balance:
        return Quota(seed, per=lengths.of, shares=lengths.ranges, ranges=True)
    return None


def _rank(key: str, entry: Keep) -> Rank:
    """Return the rank that `top_fraction` and `of` ask for."""
    if entry.of is None or entry.top_fraction is None:
        raise BadOption(f"{key}: `top_fraction` needs `of`, the column to rank")
    return Rank(entry.of, entry.top_fraction, entry.by)


def filter_rule(key: str, name: str, options: dict[str, Any], filters: Filters = FILTERS) -> str:
    """Return the condition of the filter `name` with `options`, which are at `key`.

    Raises:
        BadOption: there is no such filter or option, or a value cannot be.
    """
    offered = {name_of(f): f for f in filters if hasattr(f, "rule")}
    if name not in offered:
        near = nearest(name, [*offered, "where", "top_fraction"])
        raise BadOption(f"{key}: no rule is called `{name}`; {near}")
    if not isinstance(options, dict):
        raise BadOption(f"{key}.{name}: options are written `{{name: value}}`, got {options!r}")
    allowed = [option.name for option in fields(offered[name])]
    for option in options:
        if option not in allowed:
            near = nearest(str(option), allowed)
            raise BadOption(f"{key}.{name}.{option}: unknown option; {near}")
    try:
        filter_: Rules = checker_of(offered[name]).validate_python(options)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, (key, name, *detail["loc"])))
        raise BadOption(f"{where}: {said(detail)}") from error
    return filter_.rule()


def _phase(key: str, sql: str, scores: tuple[Column, ...], filters: Filters) -> Phase:
    """Return the first phase at which every column that `sql` reads is there.

    `scores` are the columns that the recipe's models measure.
    """
    try:
        check_repeatable(sql)
        columns = {name.lower() for name in columns_of(sql)}
    except ValueError as error:
        raise BadOption(f"{key}: not a DuckDB condition: {sql!r}: {error}") from error
    order = ordered(filters)
    texts = {column.name for column in (ROW, UID, *order.of_text)}
    images = (*GATHERED, *(column for one in order.image for column in one.writes))
    for phase, group in (
        (Phase.POOL, GROUPED + LISTED),
        (Phase.VECTORS, scores + CAPTIONED),
        (Phase.IMAGE, [column for column in images if column.name not in texts]),
    ):
        if columns & {column.name for column in group}:
            return phase
    return Phase.TEXT


def columns_read(applied: Sequence[Rule]) -> set[str] | None:
    """Return the columns that rules read, as they write them; None where it may be any."""
    if any(reads_all(rule.sql) for rule in applied):
        return None
    return {name for rule in applied for name in columns_of(rule.sql)}


def reads(recipe: Recipe, columns: Sequence[Column]) -> bool:
    """Return whether a rule of the recipe reads one of the columns."""
    return any(reads_any(rule, columns) for rule in rules(recipe))


def reads_any(rule: Rule, columns: Sequence[Column]) -> bool:
    """Return whether a rule reads one of the columns."""
    read = {name.lower() for name in columns_of(rule.sql)}
    return not read.isdisjoint(column.name for column in columns)


BLOCKLIST = Rule("blocklist", "blocked IS NULL", False, Phase.TEXT)
REPEATED = Rule("repeated", "repeated IS NOT true", False, Phase.TEXT)
MINOR = Rule("minor_safety", MinorSafety().rule(), False, Phase.VECTORS)
