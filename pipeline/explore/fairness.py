"""How unlike the rules treat groups: of each rule the share of pairs it lets pass, group by group.

Every pair is counted that a rule of the selection was asked about, so the shares are exact; their
intervals say what groups of that size can show. A pair that a gate on its text has stopped is
counted for the rules on texts alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore.database import Database
from pairsieve.pipeline.learning.intervals import of_share
from pairsieve.pipeline.ledger import block_columns
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, RULES, ledger_files
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.ledger.sql import identifier, quoted
from pairsieve.pipeline.ledger.sql import rows as read_rows
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.selections.record import read
from pairsieve.schemas.columns import COLUMNS, HOST, LANGUAGE, OUTCOME, TAG
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.outcomes import Outcome

LEAST = 25  # pairs that a group must have to be compared
GROUPS = 200  # the largest alone are compared
NONE = "(none)"
USUAL = (LANGUAGE.name, HOST.name, TAG.name)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many pairs of a group a rule lets pass: of those judged, the share, its interval."""

    group: str
    pairs: int
    passed: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Unlike:
    """How unlike a rule treats groups.

    Attributes:
        rule: Its name.
        rates: Of each group, the lowest share first.
        certain: By how much the highest and the lowest share differ at least, as their intervals
            say; negative where these overlap.
    """

    rule: str
    rates: tuple[Rate, ...]
    certain: float

    @property
    def lowest(self) -> Rate:
        """Return the group of which the smallest share passes."""
        return self.rates[0]

    @property
    def highest(self) -> Rate:
        """Return the group of which the largest share passes."""
        return self.rates[-1]


def columns(database: Database) -> list[str]:
    """Return the columns by which pairs can be grouped: the usual ones, then texts of the input."""
    ours = {column.name for column in COLUMNS}
    types = database.types().items()
    return [*USUAL, *(name for name, kind in types if kind == "VARCHAR" and name not in ours)]


def unlike(store: Store, database: Database, column: str, least: int = LEAST) -> list[Unlike]:
    """Return how unlike each rule treats the values of a column, the most unlike rule first.

    A rule is asked for itself, whatever others say. Groups of fewer than `least` pairs are left
    out, and rules that drop nothing.

    Raises:
        BadOption: there is no selection, or no such column.
    """
    marker, record = read(store, str(database.selection))
    early = {rule.name for rule in record.rules if rule.phase is Phase.TEXT}
    names: Sequence[str] = marker.extra[RULES]
    if column not in database.types():
        raise BadOption(
            f"the ledger has no column {column!r}; {nearest(column, list(database.types()))}"
        )
    files = ledger_files(store, record.scores, str(database.selection))
    pool = Pool(store, Serial(), block_columns.current(store, files), BLOCK_UNITS)
    groups = _counted(pool, column, len(names))
    found = []
    for place, name in enumerate(names):
        rates = [
            _rate(group, pairs, pairs - dropped)
            for group, counts in groups.items()
            for pairs, dropped in [_of_rule(counts, place, name in early)]
            if pairs >= least
        ]
        if len(rates) > 1 and any(rate.passed < rate.pairs for rate in rates):
            rates.sort(key=lambda rate: (rate.share, rate.group))
            found.append(Unlike(name, tuple(rates), rates[-1].low - rates[0].high))
    return sorted(found, key=lambda one: -one.certain)


def _counted(pool: Pool, column: str, rules: int) -> dict[str, list[dict[str, Any]]]:
    """Return by group its counts: of pairs with an image, and of those stopped before a fetch.

    Block by block, so that memory does not grow with the pairs; what is counted may go to the disk.
    """
    bits, name = FAILING_BITS.name, identifier(column)
    each = [f"dropped{rule}" for rule in range(rules)]
    dropped = [f"count(*) FILTER ({bits} & {1 << n} > 0) AS {one}" for n, one in enumerate(each)]
    sums = ", ".join(f"sum({one})::BIGINT" for one in each)
    counting = f"""
        SELECT coalesce({name}::VARCHAR, {quoted(NONE)}) AS "group",
               outcome = '{Outcome.GATED}' AS gated, count(*) AS pairs, {", ".join(dropped)}
        FROM block WHERE outcome IN ('{Outcome.OK}', '{Outcome.GATED}') AND {bits} IS NOT NULL
        GROUP BY "group", gated
        """
    with connect(pool.store, own=True) as connection:
        for number, block in enumerate(pool.blocks):
            read_columns = (column, OUTCOME.name, bits)
            table = block_table(block.store, block.files, read_columns, block.threads)
            connection.register("block", table)
            connection.execute(
                f"INSERT INTO counts {counting}" if number else f"CREATE TABLE counts AS {counting}"
            )
            connection.unregister("block")
        found = read_rows(
            connection,
            'SELECT "group", list(struct_pack(gated, pairs, dropped)) AS counts FROM (SELECT '
            f'"group", gated, sum(pairs)::BIGINT AS pairs, [{sums}] AS dropped FROM counts '
            'GROUP BY "group", gated) GROUP BY "group" ORDER BY sum(pairs) DESC, "group" '
            f"LIMIT {GROUPS}",
        )
    return {row["group"]: row["counts"] for row in found}


def _of_rule(counts: Sequence[dict[str, Any]], place: int, early: bool) -> tuple[int, int]:
    """Return (pairs judged, dropped) of a group by a rule."""
    judged = [one for one in counts if early or not one["gated"]]
    return sum(one["pairs"] for one in judged), sum(one["dropped"][place] for one in judged)


def _rate(group: str, pairs: int, passed: int) -> Rate:
    share = passed / pairs
    return Rate(group, pairs, passed, share, *of_share(share, pairs))
