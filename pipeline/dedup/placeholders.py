"""Placeholders: images that many hosts show under captions which have nothing in common.

A placeholder stands in for many pictures of each site, so most of these hosts show it under several
captions; a photograph out of a stock is shown once.

Copies are those of `copies`. A caption counts as its words in lower case; of each cluster up to
`SAMPLED` different ones, drawn by their MD5, are compared two by two. So the cost is linear in the
pairs, however large the cluster of the commonest placeholder is.
"""

from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.rules import reads
from pairsieve.schemas.columns import (
    PLACEHOLDER_CAPTIONS,
    PLACEHOLDER_HOSTS,
    PLACEHOLDER_REPEATED,
    PLACEHOLDER_UNRELATED,
    STEPS,
)
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "placeholders"
COLUMNS = STEPS["dedup.placeholders"]
SAMPLED = 16  # captions of a cluster that are compared: 120 pairs
RELATED = 3  # captions that share at least one of so many words of the shorter are related
READ_CHARS = 1000  # of a caption
WORDS = (
    rf"trim(regexp_replace(lower(substr(text, 1, {READ_CHARS})), '[^\p{{L}}\p{{N}}]+', ' ', 'g'))"
)


def options(recipe: Recipe) -> str | None:
    """Return what shapes the result, None where no rule of the recipe reads it."""
    return "requested" if reads(recipe, COLUMNS) else None


def versions(recipe: Recipe) -> list[Any]:
    """Return nothing: the result depends on the ledger alone."""
    return []


def find(connection: "DuckDBPyConnection", recipe: Recipe, store: Store, engine: Engine) -> int:
    """Make the table `placeholders` out of `ledger` and `copies`: `row` and `COLUMNS`.

    An image without copies has one host and one caption. Return how many have several hosts.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE seen AS
        SELECT copies.cluster,
               count(DISTINCT host) AS hosts,
               count(DISTINCT nullif({WORDS}, '')) AS captions,
               min_by(DISTINCT nullif({WORDS}, ''), md5({WORDS}), {SAMPLED}) AS sample
        FROM ledger JOIN copies USING (row)
        WHERE copies.cluster IN (SELECT cluster FROM copies GROUP BY ALL HAVING count(*) > 1)
        GROUP BY ALL;
        CREATE TEMP TABLE repeated AS
        SELECT cluster, avg((captions > 1)::INT) AS share
        FROM (SELECT cluster, host, count(DISTINCT nullif({WORDS}, '')) AS captions
              FROM ledger JOIN copies USING (row)
              WHERE host IS NOT NULL AND cluster IN (SELECT cluster FROM seen WHERE hosts > 1)
              GROUP BY ALL)
        GROUP BY ALL;
        CREATE TEMP TABLE unrelated AS
        WITH words AS (
            SELECT cluster, caption, list_distinct(string_split(caption, ' ')) AS words
            FROM (SELECT cluster, unnest(sample) AS caption FROM seen
                  WHERE hosts > 1 AND captions > 1)
        )
        SELECT cluster, avg((len(list_intersect(a.words, b.words)) * {RELATED}
                             < least(len(a.words), len(b.words)))::INT) AS share
        FROM words a JOIN words b USING (cluster) WHERE a.caption < b.caption GROUP BY ALL;
        CREATE TEMP TABLE placeholders AS
        SELECT row, coalesce(hosts, 1) AS {PLACEHOLDER_HOSTS.name},
               coalesce(seen.captions, 1) AS {PLACEHOLDER_CAPTIONS.name},
               coalesce(unrelated.share, 0) AS {PLACEHOLDER_UNRELATED.name},
               coalesce(repeated.share, 0) AS {PLACEHOLDER_REPEATED.name}
        FROM copies LEFT JOIN seen USING (cluster) LEFT JOIN unrelated USING (cluster)
        LEFT JOIN repeated USING (cluster)
        """
    )
    several = f"SELECT count(*) FROM {TABLE} WHERE {PLACEHOLDER_HOSTS.name} > 1"
    return int(connection.execute(several).fetchall()[0][0])
