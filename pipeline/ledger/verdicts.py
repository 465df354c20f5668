"""Verdicts: what the rules of a selection say of each pair of a block, and how that is stored.

A file of verdicts has a bit per rule that said no; the names of the rules are in the selection's
marker. So a verdict takes a few bytes, however many rules it fails.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from pairsieve.filters.order import Phase
from pairsieve.pipeline.ledger.rules import Rule
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.schemas.columns import FAILING, FIRST_FAILING, KEEP, ROW, Column
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FAILING_BITS = Column("failing_bits", pa.uint64(), "", "Bit n is set if rule n said no.", False)
VERDICTS = (ROW, KEEP, FAILING_BITS)
FAILED = f"outcome NOT IN ('{Outcome.OK}', '{Outcome.GATED}')"


def judge(connection: "DuckDBPyConnection", applied: Sequence[Rule]) -> None:
    """Make the table `judged` out of `ledger`: `VERDICTS`, `failed` and `nulls`, the bits of nulls.

    A rule applies to a pair only if the pair came far enough to be measured for it: one stopped
    by a gate on its text has no image, one stopped by a gate on its image no vectors.

    Raises:
        BadOption: a rule fails on the data, and DuckDB cannot pass over the row.
    """
    import duckdb

    answers = ", ".join(f"{rule.condition} AS r{index}" for index, rule in enumerate(applied))
    image_gates = [rule.condition for rule in applied if rule.gate and rule.phase is Phase.IMAGE]
    passed = " AND ".join(f"coalesce({sql}, false)" for sql in image_gates) or "true"
    reached = (
        f"CASE WHEN outcome = '{Outcome.GATED}' THEN {int(Phase.TEXT)} "
        f"WHEN NOT ({passed}) THEN {int(Phase.IMAGE)} ELSE {int(Phase.POOL)} END"
    )
    bits = [
        f"CASE WHEN {int(rule.phase)} <= reached AND r{index} IS NOT true THEN {1 << index} "
        "ELSE 0 END::UBIGINT"
        for index, rule in enumerate(applied)
    ]
    nulls = [
        f"CASE WHEN r{index} IS NULL THEN {1 << index} ELSE 0 END::UBIGINT"
        for index in range(len(applied))
    ]
    query = f"""
        CREATE TABLE judged AS
        SELECT row, NOT failed AND {FAILING_BITS.name} = 0 AS {KEEP.name}, {FAILING_BITS.name},
               failed, nulls
        FROM (
            SELECT row, failed, {" | ".join(nulls)} AS nulls,
                   CASE WHEN failed THEN 0 ELSE {" | ".join(bits)} END AS {FAILING_BITS.name}
            FROM (SELECT row, {FAILED} AS failed, {reached} AS reached, {answers} FROM ledger)
        )
        """
    try:
        connection.execute(query)
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        message = f"keep: a rule with a window or subquery fails on the data: {error}"
        raise BadOption(message) from error


def tally(connection: "DuckDBPyConnection", rules: int) -> list[int]:
    """Return what the funnel is made of: pairs, those that failed, and three numbers per rule.

    These are the pairs of which it is the first to say no, those of which it is the only one, and
    those of the first for which it is null.
    """
    counts = ["sum(pairs)", "sum(pairs) FILTER (failed)"]
    for index in range(rules):
        bit, before = 1 << index, (1 << index) - 1
        first = f"bits & {bit} > 0 AND bits & {before} = 0"
        counts += [
            f"sum(pairs) FILTER ({which})"
            for which in (first, f"bits = {bit}", f"{first} AND first_is_null")
        ]
    query = f"""
        WITH alike AS (
            SELECT failed, {FAILING_BITS.name} AS bits, nulls & {_LOWEST} > 0 AS first_is_null,
                   count(*) AS pairs
            FROM judged GROUP BY ALL
        )
        SELECT {", ".join(counts)} FROM alike
        """
    (row,) = connection.execute(query).fetchall()
    return [int(count or 0) for count in row]


def decoded(rules: Sequence[str]) -> str:
    """Return the SQL of `first_failing` and `failing` from the bits of rules of these names."""
    bits = FAILING_BITS.name
    names = f"[{', '.join(map(quoted, rules))}]::VARCHAR[]"
    failing = ", ".join(
        f"CASE WHEN {bits} & {1 << index} > 0 THEN {quoted(rule)} END"
        for index, rule in enumerate(rules)
    )
    return (
        f"CASE WHEN {bits} > 0 THEN ({names})[bit_count(xor({bits}, {bits} - 1))] END "
        f"AS {FIRST_FAILING.name}, CASE WHEN {bits} = 0 THEN []::VARCHAR[] "
        f"ELSE list_filter([{failing}]::VARCHAR[], lambda rule: rule IS NOT NULL) END "
        f"AS {FAILING.name}"
    )


# The lowest bit that is set, and none where none is.
_LOWEST = (
    f"CASE WHEN {FAILING_BITS.name} = 0 THEN 0::UBIGINT ELSE {FAILING_BITS.name} & "
    f"xor({FAILING_BITS.name} - 1, 18446744073709551615::UBIGINT) END"
)
