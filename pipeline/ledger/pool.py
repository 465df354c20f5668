"""The pool: the ledger of all pairs, in blocks that tasks on the engine work through.

The driver knows which files each block has, and adds up small things; rows are seen by tasks alone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import marker_path, slice_of, task_name
from pairsieve.pipeline.dataset.store import FILES_AT_ONCE, Store
from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.ledger import column_files
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import CAPTIONS, UNITS, LedgerFiles, blocks
from pairsieve.pipeline.ledger.group_ranks import first_of_each
from pairsieve.pipeline.ledger.ledger import attach_files, connect
from pairsieve.pipeline.ledger.ranks import NUMBER, Key, first_of_share, is_orderable
from pairsieve.pipeline.ledger.rules import Rule, check
from pairsieve.pipeline.ledger.sql import can_be_tried
from pairsieve.schemas.columns import CAPTIONED, EMBEDDED, ROW, UID, scores_of
from pairsieve.schemas.errors import Stopped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

UNITS_AT_ONCE = 10  # whose texts are in memory
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Block:
    """What a task needs to read the ledger of one block.

    `threads` is how many it may use; None for all that there are.
    """

    number: int
    store: Store
    files: LedgerFiles
    threads: int | None

    def entry(self, sink: HashingWriter) -> dict[str, Any]:
        """Return the entry of a marker for a file that holds rows of this block."""
        return sink.entry() | ({UNITS: list(self.files.units)} if self.files.units else {})

    @contextmanager
    def ledger(self, columns: Collection[str] | None) -> "Iterator[DuckDBPyConnection]":
        """Give a connection with `ledger`, of these columns; None for all, as a view over files."""
        with connect(self.store, threads=self.threads) as connection:
            if columns is None:
                for name, sha256 in self.files.of_units():  # views do not compare what they read
                    checksums.check(self.store, name, sha256)
                attach_files(connection, self.store, self.files)
            else:
                connection.register(
                    "ledger", block_table(self.store, self.files, columns, self.threads)
                )
            yield connection

    def committed(self, folder: str, schema: pa.Schema) -> pa.Table:
        """Return what tasks on its task slices have committed in `folder`, these columns of it."""

        def read(name: str) -> pa.Table:
            if marker := self.store.marker(marker_path(folder, name)):
                with checksums.open_parquet(self.store, marker.file(".parquet")) as source:
                    return source.read(schema.names).cast(schema)
            return schema.empty_table()

        with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
            tables = threads.map(read, [slice_of(file.name) for file in self.files.gathered])
            return pa.concat_tables([schema.empty_table(), *tables])

    def tables(self, columns: Collection[str], units: int = UNITS_AT_ONCE) -> Iterator[pa.Table]:
        """Yield `row` and these columns, so many units at a time, since texts take much room."""
        for files in list(blocks(self.files, units)) or [self.files]:
            yield block_table(self.store, files, columns, self.threads)


Further = Callable[[Block, NDArray[np.int64]], dict[str, Any]]  # columns of rows of a block


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
        first = self.blocks[0].files
        if first.columns:
            held = [column_files.read_schema(self.store, file) for file in first.columns]
            return _schema(pa.unify_schemas(held, promote_options="permissive"), first)
        with connect(self.store) as connection:
            attach_files(connection, self.store, first)
            return connection.sql("SELECT * FROM ledger LIMIT 0").to_arrow_table().schema

    def run(self, task: Callable[[Block], Marker], folder: str) -> list[Marker]:
        """Do a task on every block that has no marker in `folder` yet; return all markers.

        Raises:
            Stopped: a task's process kept dying.
        """
        named = {task_name(block.number): block for block in self.blocks}
        rounds.run(self.store, self.engine, folder, task, named)
        return list(self.store.markers(folder).values())

    def run_numbered(self, task: Callable[[int], Marker], folder: str, count: int) -> list[Marker]:
        """Do a task for every number from 0, as `run` does on blocks; return all markers.

        Raises:
            Stopped: a task's process kept dying.
        """
        return rounds.run_numbered(self.store, self.engine, folder, task, count)

    def query(self, columns: Sequence[str], sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield the one row that a query over these columns of `ledger` gives in each block.

        Raises:
            Stopped: a task's process kept dying.
        """
        for (row,) in self.queries(columns, [sql]):
            yield row

    def queries(
        self, columns: Sequence[str], sqls: Sequence[str]
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Yield of each block the one row that each of these queries gives; a block is read once.

        Raises:
            Stopped: a task's process kept dying.
        """
        for _, found in self.each(partial(_one_row_each, columns, sqls), self.blocks):
            yield found

    def each(
        self, task: Callable[[Block], Result], blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, Result]]:
        """Yield what a task returns of some blocks, as they end; it must be small.

        Raises:
            Stopped: a task's process kept dying.
        """
        for block, result in self.engine.map(task, blocks):
            if isinstance(result, Crashed):
                raise Stopped(f"the process of a query died ({result.reason}); run again")
            yield block, result


def _schema(held: pa.Schema, files: LedgerFiles) -> pa.Schema:
    """Return the columns of the view `ledger`, in its order, given those of its files."""
    models = [name for name in files.scores if name not in ("", CAPTIONS)]
    results = [column for result in files.results for column in result.columns]
    columns = (*EMBEDDED, *CAPTIONED, *results, *scores_of(models))
    declared = {column.name: column.type for column in columns}
    gathered = [field for field in held if field.name not in declared]
    return pa.schema([*gathered, *(pa.field(*item) for item in declared.items())])


def one_row(columns: Collection[str], sql: str, block: Block) -> tuple[Any, ...]:
    """Return the one row that a query over these columns of `ledger` gives in a block."""
    (row,) = _one_row_each(columns, [sql], block)
    return row


def _one_row_each(
    columns: Collection[str], sqls: Sequence[str], block: Block
) -> list[tuple[Any, ...]]:
    """Return the one row that each query over these columns of `ledger` gives in a block."""
    with block.ledger(columns) as connection:
        return [tuple(*connection.execute(sql).fetchall()) for sql in sqls]


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
    return pool, tuple(_bounded(pool, rule, schema) for rule in applied)


def _is_of_a_block(rule: Rule, schema: pa.Schema) -> bool:
    if rule.rank:
        return all(is_orderable(type) for type in _ranked(rule, schema))
    return can_be_tried(rule.sql)


def _ranked(rule: Rule, schema: pa.Schema) -> list[pa.DataType]:
    """Return the type of the column by which a rule ranks, if it does."""
    of = rule.rank.of.lower() if rule.rank else None
    return [field.type for field in schema if field.name.lower() == of]


def _bounded(pool: Pool, rule: Rule, schema: pa.Schema) -> Rule:
    """Return a rule on ranks as one on the score, uid and row of the last pair that is taken."""
    if rule.rank is None:
        return rule
    floating = any(map(pa.types.is_floating, _ranked(rule, schema)))
    score = Key(rule.rank.of, descending=True, made=NUMBER if floating else "{0}")
    keys = [score, Key(UID.name), Key(ROW.name)]
    rank = rule.rank
    if rank.by:
        taken = first_of_each(pool.queries, keys, rank.fraction, rank.by)
    else:
        taken = first_of_share(pool.query, keys, rank.fraction)
    sql = f"CASE WHEN {score.sql} IS NOT NULL THEN {taken} END"
    return replace(rule, sql=sql, rank=None)
