"""Group: what can be told of a pair only by looking at all of them.

Each step is a file that reads the table `images`, a row per pair with an image, and makes a table
of its own with the columns that it finds; here they are put beside one another and committed.

DuckDB sorts, joins and groups, spilling to disk.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.commit import current, fingerprint, replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER, SEARCHES, result
from pairsieve.pipeline.dataset.stages import GROUP
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import near_duplicates, placeholders, semantic
from pairsieve.pipeline.dedup.steps import ASKED, asked
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.external import earlier_datasets, evaluation_sets
from pairsieve.pipeline.ledger.ledger import attach, connect, export, inputs
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.schemas.columns import GROUPED, ROW, Column
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker; so `run` calls every stage that decides."""
    yield run(recipe, store, engine)


def run(recipe: Recipe, store: Store, engine: Engine, partitions: int | None = None) -> Marker:
    """Group every pair that has an image and commit; without a change nothing is done.

    The marker's counts: `pairs` with an image, of them `repeated`; of the others `exact` copies of
    their keeper's file and `near` copies; `clusters` of at least two pairs; for each signal that
    verifies, `kept_apart_by_<signal>`: images near a keeper by their pHash alone; `semantic` pairs
    that show the same as another.

    Args:
        recipe: The recipe.
        store: The dataset.
        engine: Where it runs what is spread over tasks.
        partitions: Spread the search for near hashes over so many of each table; by default it is
            spread only where one machine should not hold all hashes. The result is the same.

    Raises:
        BadOption: rules of the recipe that `group` reads do not agree, faiss is missing, or an
            earlier dataset or evaluation set cannot be read.
        Stopped: a task's process kept dying.
    """
    from pairsieve.pipeline.hamming.distributed import near

    embeddings = scores_folders(recipe)
    steps = asked(recipe)
    distance = near_duplicates.max_distance(recipe)
    wanted = fingerprint(
        distance,
        recipe.group.model_dump(),
        inputs(store, embeddings),
        steps,
        earlier_datasets.versions(recipe),
        evaluation_sets.versions(recipe),
    )
    if done := current(store, GROUP_MARKER, wanted):
        return done
    forest = near(store, engine, distance, partitions)
    path = result(GROUP.folder)
    columns = (ROW, *GROUPED)
    with connect(store) as connection:
        attach(connection, store, embeddings)
        _take_images(connection)
        near_duplicates.find(connection, recipe, store, forest)
        if "semantic" in steps:
            semantic.find(connection, store, engine, recipe)
        if "known" in steps:
            earlier_datasets.find(connection, recipe, store)
        if "evaluation" in steps:
            evaluation_sets.find(connection, recipe, store, engine)
        if "placeholders" in steps:
            placeholders.find(connection)
        joins = " ".join(f"LEFT JOIN {step} USING (row)" for step in ("copies", *steps))
        names = ", ".join(_selected(column, steps) for column in columns)
        with store.writer(path) as sink:
            query = f"SELECT {names} FROM images {joins} ORDER BY row"
            export(connection, query, sink, columns)
        counts = _counts(connection, "semantic" in steps)
    extra = {"fingerprint": wanted, "steps": steps}
    marker = Marker(counts["pairs"], {path: sink.entry()}, counts, extra)
    replace(store, GROUP_MARKER, marker)
    store.delete(file for file, _, _ in store.list(SEARCHES))
    return marker


def _selected(column: Column, steps: dict[str, str]) -> str:
    """Return the SQL of a column: null where its step was not asked for."""
    of_others = [c for step, (_, own) in ASKED.items() if step not in steps for c in own]
    return f"NULL AS {column.name}" if column in of_others else column.name


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


def _counts(connection: "DuckDBPyConnection", semantic_too: bool) -> dict[str, int]:
    """Return the marker's counts."""
    from pairsieve.pipeline.dedup.star_clusters import SIGNALS

    apart = [
        f"count(*) FILTER (objected & {1 << bit} > 0) AS kept_apart_by_{signal}"
        for bit, signal in enumerate(SIGNALS)
    ]
    others = "NOT repeated AND duplicate_of IS NOT NULL"
    semantic_count = "(SELECT count(*) FROM semantic)" if semantic_too else "0"
    query = f"""
        SELECT count(*) AS pairs,
               count(*) FILTER (repeated) AS repeated,
               count(*) FILTER ({others} AND coalesce(exact, false)) AS exact,
               count(*) FILTER ({others} AND NOT coalesce(exact, false)) AS near,
               (SELECT count(*) FROM (FROM copies SELECT cluster
                                      GROUP BY cluster HAVING count(*) > 1)) AS clusters,
               {", ".join(apart)},
               {semantic_count} AS semantic
        FROM copies
        """
    names = [column[0] for column in connection.execute(query).description]
    return dict(zip(names, connection.fetchone() or (), strict=True))
