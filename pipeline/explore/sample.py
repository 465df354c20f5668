"""What is needed of the pairs to move thresholds at once: of all pairs with an image, or a sample.

Of each pair that is taken there are a few numbers in memory: what its rules bound, and what they
say apart from their bounds. A sample is the same every time: it is drawn by a hash of the row. Of a
pool of very many blocks some are read, evenly spread, and what is told of them says how far that
may be off.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.explore.bounds import Bound, bounds_of, without
from pairsieve.pipeline.ledger import block_columns
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block, Pool, for_rules
from pairsieve.pipeline.ledger.rules import Rule, columns_read
from pairsieve.pipeline.ledger.sql import identifier
from pairsieve.pipeline.selections.record import read
from pairsieve.pipeline.selections.sweep import HAS_IMAGE
from pairsieve.schemas.columns import HOST, LANGUAGE, OUTCOME, ROW, TAG
from pairsieve.schemas.pool_columns import CONCEPT_ENTRY

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST = 200_000  # pairs with an image of which there is more than a count
MOST_BLOCKS = 64
SEED = 0
GROUPS = (LANGUAGE.name, HOST.name, TAG.name, CONCEPT_ENTRY.name)
MOST_VALUES = 1000  # of what pairs are grouped by; the rarer ones are one group
OTHER = "(others)"
NONE = "(none)"
Values = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)  # one is itself alone: what is made of it is remembered
class Sample:
    """Pairs with an image, and what the rules of a selection read of them.

    Attributes:
        name: Of the selection.
        images: How many pairs of the pool have an image; all blocks are counted or it is estimated.
        rows: The rows of those that are taken, (n,), ascending.
        blocks: The block of each, (n,).
        all_blocks: Whether pairs of all blocks are among them.
        rules: The rules that are judged, those on how many survive left out.
        rest: What each rule says, its bounds left out, (rules, n).
        bounds: The thresholds that can be moved.
        values: What each of these bounds, (n,) each; an infinity on the outer side: not measured.
        groups: Column -> (its values, the place among these of each pair's).
    """

    name: str
    images: int
    rows: NDArray[np.int64]
    blocks: NDArray[np.int64]
    all_blocks: bool
    rules: tuple[Rule, ...]
    rest: Flags
    bounds: tuple[Bound, ...]
    values: tuple[Values, ...]
    groups: Mapping[str, tuple[tuple[str, ...], NDArray[np.int64]]]

    @property
    def taken(self) -> int:
        """Return how many pairs are taken."""
        return len(self.rows)

    @property
    def exact(self) -> bool:
        """Return whether these are all pairs with an image."""
        return self.taken == self.images

    def bound(self, key: str) -> tuple[Bound, Values]:
        """Return a bound and what it bounds; KeyError where there is none of that name."""
        for bound, values in zip(self.bounds, self.values, strict=True):
            if bound.key == key:
                return bound, values
        raise KeyError(key)


@dataclass(frozen=True)
class _Asked:
    """What a task asks of a block."""

    rules: tuple[Rule, ...]
    bounds: tuple[Bound, ...]
    groups: tuple[str, ...]
    columns: frozenset[str] | None
    below: int | None  # the hash of a row that is taken; None for all

    def of_rule(self, rule: Rule) -> tuple[Bound, ...]:
        return tuple(bound for bound in self.bounds if bound.threshold.rule.name == rule.name)


def draw(
    store: Store,
    engine: Engine,
    name: str,
    groups: Sequence[str] = GROUPS,
    most: int = MOST,
    units: int = BLOCK_UNITS,
) -> Sample:
    """Return the pairs of a dataset, or a sample of about `most`, with what rules say of them.

    Units that were committed since the selection was made are among them.

    Raises:
        BadOption: there is no such selection, or a rule does not fit.
        Stopped: a file is not what was committed.
    """
    _, record = read(store, name)
    files = block_columns.current(store, ledger_files(store, record.scores, before=SELECT))
    pool, rules = for_rules(
        Pool(store, engine, files, units), [rule for rule in record.rules if rule.quota is None]
    )
    images, chosen = _counted(pool)
    share = most / max(images, 1)
    asked = _Asked(
        rules,
        bounds_of(record),
        tuple(groups),
        _columns(rules, groups),
        None if share >= 1 and len(chosen) == len(pool.blocks) else int(min(share, 1) * 2**64) - 1,
    )
    told = sorted(pool.each(partial(_of_block, asked), chosen), key=lambda one: one[0].number)
    return _put_together(name, images, asked, [(block.number, *of) for block, of in told],
                         len(chosen) == len(pool.blocks))  # fmt: skip


def _counted(pool: Pool) -> tuple[int, list[Block]]:
    """Return how many pairs have an image, and the blocks to read: all, or some evenly spread."""
    blocks = pool.blocks
    if len(blocks) > MOST_BLOCKS:
        blocks = [blocks[number * len(blocks) // MOST_BLOCKS] for number in range(MOST_BLOCKS)]
    query = f"SELECT count(*) FILTER ({HAS_IMAGE}) FROM ledger"
    counts = [count for _, (count,) in pool.each(partial(_one, query), blocks)]
    return sum(counts) * len(pool.blocks) // max(len(blocks), 1), blocks


def _one(query: str, block: Block) -> tuple[int]:
    with block.ledger([OUTCOME.name]) as connection:
        (row,) = connection.execute(query).fetchall()
        return (int(row[0]),)


def _columns(rules: Sequence[Rule], groups: Sequence[str]) -> frozenset[str] | None:
    read_by_rules = columns_read(rules)
    if read_by_rules is None:
        return None
    return frozenset({*read_by_rules, *groups, ROW.name, OUTCOME.name})


def _of_block(asked: _Asked, block: Block) -> tuple[pa.Table, list[int]]:
    """Return the pairs that are taken of a block, and how often each bound is not as it is said."""
    said, denied = [ROW.name], list[str]()
    for place, rule in enumerate(asked.rules):
        own = asked.of_rule(rule)
        said.append(f"coalesce({_tried(rule, without(rule, own))}, false) AS rest{place}")
        said.append(f"coalesce({rule.condition}, false) AS whole{place}")
    for place, bound in enumerate(asked.bounds):
        said.append(f"TRY(({bound.measure})) AS value{place}")
        rule = bound.threshold.rule
        denied.append(f"count(*) FILTER ({_tried(rule, without(rule, (bound,), 'false'))})")
    said += [f"{identifier(name)}::VARCHAR AS {identifier(name)}" for name in asked.groups]
    with _taken(block, asked) as (connection, where):
        there = {name.lower() for name in connection.table("ledger").columns}
        said = [one for one in said if not _is_group(one, asked.groups, there)]
        query = f"SELECT {', '.join(said)} FROM ledger WHERE {where} ORDER BY {ROW.name}"
        table = connection.sql(query).to_arrow_table()
        counted = f"SELECT {', '.join(denied) or 'count(*)'} FROM ledger WHERE {where}"
        (row,) = connection.execute(counted).fetchall()
    return table, list(row)


@contextmanager
def _taken(block: Block, asked: _Asked) -> "Iterator[tuple[DuckDBPyConnection, str]]":
    """Give a connection with `ledger` of a block, and which rows to take: those with an image.

    Of a sample those alone that are drawn by their hash, which spares reading the others.
    """
    if asked.below is None:
        with block.ledger(asked.columns) as connection:
            yield connection, HAS_IMAGE
        return
    store, files, threads = block.store, block.files, block.threads
    rows = block_table(store, files, [ROW.name], threads)[ROW.name].to_numpy()
    rows = rows[row_hashes(rows) <= np.uint64(asked.below)]
    if asked.columns is not None:
        with connect(store, threads=threads) as connection:
            table = block_table(store, files, asked.columns, threads, only=rows)
            connection.register("ledger", table)
            yield connection, HAS_IMAGE
        return
    with block.ledger(None) as connection:
        connection.register("taken", pa.table({ROW.name: rows}))
        yield connection, f"{HAS_IMAGE} AND {ROW.name} IN (FROM taken)"


def row_hashes(rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a hash of each row, the same every time.

    Source: the finaliser of MurmurHash3 (A. Appleby).
    """
    with np.errstate(over="ignore"):
        mixed = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(33)
    return mixed


def _is_group(said: str, groups: Sequence[str], there: set[str]) -> bool:
    """Return whether something that is said is of a column that the ledger lacks."""
    return any(
        said.endswith(f"AS {identifier(name)}") and name.lower() not in there for name in groups
    )


def _tried(rule: Rule, sql: str) -> str:
    return f"TRY(({sql}\n))" if rule.condition.startswith("TRY") else f"({sql}\n)"


def _put_together(
    name: str,
    images: int,
    asked: _Asked,
    told: Sequence[tuple[int, pa.Table, list[int]]],
    all_blocks: bool,
) -> Sample:
    """Return the sample out of what blocks have told."""
    table = pa.concat_tables([each for _, each, _ in told], promote_options="default")
    blocks = np.repeat([number for number, _, _ in told], [each.num_rows for _, each, _ in told])
    rest = _flags(table, [f"rest{place}" for place in range(len(asked.rules))])
    whole = _flags(table, [f"whole{place}" for place in range(len(asked.rules))])
    values = [_measured(table[f"value{place}"], bound) for place, bound in enumerate(asked.bounds)]
    denied = np.sum([counts for _, _, counts in told], axis=0)
    movable = _movable(asked, rest, whole, values, denied)
    for place, rule in enumerate(asked.rules):
        if not any(asked.bounds[one].threshold.rule.name == rule.name for one in movable):
            rest[place] = whole[place]
    return Sample(
        name,
        table.num_rows if asked.below is None else images,
        table[ROW.name].to_numpy(),
        blocks.astype(np.int64),
        all_blocks,
        asked.rules,
        rest,
        tuple(asked.bounds[place] for place in movable),
        tuple(values[place] for place in movable),
        {one: _coded(table[one]) for one in asked.groups if one in table.column_names},
    )


def _flags(table: pa.Table, names: Sequence[str]) -> Flags:
    columns = [table[name].to_numpy() for name in names]
    return np.asarray(columns, bool).reshape(len(names), table.num_rows)


def _measured(column: pa.ChunkedArray, bound: Bound) -> Values:
    """Return what a bound is compared with, numbers as they are, whole ones as doubles."""
    kind = pa.float32() if pa.types.is_float32(column.type) else pa.float64()
    outside = -np.inf if bound.at_least else np.inf
    values: Values = column.cast(kind).fill_null(pa.scalar(outside, kind)).to_numpy()
    if np.isnan(values).any():  # DuckDB takes NaN for the largest number
        return np.where(np.isnan(values), np.inf, values).astype(values.dtype)
    return values


def _movable(
    asked: _Asked, rest: Flags, whole: Flags, values: Sequence[Values], denied: NDArray[np.int64]
) -> list[int]:
    """Return the bounds of rules that are what their bounds and the rest say, on every pair."""
    movable = []
    for place, rule in enumerate(asked.rules):
        own = [n for n, bound in enumerate(asked.bounds) if bound.threshold.rule.name == rule.name]
        passes = rest[place].copy()
        for one in own:
            passes &= asked.bounds[one].passes(values[one], asked.bounds[one].value)
        if not denied[own].any() and np.array_equal(passes, whole[place]):
            movable += own
    return movable


def _coded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the values of a column, the commonest first, and the place of each pair's in them."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy().astype(np.int64)
    names = [*encoded.dictionary.to_pylist(), NONE]
    order = np.argsort(-np.bincount(codes, minlength=len(names)), kind="stable")
    place = np.empty(len(names), np.int64)
    place[order] = np.minimum(np.arange(len(names)), MOST_VALUES)
    listed = [names[one] for one in order[:MOST_VALUES]]
    listed += [OTHER] if len(names) > MOST_VALUES else []
    return tuple(listed), place[codes]
