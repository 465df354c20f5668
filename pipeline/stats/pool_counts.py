"""The counts of the whole pool: rounds of tasks over blocks, then over hosts and over clusters.

Every task commits like a unit, so a report that was killed goes on. Nothing on the driver grows
with the pairs: it knows the files that tasks have left, and where blocks and units begin.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    REQUESTS_SUFFIX,
    parsed,
    report_rounds,
    task_name,
)
from pairsieve.pipeline.dataset.stages import SHARD
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.files import LedgerFiles
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.ledger.rules import Rule
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.stats import copied_rows, partials
from pairsieve.pipeline.stats.block_counts import UNITS, BlockItem, Counting, count_block
from pairsieve.pipeline.stats.bound_counts import CountedBound
from pairsieve.pipeline.stats.copied_rows import ROWS, SUPERSEDED, unsharded
from pairsieve.pipeline.stats.histogram_bins import Bins, Measure, find_bins, measured_numbers
from pairsieve.pipeline.stats.merged_counts import (
    cluster_tasks,
    merge_clusters,
    merge_hosts,
    partitions,
)
from pairsieve.pipeline.stats.partials import OF_BLOCK, OF_CLUSTERS, OF_HOSTS, of_table
from pairsieve.schemas.columns import FAILING, FIRST_FAILING, Column

VERSION = 5  # of what is counted
REPORT_UNITS = 25  # units of a block: its rows are read whole, with captions and URLs


@dataclass(frozen=True)
class Counted:
    """What is counted of a selection.

    Attributes:
        name: Of the selection.
        marker: Its marker.
        rules: The rules of the recipe.
        seed: Of the pairs to show and of the rows to copy.
        ledger_rows: Copied is a ledger of at most so many rows, of a larger one a sample.
        evaluated: The condition on `failing` that a rule on evaluation sets dropped a pair.
        other_scores: Columns that further models measured.
        bounds: The thresholds of its rules to count around.
    """

    name: str
    marker: Marker
    rules: tuple[Rule, ...]
    seed: int
    ledger_rows: int
    evaluated: str
    other_scores: tuple[Column, ...]
    bounds: tuple[CountedBound, ...] = ()

    @property
    def pairs(self) -> int:
        """Return how many pairs were judged."""
        return self.marker.counts["pairs"]

    @property
    def sampled(self) -> str | None:
        """Return the condition on a row to be copied; None where all are."""
        return copied_rows.sampled(self.pairs, self.ledger_rows, self.seed)


@dataclass(frozen=True)
class PoolCounts:
    """Where the counts of a pool are.

    Attributes:
        store: The dataset.
        files: The files of the ledger; those of shards are in `shards`.
        shards: The files that say in which shard a pair is.
        columns: The columns of the ledger, in order.
        bins: The bins of the numbers, and of thresholds, that are measured in many units.
        blocks: The markers of the blocks.
        tables: The files of every table.
    """

    store: Store
    files: LedgerFiles
    shards: tuple[str, ...]
    columns: tuple[str, ...]
    bins: Mapping[str, Bins]
    blocks: Sequence[Marker]
    tables: Mapping[str, list[str]]

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the names of the rules behind the bits of a verdict."""
        return rules_of(self.files)

    def unit_of(self, row: int) -> int:
        """Return the unit that has a row."""
        return self._units[bisect_right(self._units, (row, math.inf)) - 1][1]

    @cached_property
    def _units(self) -> list[tuple[int, int]]:
        """Return the first row and the number of each unit, in order."""
        spans = (marker.extra[UNITS].items() for marker in self.blocks)
        return sorted((first, int(unit)) for of in spans for unit, (first, _) in of)


def count_pool(
    counted: Counted, store: Store, engine: Engine, whole: LedgerFiles, units: int = REPORT_UNITS
) -> PoolCounts:
    """Count the pool, whose files `whole` names, in blocks of so many units.

    Raises:
        Stopped: a task's process kept dying, or a file is not what was committed.
    """
    sharded = [result for result in whole.results if result.view == SHARD.view]
    results = tuple(result for result in whole.results if result not in sharded)
    files = replace(whole, scores={"": (), **whole.scores}, results=results)
    known = _Units.of(store)
    identity = fingerprint(
        VERSION,
        counted.marker.extra["fingerprint"],
        (counted.seed, counted.sampled, counted.evaluated, units),
        [column.name for column in counted.other_scores],
        counted.bounds,
        files.measured(),
        [result.files for result in results],
        known.requests,
    )
    folder = partial(report_rounds, counted.name, identity)
    numbers = measured_numbers(counted.other_scores)
    measures = [*map(Measure.of, numbers), *(bound.bins() for bound in counted.bounds)]
    bins = find_bins(store, engine, files, measures, folder("bins"))
    pool = Pool(store, engine, files, units)
    schema = pool.schema()
    counting = Counting(
        folder("blocks"),
        _schema(schema),
        tuple((column, bins.get(column.name)) for column in numbers),
        rules_of(files),
        counted.evaluated,
        counted.seed,
        counted.sampled,
        partitions(len(pool.blocks)),
        tuple((bound, bins[bound.key]) for bound in counted.bounds if bound.key in bins),
        tuple(rule.name for rule in counted.rules if rule.quota),
    )
    blocks = _count_blocks(pool, counting, known, units)
    hosts, clusters = _merge(pool, blocks, counting.partitions, folder("hosts"), folder("clusters"))
    tables = {table: of_table(blocks, table) for table in (*OF_BLOCK, ROWS, SUPERSEDED)}
    tables |= {table: of_table(hosts, table) for table in OF_HOSTS}
    tables |= {table: of_table(clusters, table) for table in OF_CLUSTERS}
    shards = tuple(file.name for result in sharded for file in result.files)
    every = tuple(dict.fromkeys((*schema.names, *(c.name for c in SHARD.columns))))
    return PoolCounts(store, files, shards, every, bins, blocks, tables)


def rules_of(files: LedgerFiles) -> tuple[str, ...]:
    """Return the names of the rules behind the bits of a verdict."""
    return next((result.rules for result in files.results if result.rules), ())


def dropped_by(rules: Sequence[str]) -> str:
    """Return the condition that one of the rules said no."""
    return f"list_has_any(failing, [{', '.join(map(quoted, rules))}]::VARCHAR[])"


def _schema(whole: pa.Schema) -> pa.Schema:
    """Return the columns of the ledger as they are copied: without shards, verdicts as bits."""
    names = set(unsharded(whole.names)) - {FIRST_FAILING.name, FAILING.name}
    bits = pa.field(FAILING_BITS.name, FAILING_BITS.type)
    return pa.schema([*(field for field in whole if field.name in names), bits])


@dataclass(frozen=True, slots=True)
class _Units:
    """What is known of units: the files of their requests, and how many pairs each has."""

    requests: Mapping[int, list[str]]
    pairs: Mapping[int, int]

    @classmethod
    def of(cls, store: Store) -> "_Units":
        """Return what the markers of `gather` say."""
        requests: dict[int, list[str]] = {}
        pairs: dict[int, int] = {}
        for name, marker in store.markers(GATHER_FOLDER).items():
            unit, layer, _ = parsed(name)
            sent = [file for file in marker.files if file.endswith(REQUESTS_SUFFIX)]
            requests.setdefault(unit, []).extend(sent)
            if not layer and marker.rows:
                pairs[unit] = pairs.get(unit, 0) + marker.rows
        return cls({unit: files for unit, files in requests.items() if files}, pairs)


def _count_blocks(pool: Pool, counting: Counting, known: _Units, units: int) -> list[Marker]:
    """Count the blocks, each with the requests of its units; return their markers in order."""
    numbers = [_number(block, units) for block in pool.blocks]
    there = set(numbers)
    requests: dict[int, list[str]] = {}
    for unit, files in known.requests.items():  # a unit may have asked and have no pair
        number = unit // units
        requests.setdefault(number if number in there else numbers[0], []).extend(files)
    pairs: dict[int, dict[int, int]] = {}
    for unit, rows in known.pairs.items():
        pairs.setdefault(unit // units, {})[unit] = rows
    items = {
        task_name(block.number): BlockItem(block, requests.get(number, ()), pairs.get(number, {}))
        for block, number in zip(pool.blocks, numbers, strict=True)
    }
    task = partial(count_block, counting)
    return partials.run(pool.store, pool.engine, counting.folder, task, items)


def _number(block: Block, units: int) -> int:
    """Return which units a block has, counted in blocks; 0 for one without pairs."""
    return block.files.units[0] // units if block.files.units else 0


def _merge(
    pool: Pool, blocks: Sequence[Marker], parts: int, hosts: str, clusters: str
) -> Iterator[list[Marker]]:
    """Add up by host and by cluster; yield the markers of either."""
    store, engine = pool.store, pool.engine
    of_hosts = partial(merge_hosts, store, _named(blocks), hosts, engine.task_threads)
    yield partials.run(store, engine, hosts, of_hosts, rounds.numbered(range(parts)))
    copies = of_table(blocks, "copies")
    items = rounds.numbered(cluster_tasks(pool.blocks, blocks))
    yield partials.run(store, engine, clusters, partial(merge_clusters, copies, clusters), items)


def _named(markers: Sequence[Marker]) -> list[Marker]:
    """Return markers with the names of their files alone, which is all that tasks need."""
    return [Marker(0, {name: {} for name in marker.files}) for marker in markers]
