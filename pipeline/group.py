"""Group: what can be told of a pair only by looking at all of them.

Copies are found in rounds of tasks over blocks and over partitions of keys (`dedup/copies.py`), and
so is counted how often captions, URLs and hosts occur (`counts/pool_counts.py`), and what a recipe
asks for beside (`counts/further.py`, `dedup/steps.py`). The driver adds up what they count; the
last round writes the columns of all, block by block.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from pairsieve.pipeline.counts import further as further_columns
from pairsieve.pipeline.counts import pool_counts
from pairsieve.pipeline.dataset import costs
from pairsieve.pipeline.dataset.commit import current, fingerprint, replace, tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GROUP_MARKER,
    PLAN_FILE,
    SEARCHES,
    VECTORS_SUFFIX,
    parsed,
    pool_blocks,
    search_folder,
    vectors_folder,
)
from pairsieve.pipeline.dataset.roles import is_foreign
from pairsieve.pipeline.dataset.stages import GROUP
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import copies, near_duplicates
from pairsieve.pipeline.dedup.keys import Rounds
from pairsieve.pipeline.dedup.steps import STEPS, Step, requested
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, SliceFile, ledger_files
from pairsieve.pipeline.ledger.pool import Further, Pool
from pairsieve.pipeline.unit import plan_file
from pairsieve.pipeline.vectors.folders import model_folder, scores_folders
from pairsieve.schemas.columns import COUNTED
from pairsieve.schemas.recipe import Recipe

OF_OPTIONS = (
    "entries",
    "caption_cluster",
    "boilerplate",
)  # of `group`: `requested` has what they stand for


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker; so `run` calls every stage that decides."""
    yield run(recipe, store, engine)


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    partitions: int | None = None,
    steps: Sequence[Step] = STEPS,
    units: int = BLOCK_UNITS,
) -> Marker:
    """Group every pair that has an image and commit; without a change nothing is done.

    The marker's counts: `pairs` with an image, of them `repeated`; of the others `exact` copies of
    their keeper's file and `near` copies; `clusters` of at least two pairs; for each signal that
    verifies, `kept_apart_by_<signal>`: images near a keeper by their pHash alone; for each step the
    images that it has found, e.g. `semantic` ones that show the same as another.

    Args:
        recipe: The recipe.
        store: The dataset.
        engine: Where the tasks run.
        partitions: Spread the search for near hashes, and all else, over so many of each table; by
            default over as many as so many pairs need. The result is the same.
        steps: Those that the recipe may request.
        units: Of a block, at most. The result is the same.

    Raises:
        BadOption: rules of the recipe that `group` reads do not agree, or an earlier
            dataset or evaluation set cannot be read.
        Stopped: a task's process kept dying.
    """
    options = requested(recipe, steps)
    distance = near_duplicates.max_distance(recipe)
    files = ledger_files(store, scores_folders(recipe), before=GROUP)
    wanted = fingerprint(
        distance,
        recipe.group.model_dump(exclude={*OF_OPTIONS}),
        files.measured(),
        options,
        [step.versions(recipe) for step in steps],
        [column.name for column in COUNTED],
    )
    if done := current(store, GROUP_MARKER, wanted):
        tidy(store, pool_blocks(GROUP), done)
        return done
    costs.since_last()  # what was spent before is not of this stage
    pool = Pool(store, engine, files, units)
    cut = fingerprint(wanted, units, partitions)
    rounds = Rounds(
        store,
        search_folder(cut),
        recipe.group,
        distance,
        copies.key_partitions(pool, partitions),
        engine.task_threads,
        _grown(store),
    )
    scattered = pool.run(partial(pool_counts.scatter_all, rounds), rounds.of("keys"))
    found = copies.find(pool, rounds, scattered, _vectors(recipe, store), partitions)
    counted = pool_counts.find(pool, rounds)
    further: list[Further] = [partial(pool_counts.columns, rounds, counted)]
    further += further_columns.find(pool, rounds, options, counted, found, recipe)
    running = [step for step in steps if step.TABLE in options]
    further += [step.find(pool, rounds.folder, recipe) for step in running]
    counting = {**further_columns.COUNTING, **{step.TABLE: step.count for step in running}}
    folder = pool_blocks(GROUP, cut)
    written = pool.run(partial(copies.write, rounds, found, further, counting, folder), folder)
    counts = {
        "pairs": sum(marker.rows for marker in written),
        **{name: sum(marker.counts[name] for marker in written) for name in written[0].counts},
        **found.counts,
    }
    counts |= {step.TABLE: 0 for step in steps if step not in running}
    results = {file: entry for marker in written for file, entry in marker.files.items()}
    spent = costs.of_rounds(store, (SEARCHES, pool_blocks(GROUP)))
    extra = {"fingerprint": wanted, "steps": options, **spent}
    marker = Marker(counts["pairs"], results, counts, extra)
    replace(store, GROUP_MARKER, marker)
    tidy(store, pool_blocks(GROUP), marker)
    store.delete(file for file, _, _ in store.list(SEARCHES) if not is_foreign(file))
    return marker


def _grown(store: Store) -> tuple[int, ...]:
    """Return the first row of each later addition to the input."""
    return tuple(plan_file.read(store).grown_rows) if store.exists(PLAN_FILE) else ()


def _vectors(recipe: Recipe, store: Store) -> list[SliceFile]:
    """Return the files of image vectors, where they verify copies."""
    if "embedding" not in recipe.group.verify or recipe.embed is None:
        return []
    markers = store.markers(vectors_folder(model_folder(recipe.embed)))
    return [
        SliceFile(*parsed(name)[:2], *marker.entry(VECTORS_SUFFIX)[:1], None)
        for name, marker in markers.items()
    ]
