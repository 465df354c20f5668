"""The hosts of a whole input: how many of its pairs each has, and some of their URLs."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.addresses import target_of
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.input import parquet
from pairsieve.pipeline.input.files import open_file
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.columns import URL

# Of the URL as it is written: a host that is spelt in two ways counts as two.
_HOST = r"""
    lower(regexp_extract(url,
        '^\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:\\]+)', 1))
"""
REPEATED = 20  # URLs that are looked at for one that differs from the others
_SCHEMA = pa.schema([("url", pa.string())])


def largest(
    plan: Plan, store: Store, count: int, further: Iterable[str] = ()
) -> list[tuple[str, int]]:
    """Return the hosts with the most pairs of the input, and how many each has; and `further` ones.

    All URLs are read, a few at a time; what does not fit into memory of the counts is spilled.
    """
    return _found(
        plan,
        store,
        f"SELECT {_HOST} AS host, count(*) AS pairs FROM urls WHERE host != '' "
        "GROUP BY host QUALIFY row_number() OVER (ORDER BY pairs DESC, host) <= ? "
        "OR list_contains(?::VARCHAR[], host) ORDER BY pairs DESC, host",
        [count, list(further)],
    )


def some_urls(plan: Plan, store: Store, hosts: Iterable[str], count: int) -> dict[str, list[str]]:
    """Return of each host, as `largest` names it, some of its different URLs, by their hashes.

    What cannot be requested is left out, and so is a host that has nothing else.
    """
    found = _found(
        plan,
        store,
        f"SELECT {_HOST} AS host, arg_min(url, md5(url), ?) FROM urls "
        "WHERE list_contains(?::VARCHAR[], host) GROUP BY host",
        [REPEATED * count, list(hosts)],
    )
    some = {host: [url for url in dict.fromkeys(urls) if _askable(url)] for host, urls in found}
    return {host: urls[:count] for host, urls in some.items() if urls}


def _found(plan: Plan, store: Store, query: str, values: list[Any]) -> list[Any]:
    """Return the rows of a query over the table `urls`, of which a part is in memory at a time."""
    with connect(store) as connection:
        urls = pa.RecordBatchReader.from_batches(_SCHEMA, _urls(plan, store))
        connection.register("urls", urls)
        found: list[Any] = connection.execute(query, values).fetchall()
        connection.unregister("urls")
    return found


def _askable(url: str) -> bool:
    return isinstance(target_of(url), CanonicalUrl)


def _urls(plan: Plan, store: Store) -> Iterator[pa.RecordBatch]:
    """Yield the URLs of the files that the plan reads, null where one is none."""
    if plan.staged:
        column, files = URL.name, [store.location(name) for name, _ in plan.staged]
    else:
        column = plan.measuring["input"]["url"]
        files = [file.path for file in plan.files if file.rows]
    for location in files:
        yield from _of_file(location, column)


def _of_file(location: str, column: str) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with open_file(location) as stream:
        file = pq.ParquetFile(stream)
        if column not in file.schema_arrow.names:
            return
        for batch in file.iter_batches(columns=[column]):
            texts, _ = parquet.texts(pa.chunked_array([batch.column(0)]))
            yield pa.record_batch([texts.combine_chunks()], schema=_SCHEMA)
