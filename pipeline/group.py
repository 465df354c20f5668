"""Group: what can be told of a pair only by looking at all of them.

Each step is a file that reads the table `images`, a row per pair with an image, and makes a table
of its own with the columns that it finds; here they are put beside one another and committed.

DuckDB sorts, joins and groups, spilling to disk.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.commit import current, fingerprint, replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import GROUP_MARKER, SEARCHES, is_foreign, result
from pairsieve.pipeline.dataset.stages import GROUP
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import near_duplicates
from pairsieve.pipeline.dedup.steps import STEPS, Step, requested
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.ledger import attach, connect, export, inputs
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.schemas.columns import COPIES, GROUPED, ROW
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker; so `run` calls every stage that decides."""
    yield run(recipe, store, engine)


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    partitions: int | None = None,
    steps: Sequence[Step] = STEPS,
) -> Marker:
    """Group every pair that has an image and commit; without a change nothing is done.

    The marker's counts: `pairs` with an image, of them `repeated`; of the others `exact` copies of
    their keeper's file and `near` copies; `clusters` of at least two pairs; for each signal that
    verifies, `kept_apart_by_<signal>`: images near a keeper by their pHash alone; for each step the
    images that it has found, e.g. `semantic` ones that show the same as another.

    Args:
        recipe: The recipe.
        store: The dataset.
        engine: Where it runs what is spread over tasks.
        partitions: Spread the search for near hashes over so many of each table; by default it is
            spread only where one machine should not hold all hashes. The result is the same.
        steps: Those that the recipe may request.

    Raises:
        BadOption: rules of the recipe that `group` reads do not agree, or an earlier
            dataset or evaluation set cannot be read.
        Stopped: a task's process kept dying.
    """
    from pairsieve.pipeline.hamming.distributed import default_partitions, neighbour_labels

    embeddings = scores_folders(recipe)
    options = requested(recipe, steps)
    distance = near_duplicates.max_distance(recipe)
    wanted = fingerprint(
        distance,
        recipe.group.model_dump(),
        inputs(store, embeddings),
        options,
        [step.versions(recipe) for step in steps],
    )
    if done := current(store, GROUP_MARKER, wanted):
        return done
    if partitions is None:
        partitions = default_partitions(store)
    labels = neighbour_labels(store, engine, distance, partitions) if partitions else None
    running = [step for step in steps if step.TABLE in options]
    path = result(GROUP.folder)
    with connect(store) as connection:
        attach(connection, store, embeddings, before=GROUP)
        _take_images(connection)
        near_duplicates.find(connection, recipe, store, labels)
        counts = dict.fromkeys((step.TABLE for step in steps), 0)
        for step in running:
            counts[step.TABLE] = step.find(connection, recipe, store, engine)
        joins = " ".join(f"LEFT JOIN {table} USING (row)" for table in ("copies", *options))
        made = {ROW, *COPIES, *(c for step in running for c in step.COLUMNS)}
        names = ", ".join(c.name if c in made else f"NULL AS {c.name}" for c in (ROW, *GROUPED))
        with store.writer(path) as sink:
            query = f"SELECT {names} FROM images {joins} ORDER BY row"
            export(connection, query, sink, (ROW, *GROUPED))
        counts = _counts(connection) | counts
    extra = {"fingerprint": wanted, "steps": options}
    marker = Marker(counts["pairs"], {path: sink.entry()}, counts, extra)
    replace(store, GROUP_MARKER, marker)
    store.delete(file for file, _, _ in store.list(SEARCHES) if not is_foreign(file))
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
    """Return what the marker counts of copies."""
    from pairsieve.pipeline.dedup.star_clusters import SIGNALS

    apart = [
        f"count(*) FILTER (failed_verification & {1 << bit} > 0) AS kept_apart_by_{signal}"
        for bit, signal in enumerate(SIGNALS)
    ]
    others = "NOT repeated AND duplicate_of IS NOT NULL"
    query = f"""
        SELECT count(*) AS pairs,
               count(*) FILTER (repeated) AS repeated,
               count(*) FILTER ({others} AND coalesce(exact, false)) AS exact,
               count(*) FILTER ({others} AND NOT coalesce(exact, false)) AS near,
               (SELECT count(*) FROM (FROM copies SELECT cluster
                                      GROUP BY cluster HAVING count(*) > 1)) AS clusters,
               {", ".join(apart)}
        FROM copies
        """
    names = [column[0] for column in connection.execute(query).description]
    return dict(zip(names, connection.fetchone() or (), strict=True))
