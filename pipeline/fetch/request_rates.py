"""Request rates: how many requests each host saw, second by second, over all units at once.

Every task slice writes what it sent, robots.txt, redirects and retries included, into a small file
beside its part of the ledger (`.requests.pq`, so that it is not taken for one). Units that ran at
the same time, anywhere, are added up by second.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, REQUESTS_SUFFIX, files
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.schemas.columns import Column, arrow_schema
from pairsieve.schemas.recipe import Fetch, Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class HostRate:
    """Requests that one host saw: all, most in a second, per second in its busiest minute."""

    host: str
    requests: int
    peak_per_s: int
    per_s: float


REQUESTS = (
    Column("host", pa.string(), "", "Host name of the requests.", False),
    Column("second", pa.int64(), "s", "Second since 1970 UTC.", False),
    Column("requests", pa.int32(), "requests", "Requests sent in that second.", False),
)
HOST_RATES = (
    Column("host", pa.string(), "", "Host name of the requests.", False),
    Column("requests", pa.int64(), "requests", "Requests sent to it.", False),
    Column("peak_per_s", pa.int64(), "requests", "Most of them in one second.", False),
    Column("per_s", pa.float64(), "requests/s", "Rate over its busiest minute.", False),
)
# Of the view `requests`: a row of POLITENESS per host.
PER_HOST = """
    WITH seconds AS (SELECT host, second, sum(requests) AS n FROM requests GROUP BY ALL),
    minutes AS (SELECT host, sum(n) AS n, max(n) AS peak FROM seconds GROUP BY host, second // 60)
    SELECT host, sum(n)::BIGINT AS requests, max(peak)::BIGINT AS peak_per_s, max(n) / 60 AS per_s
    FROM minutes GROUP BY host
"""


def write(sent: Counter[tuple[str, int]], sink: Any) -> None:
    """Write the requests sent, counted by host and second, as Parquet in that order."""
    import pyarrow.parquet as pq

    rows = [(host, second, count) for (host, second), count in sorted(sent.items())]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    schema = arrow_schema(REQUESTS)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression="zstd")


def attach(connection: "DuckDBPyConnection", store: Store) -> None:
    """Define the view `requests`, all that the dataset's task slices have sent."""
    names = files(store.markers(GATHER_FOLDER).values(), REQUESTS_SUFFIX)
    if names:
        relation = connection.read_parquet([store.location(name) for name in names])
    else:
        relation = connection.from_arrow(arrow_schema(REQUESTS).empty_table())
    relation.create_view("requests")


def highest(store: Store) -> HostRate | None:
    """Return the rate of the host that saw the highest one, None without requests."""
    with connect(store) as connection:
        attach(connection, store)
        query = f"FROM ({PER_HOST}) ORDER BY peak_per_s DESC, per_s DESC, host LIMIT 1"
        row = connection.execute(query).fetchone()
    return HostRate(*row) if row else None


def limit_of(host: str, fetch: Fetch) -> float:
    """Return how many requests per second the recipe lets a host see."""
    own = fetch.hosts[host].per_s if host in fetch.hosts else None
    return own or fetch.per_host_per_s


def sentence(peak: HostRate, recipe: Recipe) -> str:
    """Return in one line the highest rate that any host saw and the limit of the recipe."""
    limit = f"{limit_of(peak.host, recipe.fetch):g} per second" if recipe.fetch else "not said"
    return (
        f"Most requests that any host saw in one second: {peak.peak_per_s:,} "
        f"({peak.host[:200]}; {peak.per_s:.2f} per second over its busiest minute); "
        f"the limit was {limit}."
    )
