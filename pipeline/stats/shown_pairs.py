"""The pairs that the page shows: which they are, what is told of them, and their thumbnails."""

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, unit_files
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.rules import MINOR
from pairsieve.pipeline.ledger.sql import identifier, rows
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.stats.block_counts import SAMPLES_SHOWN, unsharded, with_verdict
from pairsieve.pipeline.stats.histograms import format_figure
from pairsieve.pipeline.stats.merged_counts import CLUSTERS_SHOWN
from pairsieve.pipeline.stats.page import TEXT_SHOWN, shown, thumbnail
from pairsieve.pipeline.stats.pool_counts import PoolCounts
from pairsieve.pipeline.stats.stats_db import PARTIAL
from pairsieve.schemas.columns import COLUMNS, Column
from pairsieve.schemas.errors import Stopped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DROPPED_SHOWN = 24  # shared by the rules, 8 at most for one
CUT = ("url", "text", "final_url", "detail")  # long texts
Pair = dict[str, Any]  # column -> value


def sampled(
    connection: "DuckDBPyConnection", dropping: Sequence[str]
) -> list[tuple[str | None, list[int]]]:
    """Return (rule, rows of pairs dropped by it), the kept pairs under None first.

    Which pairs is a matter of a hash of uid, row and seed, so the same ones are shown every time.
    """
    each = max(1, min(8, DROPPED_SHOWN // max(1, len(dropping))))
    chosen = dict(
        connection.execute(
            f"SELECT first_failing, min_by(row, rank, {SAMPLES_SHOWN}) "
            f"FROM {PARTIAL}.samples GROUP BY ALL"
        ).fetchall()
    )
    groups = [(None, SAMPLES_SHOWN), *((rule, each) for rule in dropping[:DROPPED_SHOWN])]
    return [(rule, chosen[rule][:count]) for rule, count in groups if rule in chosen]


def largest_clusters(connection: "DuckDBPyConnection") -> list[dict[str, Any]]:
    """Return the largest clusters, with the rows `shown` of some pairs with different files."""
    query = f"FROM {PARTIAL}.largest ORDER BY pairs DESC, cluster LIMIT {CLUSTERS_SHOWN}"
    return rows(connection, query)


def look_up(
    engine: Engine, counts: PoolCounts, numbers: Sequence[int], other_scores: tuple[Column, ...]
) -> dict[int, Pair]:
    """Return the ledger's rows of these numbers, with long texts cut; a task reads a unit.

    Raises:
        Stopped: a task's process kept dying.
    """
    of_unit: dict[int, list[int]] = {}
    for number in sorted(set(numbers)):
        of_unit.setdefault(counts.unit_of(number), []).append(number)
    items = [(unit_files(counts.files, unit), chosen) for unit, chosen in of_unit.items()]
    names = [column.name for column in COLUMNS + other_scores]
    names = [name for name in unsharded(names) if name in counts.columns]
    task = partial(_look_up, counts.store, names, counts.rules, engine.task_threads)
    found: dict[int, Pair] = {}
    for _, pairs in engine.map(task, items):
        if isinstance(pairs, Crashed):
            raise Stopped(f"the process of a look-up died ({pairs.reason}); run again")
        found |= {pair["row"]: pair for pair in pairs}
    return found


def _look_up(
    store: Store,
    names: Sequence[str],
    rules: Sequence[str],
    threads: int | None,
    item: tuple[LedgerFiles, list[int]],
) -> list[Pair]:
    """Return some pairs of a unit."""
    files, chosen = item
    table = block_table(store, files, [*names, FAILING_BITS.name], threads)
    expressions = {
        name: f'substr({identifier(name)}, 1, {TEXT_SHOWN + 1}) AS "{name}"' for name in CUT
    }
    expressions["fetched_at"] = "timezone('UTC', fetched_at)::VARCHAR AS fetched_at"
    columns = ", ".join(expressions.get(name, identifier(name)) for name in names)
    with connect(store, threads=threads) as connection:
        connection.register("joined", table)
        query = f"SELECT {columns} FROM ({with_verdict('joined', rules)}) "
        return rows(connection, f"{query} WHERE row IN (SELECT unnest(?))", [chosen])


def add_facts(pairs: list[Pair], condition: str, columns: tuple[Column, ...]) -> None:
    """Give each pair the `facts` to show: its size and those `columns` that a condition reads."""
    words = set(re.findall(r"\w+", condition))
    read = [c for c in columns if c.name in words - {"outcome", "url", "text"}]
    for pair in pairs:
        size = [("size", f"{pair['width']} x {pair['height']}")] if pair["width"] else []
        values = [(c.name, value(pair[c.name])) for c in read if c.name in pair]
        similarity = [("clip_similarity", value(pair["clip_similarity"]))]
        pair["facts"] = size + (values or (similarity if pair["keep"] else []))


def relation(pair: Pair) -> str:
    """Return what a pair is in its cluster."""
    if pair["duplicate_of"] is None:
        return "chosen" if pair["keep"] else "chosen, dropped by a rule"
    distance, orientation = pair["duplicate_distance"], pair["duplicate_orientation"]
    what = "copy" if orientation is None else f"{orientation.replace('_', ' ')} copy"
    return what if distance is None else f"{what}, {distance} bits away"


def add_thumbnails(store: Store, pairs: list[Pair]) -> None:
    """Give each pair its `thumbnail`, a data URI, or None where there is none to be seen."""
    stored = [
        pair
        for pair in pairs
        if pair["image_file"] and not pair["blocked"] and MINOR.name not in (pair["failing"] or ())
    ]
    for pair in pairs:
        pair["thumbnail"] = None
    for pair, data in zip(
        stored, checksums.read_images(store, checksums.located(stored)), strict=True
    ):
        pair["thumbnail"] = thumbnail(data)


def value(content: Any) -> str:
    """Return the value of a column as the page shows it."""
    if content is None:
        return "not measured"
    if isinstance(content, int | float) and not isinstance(content, bool):
        return format_figure(content)
    return shown(content)
