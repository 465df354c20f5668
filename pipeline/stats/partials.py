"""Partial counts: what tasks write of a block or of a partition, and what is added up afterwards.

A task writes a small Parquet file per table and commits them with one marker. The driver reads the
tables by DuckDB, which keeps on disk what does not fit into memory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import commit, damaged
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import content, files, marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.fetch.request_rates import HOST_RATES, REQUESTS
from pairsieve.pipeline.ledger.ledger import export
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.schemas.columns import (
    CLUSTER,
    DETAIL,
    DUPLICATE_DISTANCE,
    EVAL_DISTANCE,
    EVAL_OVERLAP,
    EVAL_SET,
    FIRST_FAILING,
    HOST,
    HTTP_STATUS,
    KEEP,
    LANGUAGE,
    OUTCOME,
    ROW,
    SHA256,
    Column,
)
from pairsieve.schemas.errors import Stopped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Item = TypeVar("Item")

PAIRS = Column("pairs", pa.int64(), "pairs", "How many pairs.", False)
PARTITION = Column("partition", pa.uint64(), "", "Partition of the hosts.", False)
KEPT = Column("kept", pa.int64(), "pairs", "Of these, how many are kept.", False)
SPENT = (  # on pairs; each of those that share a URL counts
    Column("bytes", pa.int64(), "bytes", "Bytes of the bodies received for them.", False),
    Column("milliseconds", pa.int64(), "ms", "Time from first attempts to the ends.", False),
    Column("attempts", pa.int64(), "requests", "How often their URLs were requested.", False),
)
ANSWERS = (HOST, OUTCOME, HTTP_STATUS, PAIRS, KEPT, *SPENT)
COPIED = (
    CLUSTER,
    ROW,
    SHA256,
    KEEP,
    DUPLICATE_DISTANCE,
    Column("copy", pa.bool_(), "", "Whether another pair is kept in its place.", False),
    HOST,
)
CLUSTERS = (
    CLUSTER,
    PAIRS,
    KEPT,
    Column("files", pa.int64(), "files", "Different files among them.", False),
    Column("max_distance", pa.int32(), "bits", "Largest distance to the kept copy."),
    Column("hosts", pa.int64(), "hosts", "Different hosts among them.", False),
)
SHARING = (
    HOST,
    Column("other", pa.string(), "", "Host name of another.", False),
    Column("clusters", pa.int64(), "clusters", "Images of which both serve copies.", False),
    PAIRS,
    KEPT,
)
SHOWN = Column("shown", pa.list_(pa.int64()), "rows", "Rows of the pairs to show.", False)
NEAR_PAIR = pa.struct(
    [(ROW.name, ROW.type), ("distance", EVAL_DISTANCE.type), ("overlap", EVAL_OVERLAP.type)]
)
BINS = (
    Column("name", pa.string(), "", "Column of the ledger.", False),
    Column("bin", pa.int64(), "", "Index of the bin; null where the bins are not known yet."),
    PAIRS,
    KEPT,
    Column("lowest", pa.float64(), "", "Lowest value.", False),
    Column("highest", pa.float64(), "", "Highest value.", False),
)
# What of the verdicts: around each threshold, and by two rules.
THRESHOLD = Column("threshold", pa.string(), "", "RULE.OPTION.", False)
OF_BOUNDS: dict[str, tuple[Column, ...]] = {
    "bounds": (
        THRESHOLD,
        Column("bin", pa.int64(), "", "Index of the bin; null where nothing is measured."),
        PAIRS,
        Column("others", pa.int64(), "pairs", "Of these, how many all other rules keep.", False),
        Column("kept", pa.int64(), "pairs", "Of those, how many are within the bound.", False),
        Column("wrong", pa.int64(), "pairs", "Pairs of which the rule says another thing.", False),
        Column("lowest", pa.float64(), "", "Lowest value."),
        Column("highest", pa.float64(), "", "Highest value."),
    ),
    "nearest": (
        THRESHOLD,
        Column("inside", pa.bool_(), "", "Whether they are within the bound.", False),
        Column("distance", pa.float64(), "", "From the bound.", False),
        Column("value", pa.float64(), "", "Of what is bounded.", False),
        ROW,
    ),
    "overlaps": (
        Column("first", pa.int32(), "", "Place of a rule.", False),
        Column("second", pa.int32(), "", "Place of another, or of the same.", False),
        PAIRS,
    ),
}
# What a task over a block writes, but for the rows of the ledger.
OF_BLOCK: dict[str, tuple[Column, ...]] = {
    "answers": (PARTITION, *ANSWERS),
    "requests": (PARTITION, *REQUESTS[:2], Column("requests", pa.int64(), "requests", "", False)),
    "times": (
        Column("start", pa.int64(), "s", "Start of the step since 1970; null without a fetch."),
        OUTCOME,
        HTTP_STATUS,
        PAIRS,
        Column("earliest", pa.int64(), "ms", "Time of the first fetch since 1970."),
        Column("latest", pa.int64(), "ms", "Time of the last."),
    ),
    "examples": (OUTCOME, ROW, DETAIL),
    "languages": (LANGUAGE, PAIRS, KEPT),
    "concepts": (
        Column("digits", pa.int32(), "", "Digits of the pairs of the rarest entry.", False),
        PAIRS,
        KEPT,
    ),
    "bins": BINS,
    "samples": (
        FIRST_FAILING,
        Column("rank", pa.uint64(), "", "Hash of pair and seed; the lowest are shown.", False),
        ROW,
    ),
    "evaluated": (
        EVAL_SET,
        PAIRS,
        KEPT,
        Column("near", pa.int64(), "pairs", "Pairs near by pHash.", False),
        Column("dropped", pa.int64(), "pairs", "Pairs that a rule on evaluation sets drops."),
        Column("max_overlap", pa.float32(), "", "Highest cosine."),
        Column("shown", pa.list_(NEAR_PAIR), "", "The nearest pairs."),
    ),
    "copies": COPIED,
    **OF_BOUNDS,
}
OF_HOSTS = {"merged": ANSWERS, "rates": HOST_RATES}
OF_CLUSTERS = {
    "clusters": CLUSTERS,
    "sizes": (PAIRS, Column("clusters", pa.int64(), "clusters", "How many.", False), KEPT),
    "largest": (*CLUSTERS, SHOWN),
    "sharing": SHARING,
}
Queries = Mapping[str, str]  # table -> the query of its rows


def written(
    connection: "DuckDBPyConnection",
    store: Store,
    task: tuple[str, int],
    tables: Mapping[str, tuple[Column, ...]],
    queries: Queries,
) -> Marker:
    """Write the tables of a task, (folder, number), and return a marker that names them."""
    folder, number = task
    entries = {}
    for table, columns in tables.items():
        path = content(folder, task_name(number), f".{table}.parquet")
        with store.writer(path) as sink:
            export(connection, queries[table], sink, columns)
        entries[path] = sink.entry()
    return Marker(0, entries)


def committed(store: Store, task: tuple[str, int], marker: Marker) -> Marker:
    """Commit a task, (folder, number), and return the marker that holds."""
    return commit(store, marker_path(task[0], task_name(task[1])), marker)


def run(
    store: Store,
    engine: Engine,
    folder: str,
    function: Callable[[Item], Marker],
    items: dict[str, Item],
) -> list[Marker]:
    """Do the tasks of a round and return their markers, in order, once their tables are whole.

    A table that a task has left may wait for long, where a report was killed; so a task of which
    one is gone or has other bytes is done once more.

    Raises:
        Stopped: a task's process kept dying, or what it has just left is damaged, too.
    """
    for _ in range(2):
        rounds.run(store, engine, folder, function, items)
        markers = store.markers(folder)
        wrong = dict(damaged(store, markers.values(), hashed=".parquet"))
        if not wrong:
            return list(markers.values())
        names = [name for name, marker in markers.items() if wrong.keys() & marker.files.keys()]
        store.delete(marker_path(folder, name) for name in names)
    name, why = next(iter(wrong.items()))
    raise Stopped(f"{store.location(name)}: {why}, twice; is the disk sound?")


def of_table(markers: Iterable[Marker], table: str) -> list[str]:
    """Return the files of a table, in the order of the tasks."""
    return files(markers, f".{table}.parquet")


def source(store: Store, names: Sequence[str]) -> str:
    """Return the rows of Parquet files, at least one, as SQL."""
    return f"read_parquet([{', '.join(quoted(store.location(name)) for name in names)}])"
