"""Semantic: which images show the same, by their vectors, and which of them is kept.

Rounds of `group`, gone through only if the recipe has the rule `semantic_duplicate`. All that take
part get a rank, the best first, in the order in which `copies` prefers one copy to another; an
image goes if it is near enough to one of better rank that stays. With one probe that is exactly so
within every cluster, and pairs that k-means has put in two clusters are missed: how many, `bench
semantic` tells against comparing all. With two probes an image is in the clusters of its two
nearest centres, and what one cluster says of it is settled with the other's by rank.

1. `preferred`: what the images of a block are ordered by;
2. `rank`: one task ranks them, in a DuckDB that spills to disk;
3. those of `semantic_rounds.py`: of every cluster, which images are near to which;
4. `settled`: one task decides which go, and leaves them by block (`semantic_settle.py`);
5. `columns`: in the task that writes a block, what that makes of its rows.

Only pairs with vectors take part; of repeated pairs the first; no copies, if the recipe has the
rule `duplicate`, since each has a keeper that takes part for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairsieve.filters.base import checker_of
from pairsieve.filters.semantic_duplicate import SemanticDuplicate
from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dataset.paths import (
    beside,
    marker_path,
    round_folder,
    search_folder,
    task_name,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.candidates import addition, order, ordering, with_pixels
from pairsieve.pipeline.dedup.copies import Found
from pairsieve.pipeline.dedup.keys import Ints, Rounds
from pairsieve.pipeline.dedup.semantic_rounds import (
    SCATTERED,
    SEARCHED,
    SETTLED,
    Search,
    clusters_for,
    ranges,
    sampled_files,
    scatter,
    search_clusters,
    train,
)
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.block_table import places_of
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE, connect
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.schemas.columns import (
    DUPLICATE_OF,
    ROUNDS,
    ROW,
    SEMANTIC_OF,
    UID,
)
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

RULE = "semantic_duplicate"
TABLE = "semantic"
COLUMNS = ROUNDS[TABLE]


def rule(recipe: Recipe) -> SemanticDuplicate | None:
    """Return the recipe's rule, None if it has no such rule.

    Raises:
        BadOption: two rules do not agree.
    """
    adapter = checker_of(SemanticDuplicate)
    listed = {
        adapter.validate_python(entry.options) for entry in recipe.keep if entry.filter == RULE
    }
    if len(listed) > 1:
        raise BadOption(f"keep: `{RULE}` is listed with different options; choose one")
    return listed.pop() if listed else None


def options(recipe: Recipe) -> list[str] | None:
    """Return what shapes the result, None where the recipe has no such rule."""
    requested = rule(recipe)
    return [repr(requested), str(_without_copies(recipe))] if requested else None


def find(pool: Pool, of: Rounds, recipe: Recipe, copies: Found) -> list[PartedFile]:
    """Go through the rounds but the last; return the one file of what goes, by block.

    Empty where nothing can: without vectors or images that take part.

    Raises:
        BadOption: see `rule`.
        Stopped: a task's process kept dying.
    """
    requested = rule(recipe)
    if requested is None or recipe.embed is None:
        return []
    vectors = vector_files(pool.store, model_folder(recipe.embed))
    task = partial(_prefer, of, copies, _without_copies(recipe))
    preferred = pool.run(task, of.of("preferred"))
    ranked = Preferred(
        tuple(marker.file(".parquet") for marker in preferred),
        sum(marker.rows for marker in preferred),
        f"{addition(of.grown)}, {order(of.options)}",
    )
    if not ranked.count or not vectors:
        return []
    marker = similar(pool.store, pool.engine, requested, ranked, vectors, copies.starts)
    return parted_files([marker], len(pool.blocks))


@dataclass(frozen=True, slots=True)
class Preferred:
    """What takes part, and the order in which it stays.

    Attributes:
        files: Of `uid`, `pixels` and what else orders, by row; Parquet.
        count: How many take part.
        order: How SQL orders them as the table `i`.
    """

    files: tuple[str, ...]
    count: int
    order: str

    def table(self, store: Store) -> str:
        """Return all of it as SQL."""
        paths = ", ".join(quoted(store.location(file)) for file in self.files)
        return f"read_parquet([{paths}])"


def similar(
    store: Store,
    engine: Engine,
    requested: SemanticDuplicate,
    preferred: Preferred,
    vectors: Sequence[tuple[str, int]],
    starts: Ints,
) -> Marker:
    """Return the marker of the file of what goes: row, the uid that stays and the cosine, by block.

    Args:
        store: The dataset.
        engine: Where the tasks run.
        requested: What the recipe asks for.
        preferred: What takes part.
        vectors: Files of vectors with their rows.
        starts: The first row of each block.

    Raises:
        Stopped: a task's process kept dying.
    """
    from pairsieve.pipeline.dedup.semantic_settle import settle

    clusters = (
        clusters_for(preferred.count)
        if requested.clusters == "auto"
        else min(requested.clusters, preferred.count)
    )
    probes = min(requested.probes, clusters)
    asked = (clusters, probes, requested.min_cosine)
    cut = SCATTERED, SEARCHED, SETTLED
    path = search_folder(fingerprint(RULE, preferred.files, asked, cut))
    task = partial(_rank, store, engine.task_threads, path, preferred)
    (ranked,) = rounds.run_numbered(store, engine, round_folder(path, "rank"), task, 1)
    search = Search(store, path, ranked.file(".parquet"), preferred.count, *asked)
    near = _search_clusters(search, engine, vectors)
    task = partial(settle, search, preferred.table(store), near, engine.task_threads, starts)
    (marker,) = rounds.run_numbered(store, engine, round_folder(path, "settled"), task, 1)
    return marker


def _prefer(of: Rounds, copies: Found, without_copies: bool, block: Block) -> Marker:
    """Commit what the images of a block that take part are ordered by."""
    import pyarrow.parquet as pq

    rows = parted.read(block.store, copies.images[block.number], of.images)[ROW.name].to_numpy()
    again = parted.read_all(block.store, copies.repeats, block.number)[ROW.name].to_numpy()
    rows = rows[~np.isin(rows, again)]
    if without_copies:
        decided = parted.read_all(block.store, copies.decided, block.number)
        points = decided.filter(pc.is_valid(decided[DUPLICATE_OF.name]))[ROW.name].to_numpy()
        rows = rows[~np.isin(rows, points)]
    found = with_pixels(block, [UID.name, *ordering(of.options)], rows)
    path = of.new("preferred", block.number, ".parquet")
    with block.store.writer(path) as sink:
        pq.write_table(found, sink, compression="zstd")
    return of.commit("preferred", block.number, Marker(len(found), {path: sink.entry()}))


def _rank(
    store: Store, threads: int | None, folder: str, preferred: Preferred, number: int
) -> Marker:
    """Commit `row` and `rank`, from 0, of all that take part, by row."""
    import pyarrow.parquet as pq

    marker = marker_path(round_folder(folder, "rank"), task_name(number))
    path = beside(marker, ".parquet")
    schema = pa.schema([("row", pa.int64()), ("rank", pa.int64())])
    with (
        connect(store, threads=threads) as connection,
        store.writer(path) as sink,
        pq.ParquetWriter(sink, schema, compression="zstd") as writer,
    ):
        ordered = connection.sql(
            f"SELECT row, row_number() OVER (ORDER BY {preferred.order}) - 1 AS rank "
            f"FROM {preferred.table(store)} AS i ORDER BY row"
        )
        for batch in ordered.to_arrow_reader(ROWS_AT_ONCE):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    return commit(store, marker, Marker(preferred.count, {path: sink.entry()}))


def columns(found: Sequence[PartedFile], block: Block, rows: Ints) -> dict[str, Any]:
    """Return `COLUMNS` of these rows of a block, all its images in their order."""
    if not found:
        return {column.name: pa.nulls(len(rows), column.type) for column in COLUMNS}
    gone = parted.read_all(block.store, found, block.number).combine_chunks()
    taken = gone.take(places_of(gone[ROW.name].to_numpy(), rows))
    return {column.name: taken[column.name].cast(column.type) for column in COLUMNS}


def gone(columns: dict[str, Any]) -> int:
    """Return how many of some images show the same as one that stays."""
    kept = columns.get(SEMANTIC_OF.name)
    return 0 if kept is None else len(kept) - kept.null_count


def _without_copies(recipe: Recipe) -> bool:
    """Return whether copies are dropped anyway."""
    return any(entry.filter == "duplicate" for entry in recipe.keep)


def _search_clusters(
    search: Search, engine: Engine, files: Sequence[tuple[str, int]]
) -> list[PartedFile]:
    """Go through the rounds; return the files of which ranks go for which, as clusters see it."""
    store, path = search.store, search.folder
    if search.clusters > 1:
        sample = rounds.numbered([sampled_files(files, search.clusters)])
        rounds.run(store, engine, round_folder(path, "train"), partial(train, search), sample)
    batches = rounds.numbered(_batches(files))
    rounds.run(store, engine, round_folder(path, "scatter"), partial(scatter, search), batches)
    sent = rounds.files(store, round_folder(path, "scatter"), ".bin")
    tasks = min(search.clusters, -(-search.count * search.probes // SEARCHED))
    edges = np.linspace(0, search.clusters, tasks + 1).astype(int).tolist()
    spans = {task_name(low): (low, high) for low, high in zip(edges[:-1], edges[1:], strict=True)}
    rounds.run(
        store, engine, round_folder(path, "search"), partial(search_clusters, search, sent), spans
    )
    markers = store.markers(round_folder(path, "search")).values()
    return parted_files(markers, ranges(search.count))


def vector_files(store: Store, embedding: str) -> list[tuple[str, int]]:
    """Return the files of vectors, in order, with their rows."""
    markers = store.markers(vectors_folder(embedding)).values()
    return [(marker.file(".vectors.parquet"), marker.counts["embedded"]) for marker in markers]


def _batches(files: Sequence[tuple[str, int]]) -> list[list[str]]:
    """Return the files that a task sends, together."""
    batches: list[list[str]] = []
    room = 0
    for file, rows in files:
        if rows > room or not batches:
            batches.append([])
            room = SCATTERED
        room -= rows
        batches[-1].append(file)
    return batches
