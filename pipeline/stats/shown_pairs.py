"""The pairs that the page shows: which they are, what is told of them, and their thumbnails."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pairsieve.filters.nsfw import Nsfw
from pairsieve.filters.violence import Violence
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import LedgerFiles, unit_files
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.rules import MINOR
from pairsieve.pipeline.ledger.sql import identifier, rows
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.stats.block_counts import SAMPLES_SHOWN, with_verdict
from pairsieve.pipeline.stats.copied_rows import unsharded
from pairsieve.pipeline.stats.histograms import format_figure
from pairsieve.pipeline.stats.merged_counts import CLUSTERS_SHOWN
from pairsieve.pipeline.stats.page import TEXT_SHOWN, shown, thumbnail
from pairsieve.pipeline.stats.pool_counts import PoolCounts
from pairsieve.pipeline.stats.stats_db import PARTIAL
from pairsieve.schemas.columns import (
    BLOCKED,
    CLIP_SIMILARITY,
    COLUMNS,
    DUPLICATE_DISTANCE,
    DUPLICATE_OF,
    DUPLICATE_ORIENTATION,
    EVAL_DISTANCE,
    EVAL_IMAGE,
    EVAL_OVERLAP,
    EVAL_SET,
    FAILING,
    HEIGHT,
    KEEP,
    NSFW,
    ROW,
    TEXT,
    URL,
    VIOLENCE,
    WIDTH,
    Column,
)
from pairsieve.schemas.errors import Stopped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DROPPED_SHOWN = 24  # shared by the rules, 8 at most for one
SHOWN_OF_PAIR = (  # besides what a rule's condition reads
    ROW, URL, TEXT, WIDTH, HEIGHT, CLIP_SIMILARITY, KEEP, FAILING, BLOCKED, DUPLICATE_OF,
    DUPLICATE_DISTANCE, DUPLICATE_ORIENTATION, EVAL_SET, EVAL_IMAGE, EVAL_DISTANCE, EVAL_OVERLAP,
    NSFW, VIOLENCE, *checksums.STORED_AT,
)  # fmt: skip
SENSITIVE = {  # column -> the highest probability that is shown as it is
    NSFW.name: Nsfw().max_probability,
    VIOLENCE.name: Violence().max_probability,
}
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
    engine: Engine,
    counts: PoolCounts,
    numbers: Sequence[int],
    other_scores: tuple[Column, ...],
    conditions: Iterable[str],
) -> dict[int, Pair]:
    """Return of these rows of the ledger what is shown, with long texts cut; a task reads a unit.

    What is shown is always the same, and what the `conditions` read.

    Raises:
        Stopped: a task's process kept dying.
    """
    of_unit: dict[int, list[int]] = {}
    for number in sorted(set(numbers)):
        of_unit.setdefault(counts.unit_of(number), []).append(number)
    items = [(unit_files(counts.files, unit), chosen) for unit, chosen in of_unit.items()]
    wanted = {column.name for column in SHOWN_OF_PAIR}.union(*map(_words, conditions))
    columns = [c for c in COLUMNS + other_scores if c.name in wanted and c.name in counts.columns]
    names = unsharded([column.name for column in columns])
    task = partial(_look_up, counts.store, names, engine.task_threads)
    found = []
    for _, table in engine.map(task, items):
        if isinstance(table, Crashed):
            raise Stopped(f"the process of a look-up died ({table.reason}); run again")
        found.append(table)
    if not found:
        return {}
    return dict(_pairs(counts, pa.concat_tables(found, promote_options="permissive"), names))


def _look_up(
    store: Store, names: Sequence[str], threads: int | None, item: tuple[LedgerFiles, list[int]]
) -> pa.Table:
    """Return some columns of some pairs of a unit."""
    files, chosen = item
    only = np.array(chosen, np.int64)
    return block_table(store, files, [*names, FAILING_BITS.name], threads, only=only)


def _pairs(counts: PoolCounts, table: pa.Table, names: Sequence[str]) -> Iterator[tuple[int, Pair]]:
    """Yield each row of a table with its number, the columns `names` as they are shown."""
    expressions = {
        name: f'substr({identifier(name)}, 1, {TEXT_SHOWN + 1}) AS "{name}"' for name in CUT
    }
    expressions["fetched_at"] = "timezone('UTC', fetched_at)::VARCHAR AS fetched_at"
    columns = ", ".join(expressions.get(name, identifier(name)) for name in names)
    with connect(counts.store) as connection:
        connection.register("joined", table)
        found = rows(connection, f"SELECT {columns} FROM ({with_verdict('joined', counts.rules)})")
    for pair in found:
        yield pair[ROW.name], pair


def _words(condition: str) -> set[str]:
    return set(re.findall(r"\w+", condition))


def add_facts(pairs: list[Pair], condition: str, columns: tuple[Column, ...]) -> None:
    """Give each pair the `facts` to show: its size and those `columns` that a condition reads."""
    read = [c for c in columns if c.name in _words(condition) - {"outcome", "url", "text"}]
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


def add_thumbnails(store: Store, pairs: list[Pair], unknown: Collection[str] = ()) -> None:
    """Give each pair its `thumbnail`, a data URI, or None where there is none to be seen.

    One is blurred that scores call unsafe, but by those of `unknown`, whose model cannot know.
    """
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
        pair["thumbnail"] = thumbnail(data, is_sensitive(pair, unknown))


def is_sensitive(pair: Mapping[str, Any], unknown: Collection[str] = ()) -> bool:
    """Return whether scores, those of `unknown` aside, call a picture unsafe or violent."""
    known = {column: most for column, most in SENSITIVE.items() if column not in unknown}
    return any((pair.get(column) or 0) > most for column, most in known.items())


def value(content: Any) -> str:
    """Return the value of a column as the page shows it."""
    if content is None:
        return "not measured"
    if isinstance(content, int | float) and not isinstance(content, bool):
        return format_figure(content)
    return shown(content)
