"""What a selection says of pairs: they have failed, and no rule is the first to drop them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.files import RULES, SCARCE, LedgerFiles
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.ledger.rules import Rule
from pairsieve.pipeline.ledger.sql import can_be_tried, identifier
from pairsieve.pipeline.ledger.verdicts import FAILED, FAILING_BITS
from pairsieve.pipeline.removal.replacement import Replacement, with_files
from pairsieve.pipeline.removal.rows import read_rows
from pairsieve.schemas.columns import KEEP, ROW

FUNNEL = "funnel"
JUDGED = "judged"  # in the marker of a block: what its pairs that leave had come to


@dataclass(frozen=True, slots=True)
class SelectTask:
    """Prepares blocks of a selection without the pairs.

    Attributes:
        store: The dataset.
        folder: Of the round.
        rules: Its rules, in the order of their bits; none where that was not noted.
        threads: Of a task; None for all that there are.
    """

    store: Store
    folder: str
    rules: tuple[Rule, ...]
    threads: int | None

    def __call__(
        self, item: tuple[tuple[int, str, dict[str, Any], tuple[str, ...]], LedgerFiles]
    ) -> Marker:
        """Prepare one file of verdicts, given with the ledger that it judges, and commit it."""
        (number, name, entry, found), files = item
        rows = read_rows(self.store, found)
        table = pq.read_table(checksums.read(self.store, name, entry))
        gone = np.isin(table[ROW.name].to_numpy(), rows)
        new = Replacement(int(gone.sum()), extra={JUDGED: {}})
        if gone.any():
            block = Block(number, self.store, files, self.threads)
            new.extra[JUDGED] = self._judged(block, table.filter(pa.array(gone)))
            path = content(name.rpartition("/")[0], task_name(number), ".parquet")
            with self.store.writer(path) as sink:
                pq.write_table(_failed(table, gone), sink, compression="zstd")
            new.succeed(name, entry, path, sink.entry())
        return new.commit(self.store, self.folder, number)

    def _judged(self, block: Block, verdicts: pa.Table) -> dict[str, int]:
        """Return how many of these pairs had each verdict: bits of rules, and `null` or not.

        Those that had failed before are left out.
        """
        nulls = ", ".join(f"({_null(rule)}) AS n{index}" for index, rule in enumerate(self.rules))
        with block.ledger(None) as connection:
            connection.register("verdicts", verdicts)
            table = connection.sql(
                f"SELECT {FAILING_BITS.name}, v.{KEEP.name}{', ' * bool(nulls)}{nulls} "
                f"FROM ledger JOIN verdicts v USING (row) WHERE NOT ({FAILED})"
            ).to_arrow_table()
        counts: Counter[str] = Counter()
        for pair in table.to_pylist():
            bits = pair[FAILING_BITS.name]
            first = (bits & -bits).bit_length() - 1
            counts[f"{bits} {'null' if bits and pair.get(f'n{first}') else ''}".strip()] += 1
        return dict(sorted(counts.items()))


def _null(rule: Rule) -> str:
    """Return the SQL of whether a rule has nothing to judge a pair by, as far as one can tell."""
    if rule.rank:
        return f"coalesce({identifier(rule.rank.of)}::VARCHAR = 'nan', true)"
    return f"({rule.condition}) IS NULL" if not rule.quota and can_be_tried(rule.sql) else "false"


def _failed(table: pa.Table, gone: Any) -> pa.Table:
    """Return verdicts in which these pairs have failed."""
    leaves = pa.array(gone)
    for name, value in ((KEEP.name, False), (FAILING_BITS.name, 0)):
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        put = pa.compute.if_else(leaves, pa.scalar(value, field.type), table[name])
        table = table.set_column(index, field, put)
    return table


def selected_without(marker: Marker, prepared: Sequence[Marker]) -> Marker:
    """Return the marker of a selection whose funnel has these pairs among the failed."""
    judged: Counter[str] = Counter()
    for one in prepared:
        judged.update(one.extra[JUDGED])
    kept = judged["0"]
    counts = dict(marker.counts)
    counts["kept"] -= kept
    counts["dropped"] -= judged.total() - kept
    counts["failed"] += judged.total()
    funnel = [dict(row) for row in marker.extra[FUNNEL]]
    for verdict, pairs in judged.items():
        _leave(funnel, marker.extra[RULES], verdict, pairs)
    extra = marker.extra | {FUNNEL: funnel}
    extra.pop(SCARCE, None)
    return replace(marker, files=with_files(marker.files, prepared), counts=counts, extra=extra)


def _leave(funnel: list[dict[str, Any]], rules: Sequence[str], verdict: str, pairs: int) -> None:
    """Take pairs of one verdict out of the rules of a funnel, and add them to those that failed."""
    bits, _, null = verdict.partition(" ")
    failing = int(bits)
    first = rules[(failing & -failing).bit_length() - 1] if failing else None
    for row in funnel:
        here: Mapping[str, int] = {"entered": -1, "left": -1}
        if row["position"] == 0:
            here = {"dropped": 1, "only_this": 1, "left": -1}
        elif row["rule"] == first:
            here = {"entered": -1, "dropped": -1, "unmeasured": -bool(null)}
            here |= {"only_this": -1} if failing & (failing - 1) == 0 else {}
        for key, sign in here.items():
            row[key] += sign * pairs
        if row["rule"] == first:
            return
