"""Second rounds: counts that need pairs of several blocks, by partition of hosts or of clusters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.request_rates import PER_HOST
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.stats.block_counts import FIRST, LAST, copied
from pairsieve.pipeline.stats.partials import (
    OF_CLUSTERS,
    OF_HOSTS,
    SPENT,
    committed,
    of_table,
    source,
    written,
)
from pairsieve.schemas.columns import (
    CLUSTER,
    DUPLICATE_DISTANCE,
    DUPLICATE_OF,
    HOST,
    KEEP,
    SHA256,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TASKS = 64  # at most so many partitions, each of which reads what every block has left for it
CLUSTERS_SHOWN = 6
COPIES_SHOWN = 4  # of a cluster
HEADS = [c.name for c in (CLUSTER, SHA256, KEEP, DUPLICATE_OF, DUPLICATE_DISTANCE, HOST)]
HOSTS_PAIRED = 20  # of a cluster, those of most pairs: every two of them share it
SHARING_LEFT = 100_000  # pairs of hosts that a task leaves, those that share most
Span = tuple[int, int]  # the first and the last row of a block


def partitions(blocks: int) -> int:
    """Return how many partitions of the hosts there are."""
    return min(TASKS, max(1, blocks // 8))


def merge_hosts(
    store: Store, counted: Sequence[Marker], folder: str, threads: int | None, item: tuple[int, int]
) -> Marker:
    """Add up the answers and the request rates of the hosts of a partition, and commit them."""
    number = item[0]
    with connect(store, threads=threads) as connection:
        for table in ("answers", "requests"):
            rows = source(store, of_table(counted, table))
            connection.execute(
                f"CREATE VIEW {table} AS SELECT * EXCLUDE (partition) FROM {rows} "
                f"WHERE partition = {number}"
            )
        spent = ", ".join(f"sum({c.name})::BIGINT AS {c.name}" for c in SPENT)
        queries = {
            "merged": "SELECT host, outcome, http_status, sum(pairs)::BIGINT AS pairs, "
            f"sum(kept)::BIGINT AS kept, {spent} FROM answers GROUP BY ALL ORDER BY ALL",
            "rates": f"{PER_HOST} ORDER BY host",
        }
        marker = written(connection, store, (folder, number), OF_HOSTS, queries)
    return committed(store, (folder, number), marker)


def cluster_tasks(
    blocks: Sequence[Block], counted: Sequence[Marker]
) -> list[list[tuple[Block, Span]]]:
    """Return the blocks that hold the first pairs of clusters, some for each task."""
    spans = [(marker.extra[FIRST], marker.extra[LAST]) for marker in counted]
    whole = list(zip(blocks, spans, strict=True))
    each = -(-len(whole) // TASKS)
    return [whole[start : start + each] for start in range(0, len(whole), each)]


def merge_clusters(
    copies: Sequence[str], folder: str, item: tuple[int, list[tuple[Block, Span]]]
) -> Marker:
    """Count the clusters whose first pair is in some blocks, and commit them.

    A cluster is called by its first row. So a block has the first pair of its own clusters, and
    other pairs come from `copies`, the files that have those of all blocks.
    """
    number, blocks = item
    store, threads = blocks[0][0].store, blocks[0][0].threads
    with connect(store, threads=threads) as connection:
        _members(connection, blocks, source(store, copies))
        queries = {
            "clusters": "FROM clusters ORDER BY cluster",
            "sizes": "SELECT pairs, count(*) AS clusters, sum(kept)::BIGINT AS kept "
            "FROM clusters GROUP BY pairs ORDER BY pairs",
            "largest": _LARGEST,
            "sharing": _SHARING,
        }
        marker = written(connection, store, (folder, number), OF_CLUSTERS, queries)
    return committed(store, (folder, number), marker)


def _members(
    connection: "DuckDBPyConnection", blocks: list[tuple[Block, Span]], copies: str
) -> None:
    """Make the tables `members` and `clusters` of the clusters that begin in the blocks."""
    spans = ", ".join(f"({first}, {last})" for _, (first, last) in blocks)
    low, high = min(span[0] for _, span in blocks), max(span[1] for _, span in blocks)
    connection.execute(
        f"CREATE TABLE members AS SELECT copies.* FROM {copies} AS copies, "
        f"(VALUES {spans}) AS spans(first, last) WHERE cluster BETWEEN {low} AND {high} "
        "AND cluster BETWEEN first AND last"
    )
    for block, _ in blocks:
        table = block_table(block.store, block.files, HEADS, block.threads)
        connection.register("heads", table)
        connection.execute(
            f"INSERT INTO members SELECT {copied()} FROM heads "
            "WHERE cluster = row AND row IN (SELECT cluster FROM members)"
        )
        connection.unregister("heads")
    connection.execute(
        "CREATE TABLE clusters AS SELECT cluster, count(*) AS pairs, "
        "count(*) FILTER (keep) AS kept, count(DISTINCT sha256) AS files, "
        "max(duplicate_distance) AS max_distance, count(DISTINCT host) AS hosts FROM members "
        "GROUP BY cluster HAVING count(*) > 1"
    )


# One pair per different file of the largest clusters, the one that is kept first.
_LARGEST = f"""
    WITH largest AS (FROM clusters ORDER BY pairs DESC, cluster LIMIT {CLUSTERS_SHOWN}),
    firsts AS (
        SELECT cluster, row, copy FROM members SEMI JOIN largest USING (cluster)
        QUALIFY row_number() OVER (PARTITION BY cluster, sha256 ORDER BY copy, row) = 1
    )
    SELECT largest.*, list(row ORDER BY copy, row)[:{COPIES_SHOWN}] AS shown
    FROM largest JOIN firsts USING (cluster) GROUP BY ALL ORDER BY pairs DESC, cluster
"""
_SHARING = f"""
    WITH of_hosts AS (
        SELECT cluster, host, count(*) AS pairs, count(*) FILTER (keep) AS kept FROM members
        WHERE host IS NOT NULL GROUP BY cluster, host QUALIFY
        row_number() OVER (PARTITION BY cluster ORDER BY count(*) DESC, host) <= {HOSTS_PAIRED}
    )
    SELECT one.host, another.host AS other, count(*) AS clusters,
    sum(one.pairs + another.pairs)::BIGINT AS pairs, sum(one.kept + another.kept)::BIGINT AS kept
    FROM of_hosts AS one JOIN of_hosts AS another
    ON one.cluster = another.cluster AND one.host < another.host
    GROUP BY ALL ORDER BY clusters DESC, one.host, other LIMIT {SHARING_LEFT}
"""
