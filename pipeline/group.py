"""Group: what can be told of a pair only by looking at all of them.

Each step is a file that reads the table `images`, a row per pair with an image, and makes a table
of its own with the columns that it finds; here they are put beside one another and committed.

DuckDB sorts, joins and groups, spilling to disk.
"""

from typing import TYPE_CHECKING

from pairsieve.pipeline import copies
from pairsieve.pipeline.embed import folders
from pairsieve.pipeline.engine import Engine
from pairsieve.pipeline.ledger import GROUP_MARKER, attach, connect, export, inputs
from pairsieve.pipeline.store import Marker, Store, attempt, current, fingerprint, replace
from pairsieve.schemas.columns import GROUPED, ROW
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STEPS = ("copies",)  # the tables that are joined to `images`


def run(recipe: Recipe, store: Store, engine: Engine) -> Marker:
    """Group every pair that has an image and commit; without a change nothing is done.

    The marker's counts: `pairs` with an image, of them `repeated`; of the others `exact` copies of
    their keeper's file and `near` copies; `clusters` of at least two pairs.

    Raises:
        BadOption: the recipe's `duplicate` rules do not agree on one distance.
    """
    embeddings = folders(recipe)
    wanted = fingerprint(copies.max_distance(recipe), inputs(store, embeddings))
    if done := current(store, GROUP_MARKER, wanted):
        return done
    path = f"group/{attempt()}.parquet"
    columns = (ROW, *GROUPED)
    with connect(store) as connection:
        attach(connection, store, embeddings)
        _take_images(connection)
        copies.find(connection, recipe)
        joins = " ".join(f"LEFT JOIN {step} USING (row)" for step in STEPS)
        names = ", ".join(column.name for column in columns)
        with store.writer(path) as sink:
            query = f"SELECT {names} FROM images {joins} ORDER BY row"
            export(connection, query, sink, columns)
        counts = _counts(connection)
    marker = Marker(counts["pairs"], {path: sink.entry()}, counts, {"fingerprint": wanted})
    replace(store, GROUP_MARKER, marker)
    return marker


def _take_images(connection: "DuckDBPyConnection") -> None:
    """Make the table `images`, a row per pair with an image in row order.

    `same_file` is the smallest row whose file has the same bytes; `again` is true in all rows of a
    pair but its first.
    """
    connection.execute(
        f"""
        CREATE TEMP TABLE images AS
        SELECT row, uid, sha256, perceptual_hash, clip_similarity,
               width::BIGINT * height AS pixels,
               CASE WHEN sha256 IS NULL THEN row
                    ELSE min(row) OVER (PARTITION BY sha256) END AS same_file,
               row_number() OVER (PARTITION BY uid ORDER BY row) > 1 AS again
        FROM ledger WHERE outcome = '{Outcome.OK}' ORDER BY row
        """
    )


def _counts(connection: "DuckDBPyConnection") -> dict[str, int]:
    """Return the marker's counts."""
    others = "NOT repeated AND duplicate_of IS NOT NULL"
    query = f"""
        SELECT count(*) AS pairs,
               count(*) FILTER (repeated) AS repeated,
               count(*) FILTER ({others} AND coalesce(exact, false)) AS exact,
               count(*) FILTER ({others} AND NOT coalesce(exact, false)) AS near,
               (SELECT count(*) FROM (FROM copies SELECT cluster
                                      GROUP BY cluster HAVING count(*) > 1)) AS clusters
        FROM copies
        """
    names = [column[0] for column in connection.execute(query).description]
    return dict(zip(names, connection.fetchone() or (), strict=True))
