"""The pool: the ledger of all pairs, in blocks that tasks on the engine work through.

The driver knows which files each block has, and adds up small things; rows are seen by tasks alone.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import ceil
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.ledger.files import LedgerFiles, blocks
from pairsieve.pipeline.ledger.ledger import attach_files, connect
from pairsieve.pipeline.ledger.ranks import Key, is_orderable, pair_of_rank, up_to
from pairsieve.pipeline.ledger.rules import Rule, check
from pairsieve.pipeline.ledger.sql import can_be_tried, identifier
from pairsieve.schemas.columns import ROW, UID
from pairsieve.schemas.errors import Stopped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Block:
    """What a task needs to read the ledger of one block.

    `threads` is how many it may use; None for all that there are.
    """

    number: int
    store: Store
    files: LedgerFiles
    threads: int | None

    @contextmanager
    def ledger(self, columns: Collection[str] | None) -> "Iterator[DuckDBPyConnection]":
        """Give a connection with the view `ledger` of these columns; None for all.

        Parquet's statistics leave out NaN, which DuckDB orders above all numbers: what it would
        conclude from them depends on which rows are in a block.
        """
        with connect(self.store, threads=self.threads) as connection:
            connection.execute("SET disabled_optimizers = 'statistics_propagation'")
            attach_files(connection, self.store, self.files, columns)
            yield connection


@dataclass(frozen=True)
class Pool:
    """The ledger of all pairs, and where tasks over its blocks run.

    `units` is how many a block has at most; None makes one block of all.
    """

    store: Store
    engine: Engine
    files: LedgerFiles
    units: int | None

    @cached_property
    def blocks(self) -> list[Block]:
        """Return the blocks in the order of their rows; one without files where there are none."""
        parts = list(blocks(self.files, self.units)) if self.units else []
        threads = self.engine.task_threads
        return [
            Block(number, self.store, part, threads)
            for number, part in enumerate(parts or [self.files])
        ]

    def schema(self) -> pa.Schema:
        """Return the columns of the ledger, as its first block has them."""
        with self.blocks[0].ledger(None) as connection:
            return connection.sql("SELECT * FROM ledger LIMIT 0").to_arrow_table().schema

    def run(self, task: Callable[[Block], Marker], folder: str) -> list[Marker]:
        """Do a task on every block that has no marker in `folder` yet; return all markers.

        Raises:
            Stopped: a task's process kept dying.
        """
        named = {task_name(block.number): block for block in self.blocks}
        rounds.run(self.store, self.engine, folder, task, named)
        return list(self.store.markers(folder).values())

    def query(self, columns: Sequence[str], sql: str) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows that a query over `pairs`, these columns of the ledger, gives per block.

        Raises:
            Stopped: a task's process kept dying.
        """
        for _, result in self.engine.map(partial(_rows, columns, sql), self.blocks):
            if isinstance(result, Crashed):
                raise Stopped(f"the process of a query died ({result.reason}); run again")
            yield result


def _rows(columns: Sequence[str], sql: str, block: Block) -> list[tuple[Any, ...]]:
    with block.ledger(columns) as connection:
        names = ", ".join(map(identifier, columns))
        connection.execute(f"CREATE TEMP TABLE pairs AS SELECT {names} FROM ledger")
        return connection.execute(sql).fetchall()


def for_rules(pool: Pool, applied: Sequence[Rule]) -> tuple[Pool, tuple[Rule, ...]]:
    """Return the pool in blocks in which these rules can be judged, and the rules for a block.

    What takes part of the highest scores is exact over the whole pool: rounds over the blocks find
    the last pair that does. A rule with a window or a subquery needs all pairs in one block.

    Raises:
        BadOption: a rule does not fit the ledger.
        Stopped: a task's process kept dying.
    """
    schema = pool.schema()
    check(applied, schema)
    if not all(_is_of_a_block(rule, schema) for rule in applied):
        return replace(pool, units=None), tuple(applied)
    bounded = []
    for rule in applied:
        floating = any(pa.types.is_floating(type) for type in _ranked(rule, schema))
        bounded.append(_bounded(pool, rule, floating) if rule.rank else rule)
    return pool, tuple(bounded)


def _is_of_a_block(rule: Rule, schema: pa.Schema) -> bool:
    if rule.rank:
        return all(is_orderable(type) for type in _ranked(rule, schema))
    return can_be_tried(rule.sql)


def _ranked(rule: Rule, schema: pa.Schema) -> list[pa.DataType]:
    """Return the type of the column by which a rule ranks, if it does."""
    of = rule.rank.of.lower() if rule.rank else None
    return [field.type for field in schema if field.name.lower() == of]


def _bounded(pool: Pool, rule: Rule, floating: bool) -> Rule:
    """Return a rule on ranks as one on the score, uid and row of the last pair that is taken."""
    assert rule.rank is not None
    of = identifier(rule.rank.of)
    query = partial(pool.query, (rule.rank.of, UID.name, ROW.name))
    is_nan = f"isnan({of})::INT" if floating else "0"
    counts = query(f"SELECT count({of}), count({of}) FILTER ({is_nan} = 1) FROM pairs")
    pairs, not_numbers = map(sum, zip(*(row for (row,) in counts), strict=True))
    last = ceil(rule.rank.fraction * pairs)
    keys = [Key(of, descending=True), Key(UID.name), Key(ROW.name)]
    if not_numbers:  # they count as the highest
        keys = [Key(f"({is_nan})", descending=True), *keys]
    taken = up_to(keys, pair_of_rank(query, keys, last)) if last else "false"
    return replace(rule, sql=f"CASE WHEN {of} IS NOT NULL THEN {taken} END", rank=None)
