"""Copies and failures: of the statistics where they are of the ledger as it is now, else of that.

Counting a ledger takes seconds for every million pairs; the statistics have it counted.
"""

from collections.abc import Iterator
from typing import Any

from pairsieve.filters.placeholder import Placeholder
from pairsieve.pipeline.explore.database import Database
from pairsieve.pipeline.unit.fetch_diagnosis import STEPS_S
from pairsieve.schemas.columns import (
    PLACEHOLDER_CAPTIONS,
    PLACEHOLDER_HOSTS,
    PLACEHOLDER_REPEATED,
    PLACEHOLDER_UNRELATED,
)
from pairsieve.schemas.outcomes import Outcome

STEPS = 60  # of time, at most
Row = dict[str, Any]


def clusters(database: Database, count: int) -> list[Row]:
    """Return the largest clusters of copies: cluster, pairs, hosts, kept, farthest."""
    if database.counted:
        return database.rows(
            "SELECT cluster, pairs, hosts, kept, max_distance AS farthest FROM duplicates "
            f"ORDER BY pairs DESC, cluster LIMIT {int(count)}"
        )
    return database.rows(
        "SELECT cluster, count(*) AS pairs, count(DISTINCT host) AS hosts, "
        "count(*) FILTER (keep) AS kept, max(duplicate_distance) AS farthest FROM ledger "
        "WHERE cluster IS NOT NULL GROUP BY cluster HAVING count(*) > 1 "
        f"ORDER BY pairs DESC, cluster LIMIT {int(count)}",
    )


def hosts_sharing(database: Database, count: int) -> list[Row]:
    """Return the hosts that share most pictures, two by two; none without statistics of now."""
    if not database.counted:
        return []
    return database.rows(
        "SELECT host, other, clusters AS pictures, pairs, kept FROM hosts_sharing "
        f"ORDER BY clusters DESC, host, other LIMIT {int(count)}"
    )


def placeholders(database: Database, count: int) -> list[Row]:
    """Return the clusters that many hosts show under unrelated captions, that of most hosts first.

    As many and as unrelated as the filter `placeholder` asks by default; `group` counts them where
    a rule of the recipe reads them.
    """
    filter_ = Placeholder()
    hosts, captions = PLACEHOLDER_HOSTS.name, PLACEHOLDER_CAPTIONS.name
    unrelated, repeated = PLACEHOLDER_UNRELATED.name, PLACEHOLDER_REPEATED.name
    return database.rows(
        f"SELECT cluster, count(*) AS pairs, max({hosts}) AS hosts, max({captions}) AS captions, "
        f"max({unrelated}) AS unrelated, max({repeated}) AS repeated FROM parts.grouped "
        f"WHERE {hosts} >= {filter_.min_hosts} AND {captions} >= {filter_.min_captions} "
        f"AND {unrelated} >= {filter_.min_unrelated} "
        f"GROUP BY cluster ORDER BY hosts DESC, cluster LIMIT {int(count)}"
    )


def members(database: Database, cluster: int, count: int) -> list[Row]:
    """Return pairs of a cluster, its keeper first: row, keeper, duplicate_distance."""
    return database.rows(
        "SELECT row, duplicate_of IS NULL AS keeper, duplicate_distance FROM parts.grouped "
        f"WHERE cluster = {int(cluster)} ORDER BY keeper DESC, duplicate_distance, row "
        f"LIMIT {int(count)}",
    )


def outcomes(database: Database) -> list[Row]:
    """Return how many pairs have each outcome, and what it means."""
    meaning = {str(outcome): outcome.doc for outcome in Outcome}
    transient = {str(outcome) for outcome in Outcome if outcome.transient}
    found = database.rows(
        "SELECT outcome, any_value(outcomes.pairs) AS pairs, any_value(detail ORDER BY row) AS "
        "example FROM outcomes LEFT JOIN stats.ledger USING (outcome) GROUP BY outcome "
        "ORDER BY pairs DESC, outcome"
        if database.counted
        else "SELECT outcome, count(*) AS pairs, any_value(detail ORDER BY row) AS example "
        "FROM ledger GROUP BY outcome ORDER BY pairs DESC, outcome"
    )
    return [
        row
        | {
            "may_pass": row["outcome"] in transient,
            "meaning": meaning.get(row["outcome"], ""),
        }
        for row in found
    ]


def failing_hosts(database: Database, count: int) -> list[Row]:
    """Return the hosts with the most pairs without an image: host, failed, pairs, most_often."""
    counted = (
        "host_outcomes"
        if database.counted
        else "(SELECT host, outcome, count(*) AS pairs FROM ledger GROUP BY ALL)"
    )
    return database.rows(
        "SELECT coalesce(host, '') AS host, "
        "(sum(of.pairs) FILTER (outcome <> 'ok'))::BIGINT AS failed, "
        "sum(of.pairs)::BIGINT AS pairs, "
        "arg_max(outcome, of.pairs ORDER BY outcome) FILTER (outcome <> 'ok') AS most_often "
        f"FROM {counted} AS of GROUP BY ALL HAVING failed > 0 "
        f"ORDER BY failed DESC, host LIMIT {int(count)}",
    )


def over_time(database: Database) -> list[Row]:
    """Return how many fetches of each outcome began in each step of time: start, outcome, pairs."""
    if database.counted:
        return database.rows(
            "SELECT start, outcome, sum(pairs)::BIGINT AS pairs FROM outcomes_over_time "
            "GROUP BY ALL ORDER BY start, outcome"
        )
    (ends,) = database.rows(
        "SELECT epoch_ms(min(fetched_at)) // 1000 AS first, epoch_ms(max(fetched_at)) // 1000 "
        "AS last FROM ledger",
    )
    if ends["first"] is None:
        return []
    step = _step(ends["last"] - ends["first"])
    return database.rows(
        f"SELECT make_timestamp(epoch_ms(fetched_at) // {step * 1000} * {step} * 1000000) "
        "AS start, outcome, count(*) AS pairs FROM ledger WHERE fetched_at IS NOT NULL "
        "GROUP BY ALL ORDER BY start, outcome",
    )


def _step(seconds: int) -> int:
    """Return the shortest step of time, s, of which `STEPS` hold so many seconds."""
    fitting: Iterator[int] = (step for step in STEPS_S if step * (STEPS - 1) > seconds)
    return next(fitting, STEPS_S[-1])
