"""Quotas: how many survivors stay, decided over the whole pool by a score or by a hash of the uid.

A sample, and each part of a mix, is the first pairs in the order of the hash: rounds over the
blocks find the last of them. A cap per value is decided in two rounds: each block writes of every
value the pairs that can be within the cap, in partitions of the values; then each partition says
which of these are beyond it. So the result is the same however the pool is cut into blocks, and
the driver holds no rows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, marker_path, selection_rounds, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.ledger.ranks import Key, first
from pairsieve.pipeline.ledger.rules import Quota, Rule, columns_read
from pairsieve.pipeline.ledger.sql import identifier, quoted
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS, judge
from pairsieve.schemas.columns import KEEP, OUTCOME, ROW, UID

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

BLOCKS_PER_PARTITION = 32  # of a round over the values of a column
BITS = FAILING_BITS.name


@dataclass(frozen=True, slots=True)
class Decided:
    """A quota that is decided.

    Attributes:
        rule: The rule.
        bit: Its place among the rules.
        taken: The condition of the survivors that stay; None for a cap.
        beyond: Of a cap, the files of rows that are beyond it.
        scarce: Of a mix, the value that limits it, and the pairs that have it.
    """

    rule: Rule
    bit: int
    taken: str | None = None
    beyond: tuple[str, ...] = ()
    scarce: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """All that judges the pairs of a block: rules on pairs, then quotas that are decided."""

    rules: tuple[Rule, ...]
    quotas: tuple[Decided, ...] = ()

    @property
    def columns(self) -> set[str] | None:
        """Return the columns that are read; None where it may be any."""
        columns = columns_read([*self.rules, *(quota.rule for quota in self.quotas)])
        return columns and columns | {ROW.name, OUTCOME.name}

    def __call__(self, connection: "DuckDBPyConnection", block: Block) -> None:
        """Make the table `judged` of a block."""
        judge(connection, self.rules)
        for decided in self.quotas:
            _drop(connection, block, decided)


def decide(pool: Pool, rules: Sequence[Rule], name: str, fingerprint: str) -> Judge:
    """Return what judges the pairs of a block, once all quotas are decided, in their order.

    Args:
        pool: In blocks in which the rules on pairs can be judged.
        rules: All rules; those with quotas are the last.
        name: The selection.
        fingerprint: Of what goes in; rounds that were killed go on.

    Raises:
        Stopped: a task's process kept dying.
    """
    judged = Judge(tuple(rule for rule in rules if rule.quota is None))
    for bit in range(len(judged.rules), len(rules)):
        rule = rules[bit]
        quota = rule.quota or Quota(0)
        folder = partial(selection_rounds, name, fingerprint)
        if quota.shares:
            taken, scarce = _mixed(pool, judged, quota, rule)
            decided = Decided(rule, bit, taken, scarce=scarce)
        elif quota.per:
            decided = Decided(rule, bit, beyond=_beyond(pool, judged, rule, folder, bit))
        else:
            wanted = partial(_sampled, quota)
            decided = Decided(rule, bit, first(_query(pool, judged, rule), _by_hash(quota), wanted))
        judged = Judge(judged.rules, (*judged.quotas, decided))
    return judged


def _sampled(quota: Quota, pairs: int) -> int:
    """Return how many of the pairs a sample takes; of a fraction, the number is rounded up."""
    if quota.fraction is not None:
        return ceil(Fraction(str(quota.fraction)) * pairs)
    return min(quota.n or 0, pairs)


def _by_hash(quota: Quota) -> list[Key]:
    """Return the keys of an order by chance: the MD5 of seed and uid; then the row."""
    return [Key(UID.name, made=f"md5('{quota.seed}:' || {{0}})"), Key(ROW.name)]


def _mixed(pool: Pool, judged: Judge, quota: Quota, rule: Rule) -> tuple[str, tuple[str, int]]:
    """Return the condition of the survivors that a mix keeps, and the value that limits it.

    The largest total is taken of which every value has its share, each rounded down.
    """
    value = _value(quota)
    names = [name for name, _ in quota.shares]
    counts = ", ".join(f"count(*) FILTER ({value} = {quoted(name)})" for name in names)
    told = _query(pool, judged, rule)([], f"SELECT {counts} FROM ledger")
    have = [sum(column) for column in zip(*told, strict=True)]
    shares = [Fraction(str(share)) for _, share in quota.shares]
    totals = [ceil((pairs + 1) / share) - 1 for pairs, share in zip(have, shares, strict=True)]
    total = min(totals)
    least = totals.index(total)
    parts = []
    for name, share in zip(names, shares, strict=True):
        query = _query(pool, judged, rule, f"{value} = {quoted(name)}")
        taken = first(query, _by_hash(quota), lambda _, share=share: int(total * share))  # type: ignore[misc]
        parts.append(f"WHEN {quoted(name)} THEN {taken}")
    condition = f"coalesce(CASE {value} {' '.join(parts)} ELSE false END, false)"
    return condition, (names[least], have[least])


def _value(quota: Quota) -> str:
    """Return the SQL of the value by which a mix goes, as text."""
    column = identifier(quota.per or "")
    if not quota.ranges:
        return f"{column}::VARCHAR"
    least = [name.removesuffix("+") for name, _ in quota.shares]  # falling
    cases = " ".join(f"WHEN {column} >= {number} THEN '{number}+'" for number in least)
    return f"CASE {cases} END"


def _query(
    pool: Pool, judged: Judge, rule: Rule, where: str = "true"
) -> Callable[[Sequence[str], str], Iterable[tuple[Any, ...]]]:
    """Return what asks every block, where `ledger` is now the survivors so far."""

    def query(columns: Sequence[str], sql: str) -> Iterable[tuple[Any, ...]]:
        del columns  # the rule's own are read
        for _, row in pool.each(partial(_answer, judged, rule, where, sql), pool.blocks):
            yield row

    return query


def _answer(judged: Judge, rule: Rule, where: str, sql: str, block: Block) -> tuple[Any, ...]:
    columns = Judge((*judged.rules, rule), judged.quotas).columns
    with block.ledger(columns) as connection:
        judged(connection, block)
        kept = f"SELECT row FROM judged WHERE {KEEP.name}"
        connection.execute(
            f"CREATE TABLE survivors AS FROM ledger SEMI JOIN ({kept}) USING (row) WHERE {where}"
        )
        connection.execute("DROP VIEW ledger; ALTER TABLE survivors RENAME TO ledger")
        (row,) = connection.execute(sql).fetchall()
        return tuple(row)


def _order(quota: Quota) -> str:
    """Return the order in which a cap takes pairs."""
    if quota.by is None:
        return "tie, row"
    return "score DESC NULLS LAST, tie, row"


def _ranked(quota: Quota, columns: str) -> str:
    """Return the query for survivors with a value: columns, and their `place` in its order."""
    score = f"nullif({identifier(quota.by)}::VARCHAR, 'nan')" if quota.by else "NULL"
    by = f"CASE WHEN {score} IS NOT NULL THEN {identifier(quota.by)} END" if quota.by else "NULL"
    tie = UID.name if quota.by else f"md5('{quota.seed}:' || {UID.name})"
    key = f"md5({identifier(quota.per or '')}::VARCHAR)"
    return f"""
        SELECT {columns}, row_number() OVER (PARTITION BY key ORDER BY {_order(quota)}) AS place
        FROM (
            SELECT {key} AS key, {by} AS score, {tie} AS tie, row
            FROM ledger SEMI JOIN (SELECT row FROM judged WHERE {KEEP.name}) USING (row)
        )
        WHERE key IS NOT NULL
        """


def _beyond(
    pool: Pool, judged: Judge, rule: Rule, folder: Callable[[str], str], bit: int
) -> tuple[str, ...]:
    """Return the files of the rows that a cap drops besides what each block drops by itself."""
    count = ceil(len(pool.blocks) / BLOCKS_PER_PARTITION)
    within, beyond = folder(f"within{bit}"), folder(f"beyond{bit}")
    written = pool.run(partial(_write_within, judged, rule, count, within), within)
    files = tuple(marker.file(".parquet") for marker in written)
    task = partial(_write_beyond, pool.store, rule, files, beyond)
    dropped = pool.run_numbered(task, beyond, count)
    return tuple(marker.file(".parquet") for marker in dropped)


def _write_within(judged: Judge, rule: Rule, count: int, folder: str, block: Block) -> Marker:
    """Commit the survivors of a block that can be within a cap, a row group for each partition."""
    import pyarrow.parquet as pq

    quota = rule.quota or Quota(0)
    path = content(folder, task_name(block.number), ".parquet")
    with block.ledger(Judge((*judged.rules, rule), judged.quotas).columns) as connection:
        judged(connection, block)
        query = f"""
            SELECT key, score, tie, row, ('0x' || key[:8])::UBIGINT % {count} AS partition
            FROM ({_ranked(quota, "key, score, tie, row")}) WHERE place <= {quota.n}
            ORDER BY partition, key, row
            """
        table = connection.sql(query).to_arrow_table()
    parts = table.column("partition").to_numpy()
    with block.store.writer(path) as sink, pq.ParquetWriter(sink, table.schema) as writer:
        for number in range(count):
            low, high = parts.searchsorted([number, number + 1])
            writer.write_table(table.slice(low, high - low), row_group_size=max(1, high - low))
    marker = Marker(table.num_rows, {path: block.entry(sink)}, {})
    return commit(block.store, marker_path(folder, task_name(block.number)), marker)


def _write_beyond(
    store: Store, rule: Rule, files: Sequence[str], folder: str, number: int
) -> Marker:
    """Commit the rows of one partition of values that are beyond a cap, sorted."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    quota = rule.quota or Quota(0)
    filters = [("partition", "=", number)]
    tables = []
    for file in files:
        with store.reader(file) as source:
            tables.append(pq.read_table(source, filters=filters, use_threads=False))
    with duckdb.connect() as connection:
        connection.register("candidates", pa.concat_tables(tables))
        place = f"row_number() OVER (PARTITION BY key ORDER BY {_order(quota)})"
        query = f"SELECT row FROM candidates QUALIFY {place} > {quota.n} ORDER BY row"
        table = connection.sql(query).to_arrow_table()
    path = content(folder, task_name(number), ".parquet")
    with store.writer(path) as sink:
        pq.write_table(table, sink, row_group_size=ROWS_AT_ONCE)
    marker = Marker(table.num_rows, {path: sink.entry()}, {})
    return commit(store, marker_path(folder, task_name(number)), marker)


def _drop(connection: "DuckDBPyConnection", block: Block, decided: Decided) -> None:
    """Let a decided quota drop survivors in `judged`."""
    if decided.taken is None:
        connection.register("beyond", _rows_beyond(connection, block, decided.beyond))
        quota = decided.rule.quota or Quota(0)
        dropped = f"SELECT row FROM ({_ranked(quota, 'row')}) WHERE place > {quota.n}"
        dropped += " UNION ALL FROM beyond"
    else:
        dropped = f"SELECT row FROM ledger WHERE NOT ({decided.taken})"
    connection.execute(
        f"UPDATE judged SET {KEEP.name} = false, {BITS} = {BITS} | {1 << decided.bit}::UBIGINT "
        f"WHERE {KEEP.name} AND row IN ({dropped})"
    )


def _rows_beyond(
    connection: "DuckDBPyConnection", block: Block, files: Sequence[str]
) -> "pa.Table":
    """Return the rows beyond a cap between the first and the last of a block."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    span = "SELECT coalesce(min(row), 0), coalesce(max(row), 0) FROM judged"
    ((low, high),) = connection.execute(span).fetchall()
    inside = [("row", ">=", low), ("row", "<=", high)]
    tables = []
    for file in files:
        with block.store.reader(file) as source:
            tables.append(pq.read_table(source, filters=inside, use_threads=False))
    return pa.concat_tables(tables)
