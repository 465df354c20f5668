"""Fetches: what the report says of them, by host and over time, and what that usually means."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.fetch.diagnosis import Fetches, answer, diagnose, worst
from pairsieve.pipeline.ledger.sql import HOST, rows
from pairsieve.pipeline.stats.timeline import TIMELINE, timeline
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HOSTS_ASKED = 1000  # with the most failures, for what these mean


def fetches(connection: "DuckDBPyConnection", recipe: Recipe, most: int) -> dict[str, Any]:
    """Return what the page shows of the fetches, of the `most` worst hosts, from stats.duckdb."""
    over_time = rows(
        connection,
        "SELECT epoch_ms(start) // 1000 AS start, * EXCLUDE start FROM outcomes_over_time "
        "ORDER BY outcomes_over_time.start",
    )
    outcomes: dict[int, Counter[str]] = defaultdict(Counter)
    steps: dict[int, Counter[str]] = defaultdict(Counter)
    for row in over_time:
        outcomes[row["start"]][row["outcome"]] += row["pairs"]
        steps[row["start"]][answer(row["outcome"], row["http_status"])] += row["pairs"]
    answered = rows(
        connection, "SELECT outcome, http_status, count(*) AS pairs FROM ledger GROUP BY ALL"
    )
    answers = {answer(row["outcome"], row["http_status"]): row["pairs"] for row in answered}
    counted = Fetches(answers, _failing_hosts(connection), list(steps.items()))
    peak = rows(connection, "FROM politeness LIMIT 1")
    return {
        "diagnoses": diagnose(counted),
        "worst_hosts": worst(counted.hosts, most),
        "timeline": timeline(list(outcomes.items()), over_time[0]["seconds"] if over_time else 1),
        "timeline_size": TIMELINE,
        "politeness": request_rates.sentence(peak[0], recipe) if peak else None,
    }


def _failing_hosts(connection: "DuckDBPyConnection") -> dict[str, Counter[str]]:
    """Return the pairs per answer of the hosts with the most failures."""
    hosts: dict[str, Counter[str]] = defaultdict(Counter)
    most = (
        "SELECT host FROM hosts WHERE host != '' AND ok < pairs "
        f"ORDER BY pairs - ok DESC, host LIMIT {HOSTS_ASKED}"
    )
    for row in rows(
        connection,
        f"SELECT {HOST} AS host, outcome, http_status, count(*) AS pairs FROM ledger "
        f"WHERE {HOST} IN ({most}) GROUP BY ALL",
    ):
        hosts[row["host"]][answer(row["outcome"], row["http_status"])] += row["pairs"]
    return hosts
