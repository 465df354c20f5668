"""stats.duckdb: what is counted of a selection, and the ledger, in one file that stands alone.

The counts are sums of those of blocks, so they are exact at any size. The ledger is copied into the
schema `data` up to a number of rows, of a larger one a sample; so the file still answers when the
dataset is moved. Rows lie in input order, because neighbours compress well together. Of pairs with
retry layers, what the earlier fetches gave is kept apart. What people use are the views beside it.
The file is written in a format that DuckDB 1.2 and later can open.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.stages import SHARD
from pairsieve.pipeline.ledger.files import LedgerFiles
from pairsieve.pipeline.ledger.sql import identifier, quoted, rows
from pairsieve.pipeline.stats.block_counts import step_of, with_verdict
from pairsieve.pipeline.stats.bound_counts import BoundCounts, sweep
from pairsieve.pipeline.stats.copied_rows import FETCHED, ROWS, SUPERSEDED, unsharded
from pairsieve.pipeline.stats.histogram_bins import Bins, Measure, bins_of, measured_numbers
from pairsieve.pipeline.stats.partials import source
from pairsieve.pipeline.stats.pool_counts import Counted, PoolCounts
from pairsieve.pipeline.stats.stats_views import (
    FUNNEL,
    HISTOGRAMS,
    MADE_OF,
    MEASURES,
    OVERLAPS,
    SWEEPS,
    VIEWS,
    comment,
)
from pairsieve.schemas.columns import Column, arrow_schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STORAGE = "v1.2.0"  # the oldest DuckDB that opens the file
MEMORY_MB = 300  # at most, of the driver: what does not fit goes to the disk
PARTIAL = "memory.partial"  # the schema of what tasks have counted

# Table of the schema `data` -> the query over what tasks have counted.
SUMS = {
    "politeness": f"FROM {PARTIAL}.rates",
    "host_answers": f"FROM {PARTIAL}.merged",
    "languages": "SELECT language, sum(pairs)::BIGINT AS pairs, sum(kept)::BIGINT AS kept "
    f"FROM {PARTIAL}.languages GROUP BY ALL",
    "outcomes_over_time": "SELECT epoch_ms(start // seconds * seconds * 1000) AS start, seconds, "
    f"outcome, http_status, sum(pairs)::BIGINT AS pairs FROM {PARTIAL}.times, "
    "(SELECT step AS seconds FROM ("
    + step_of(f"SELECT min(earliest) AS earliest, max(latest) AS latest FROM {PARTIAL}.times")
    + ")) GROUP BY ALL",
    "cluster_sizes": "SELECT pairs, sum(clusters)::BIGINT AS clusters, "
    f"sum(kept)::BIGINT AS kept FROM {PARTIAL}.sizes GROUP BY ALL",
    "hosts_sharing": "SELECT host, other, sum(clusters)::BIGINT AS clusters, "
    f"sum(pairs)::BIGINT AS pairs, sum(kept)::BIGINT AS kept FROM {PARTIAL}.sharing GROUP BY ALL",
    "evaluation_sets": "SELECT eval_set, sum(pairs)::BIGINT AS pairs, "
    "sum(near)::BIGINT AS near, max(max_overlap) AS max_overlap, sum(kept)::BIGINT AS kept "
    f"FROM {PARTIAL}.evaluated GROUP BY ALL",
}


class OfRules(NamedTuple):
    """What was counted of the rules.

    Attributes:
        bounds: Around each threshold, but those that are not their rules' bounds, by its key.
        sweeps: (value, survivors) of each of these.
        overlaps: How many pairs each two rules say no to, by their places; a rule is beside itself.
    """

    bounds: dict[str, BoundCounts]
    sweeps: dict[str, list[tuple[float, int]]]
    overlaps: dict[tuple[int, int], int]


def build(
    connection: "DuckDBPyConnection", file: Path, counts: PoolCounts, counted: Counted
) -> OfRules:
    """Write the database `file` and leave it attached to `connection` as `stats`, in use.

    Return what it has of the rules. One thread writes, since several make a file half as large
    again, and no faster.

    Args:
        connection: In memory, from `ledger.connect`.
        file: Where to write; nothing may be there.
        counts: Where the counts are.
        counted: What is counted.
    """
    memory_mb = min(counts.store.scratch.memory_mb, MEMORY_MB)
    connection.execute(f"SET threads = 1; SET memory_limit = '{memory_mb}MB'")
    connection.execute(f"ATTACH {quoted(str(file))} AS stats (STORAGE_VERSION '{STORAGE}')")
    connection.execute(f"CREATE SCHEMA stats.data; CREATE SCHEMA {PARTIAL}")
    for table, names in counts.tables.items():
        rows_of = source(counts.store, names)
        connection.execute(f"CREATE VIEW {PARTIAL}.{table} AS FROM {rows_of}")
    connection.execute("USE stats")
    _copy_ledger(connection, counts)
    for table, query in SUMS.items():
        connection.execute(f"CREATE TABLE data.{table} AS SELECT * FROM ({query}) ORDER BY ALL")
    _copy_clusters(connection, counted.ledger_rows)
    _count_rows(connection, counted)
    made_of = [{MADE_OF[0].name: identity(counts.files)}]
    _table(connection, "made_of", MADE_OF, made_of)
    numbers = measured_numbers(counted.other_scores)
    _table(connection, "funnel", FUNNEL, counted.marker.extra["funnel"])
    _table(connection, "measures", MEASURES, list(_measures(connection, numbers)))
    _table(connection, "histograms", HISTOGRAMS, list(_histograms(connection, numbers, counts)))
    found = _of_rules(connection, counts, counted)
    _table(connection, "sweeps", SWEEPS, list(_sweeps(found, counted)))
    _table(connection, "rule_overlaps", OVERLAPS, list(_overlaps(found, counts.rules)))
    connection.execute("BEGIN")  # each of hundreds of comments would be written out by itself
    for name, (doc, query) in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query}")
        connection.execute(f"COMMENT ON VIEW {name} IS {quoted(doc)}")
    comment(connection, counted.other_scores)
    connection.execute("COMMIT")
    return found


def identity(files: LedgerFiles) -> str:
    """Return what stands for all that statistics are made of: the names of the ledger's files."""
    results = (result for result in files.results if result.view != SHARD.view)
    names = [file.name for file in files.slices()]
    return fingerprint(sorted(names + [file.name for one in results for file in one.files]))


def finish(connection: "DuckDBPyConnection") -> None:
    """Write out and let go of the database that `build` left attached."""
    connection.execute("CHECKPOINT stats")
    connection.execute("USE memory")
    connection.execute("DETACH stats")


def _copy_ledger(connection: "DuckDBPyConnection", counts: PoolCounts) -> None:
    """Copy the rows that tasks have put down, with the shards of the pairs that are in one."""
    ledger = with_verdict(f"{PARTIAL}.{ROWS}", counts.rules)
    joined = ""
    if counts.shards:
        _place(connection, counts)
        joined = " POSITIONAL JOIN memory.places"
    present = {*unsharded(counts.columns), *(("shard", "shard_offset") if joined else ())}
    types = {"shard": "VARCHAR", "shard_offset": "BIGINT"}
    names = ", ".join(
        identifier(name) if name in present else f"NULL::{types[name]} AS {name}"
        for name in counts.columns
    )
    connection.execute(f"CREATE TABLE data.ledger AS SELECT {names} FROM ({ledger}){joined}")
    connection.execute("DROP TABLE IF EXISTS memory.places")
    connection.execute(
        f"CREATE TABLE data.superseded AS SELECT {', '.join(FETCHED)} FROM {PARTIAL}.{SUPERSEDED}"
    )


def _place(connection: "DuckDBPyConnection", counts: PoolCounts) -> None:
    """Make the table `places` of the shard of each row that is copied, in the order of these."""
    shards = source(counts.store, counts.shards)
    connection.execute(
        "CREATE TABLE memory.places AS SELECT shard, shard_offset FROM "
        f"(SELECT row, row_number() OVER () AS place FROM {PARTIAL}.{ROWS}) "
        f"LEFT JOIN (SELECT row, shard, shard_offset FROM {shards}) USING (row) ORDER BY place"
    )


def _copy_clusters(connection: "DuckDBPyConnection", most: int) -> None:
    """Copy the clusters, at most so many and the largest: those of the fewest pairs are left out.

    Clusters of the same size are copied all or none.
    """
    smallest = connection.execute(
        "SELECT min(pairs) FROM (SELECT pairs, sum(clusters) OVER (ORDER BY pairs DESC) AS so_far "
        "FROM data.cluster_sizes) WHERE so_far <= ?",
        [most],
    ).fetchall()[0][0]
    condition = "false" if smallest is None else f"pairs >= {smallest}"
    connection.execute(f"CREATE TABLE data.duplicates AS FROM {PARTIAL}.clusters WHERE {condition}")


def _count_rows(connection: "DuckDBPyConnection", counted: Counted) -> None:
    """Put down how many of the pairs are in the ledger that was copied."""
    copied = connection.execute("SELECT count(*) FROM data.ledger").fetchall()[0][0]
    condition = counted.sampled or "true"
    connection.execute(
        "CREATE TABLE data.ledger_extent AS SELECT ?::BIGINT AS pairs, ?::BIGINT AS rows, "
        "? AS whole, ? AS condition",
        [counted.pairs, copied, counted.sampled is None, condition],
    )


def _table(
    connection: "DuckDBPyConnection",
    name: str,
    columns: Sequence[Column],
    content: list[dict[str, Any]],
) -> None:
    """Create `data.<name>` with the columns declared for it."""
    table = pa.Table.from_pylist(content, schema=arrow_schema(columns))
    connection.register("content", table)
    connection.execute(f"CREATE TABLE data.{name} AS SELECT * FROM content")
    connection.unregister("content")


def _measures(
    connection: "DuckDBPyConnection", numbers: tuple[Column, ...]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `data.measures`."""
    pairs = connection.execute("SELECT sum(pairs)::BIGINT FROM data.outcomes_over_time")
    total = pairs.fetchall()[0][0] or 0
    found = rows(
        connection,
        "SELECT name, sum(pairs)::BIGINT AS measured, min(lowest) AS lowest, "
        f"max(highest) AS highest FROM {PARTIAL}.bins GROUP BY name",
    )
    by_name = {row.pop("name"): row for row in found}
    for column in numbers:
        row = by_name.get(column.name, {"measured": 0, "lowest": None, "highest": None})
        unmeasured = total - row["measured"]
        yield {"name": column.name, "unit": column.unit, "doc": column.doc, **row} | {
            "unmeasured": unmeasured
        }


def _histograms(
    connection: "DuckDBPyConnection", numbers: tuple[Column, ...], counts: PoolCounts
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `data.histograms`."""
    ends = connection.execute(
        f"SELECT name, min(lowest), max(highest) FROM {PARTIAL}.bins GROUP BY name"
    ).fetchall()
    spans = {name: (low, high) for name, low, high in ends}
    for column in numbers:
        if column.name in spans:
            known = counts.bins.get(column.name)
            bins = known or bins_of(Measure.of(column), *spans[column.name])
            index = "bin" if known else bins.index("lowest")
            found = connection.execute(
                f"SELECT {index} AS place, sum(pairs)::BIGINT, sum(kept)::BIGINT, min(lowest), "
                f"max(highest) FROM {PARTIAL}.bins WHERE name = ? GROUP BY place",
                [column.name],
            ).fetchall()
            yield from _bars(column.name, bins, {place: rest for place, *rest in found})


def _of_rules(connection: "DuckDBPyConnection", counts: PoolCounts, counted: Counted) -> OfRules:
    """Return what was counted of the rules, added up."""
    bounds = _bound_counts(connection)
    sweeps = {
        bound.key: list(sweep(bound, counts.bins[bound.key], bounds[bound.key]))
        for bound in counted.bounds
        if bound.key in bounds
    }
    return OfRules(bounds, sweeps, _rule_pairs(connection))


def _sweeps(found: OfRules, counted: Counted) -> Iterator[dict[str, Any]]:
    """Yield the rows of `data.sweeps`; a threshold that is not its rule's bound has none."""
    for bound in counted.bounds:
        for value, survivors in found.sweeps.get(bound.key, ()):
            yield {
                "threshold": bound.key,
                "value": value,
                "survivors": survivors,
                "now": value == bound.at,
            }


def _bound_counts(connection: "DuckDBPyConnection") -> dict[str, BoundCounts]:
    """Return what was counted around each threshold, but those that are not their rules' bounds."""
    found = rows(
        connection,
        "SELECT threshold, bin, sum(pairs)::BIGINT AS pairs, sum(others)::BIGINT AS others, "
        "sum(kept)::BIGINT AS kept, sum(wrong)::BIGINT AS wrong, min(lowest) AS lowest, "
        f"max(highest) AS highest FROM {PARTIAL}.bounds GROUP BY threshold, bin",
    )
    bins: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        bins.setdefault(row["threshold"], []).append(row)
    return {key: one for key, of in bins.items() if (one := _around(of))}


def _around(bins: Sequence[dict[str, Any]]) -> BoundCounts | None:
    """Return what was counted around a threshold; None where it is not its rule's bound."""
    measured = [one for one in bins if one["bin"] is not None]
    if not measured or any(one["wrong"] for one in bins):
        return None
    return BoundCounts(
        sum(one["kept"] for one in bins),
        {one["bin"]: one["pairs"] for one in measured},
        {one["bin"]: one["others"] for one in measured},
        (min(one["lowest"] for one in measured), max(one["highest"] for one in measured)),
    )


def _rule_pairs(connection: "DuckDBPyConnection") -> dict[tuple[int, int], int]:
    """Return how many pairs each two rules say no to, by their places."""
    found = connection.execute(
        f"SELECT first, second, sum(pairs)::BIGINT FROM {PARTIAL}.overlaps GROUP BY ALL "
        "ORDER BY ALL"
    ).fetchall()
    return {(first, second): pairs for first, second, pairs in found}


def _overlaps(found: OfRules, rules: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `data.rule_overlaps`, either rule first in one."""
    for (first, second), pairs in found.overlaps.items():
        if first != second:
            yield {"rule": rules[first], "other": rules[second], "pairs": pairs}


def _bars(name: str, bins: Bins, found: dict[int, list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield a row per bin, also of those without pairs."""
    for index in range(bins.first, bins.last + 1):
        pairs, kept, lowest, highest = found.get(index, (0, 0, math.inf, -math.inf))
        yield {
            "name": name,
            "bin": index - bins.first,
            "low": min(bins.edge(index), lowest),
            "high": max(bins.edge(index + 1), highest),
            "pairs": pairs,
            "kept": kept,
        }
