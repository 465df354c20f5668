"""Semantic: which images show the same, by their vectors, and which of them is kept.

A step of `group`, done only if the recipe has the rule `semantic_duplicate`. All that take part get
a rank, the best first, in the order in which `copies` prefers one copy to another; an image goes if
it is near enough to one of better rank that stays. With one probe that is exactly so within every
cluster, and pairs that k-means has put in two clusters are missed: how many, `bench semantic` tells
against comparing all. With two probes an image is in the clusters of its two nearest centres, and
what one cluster says of it is settled with the other's by rank.

Only pairs with vectors take part; of repeated pairs the first; no copies, if the recipe has the
rule `duplicate`, since each has a keeper that takes part for it.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.semantic_duplicate import SemanticDuplicate
from pairsieve.pipeline.dataset.commit import commit, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    beside,
    marker_path,
    round_folder,
    search_folder,
    task_name,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.candidates import order
from pairsieve.pipeline.dedup.semantic_rounds import (
    SCATTERED,
    SEARCHED,
    Search,
    clusters_for,
    sampled_files,
    scatter,
    search_clusters,
    train,
)
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.ledger import ROWS_AT_ONCE
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.schemas.columns import STEPS
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

RULE = "semantic_duplicate"
TABLE = "semantic"
COLUMNS = STEPS["dedup.semantic"]


def rule(recipe: Recipe) -> SemanticDuplicate | None:
    """Return the recipe's rule, None if it has no such rule.

    Raises:
        BadOption: two rules do not agree.
    """
    from pydantic import TypeAdapter

    adapter = TypeAdapter(SemanticDuplicate)
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


def versions(recipe: Recipe) -> list[Any]:
    """Return nothing: the result depends on the ledger and the vectors alone."""
    return []


def find(connection: "DuckDBPyConnection", recipe: Recipe, store: Store, engine: Engine) -> int:
    """Make the table `semantic` out of `images` and `copies`: `row` and `COLUMNS`.

    Return how many images show the same as one that stays.

    Raises:
        BadOption: see `rule`.
        Stopped: a task's process kept dying.
    """
    connection.execute(
        "CREATE TEMP TABLE semantic (row BIGINT, semantic_of VARCHAR, semantic_cosine FLOAT)"
    )
    requested = rule(recipe)
    if requested is None or recipe.embed is None:
        return 0
    files = _vectors(store, model_folder(recipe.embed))
    _rank(connection, recipe)
    ((count,),) = connection.execute("SELECT count(*) FROM ranks").fetchall()
    if not count or not files:
        return 0
    search = _new_search(connection, store, requested, count, [name for name, _ in files])
    similar = settled(count, _search_clusters(search, engine, files))
    connection.register("similar_pairs", similar)
    connection.execute(
        """
        INSERT INTO semantic
        SELECT gone.row, images.uid, s.cosine FROM similar_pairs s
        JOIN ranks gone ON gone.rank = s.gone
        JOIN ranks kept ON kept.rank = s.kept JOIN images ON images.row = kept.row
        """
    )
    connection.unregister("similar_pairs")
    return len(similar)


def _without_copies(recipe: Recipe) -> bool:
    """Return whether copies are dropped anyway."""
    return any(entry.filter == "duplicate" for entry in recipe.keep)


def settled(count: int, pairs: pa.Table) -> pa.Table:
    """Return the ranks that go, each with the best one that stays among those it may go for.

    Of `count` ranks, each is decided when all better ones are.
    """
    order = np.lexsort((pairs["kept"].to_numpy(), pairs["gone"].to_numpy()))
    gone, kept = (pairs[name].to_numpy()[order] for name in ("gone", "kept"))
    chosen = _settle(gone, kept, count)
    return pairs.take(pa.array(order[chosen]))


def _settle(gone: NDArray[np.int64], kept: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices of the pairs that hold."""
    went = np.zeros(count, bool)
    chosen = []
    for path, (one, other) in enumerate(zip(gone.tolist(), kept.tolist(), strict=True)):
        if not went[other] and not went[one]:
            went[one] = True
            chosen.append(path)
    return np.array(chosen, np.int64)


def _search_clusters(search: Search, engine: Engine, files: Sequence[tuple[str, int]]) -> pa.Table:
    """Go through the rounds; return which ranks go for which, as each cluster sees it."""
    import pyarrow.parquet as pq

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
    parts = []
    for file in rounds.files(store, round_folder(path, "search"), ".parquet"):
        with store.reader(file) as source:
            parts.append(pq.read_table(source))
    return pa.concat_tables(parts).combine_chunks()


def _new_search(
    connection: "DuckDBPyConnection",
    store: Store,
    requested: SemanticDuplicate,
    count: int,
    files: list[str],
) -> Search:
    """Return the search for what the recipe asks, with the ranks put down for its tasks."""
    clusters = (
        clusters_for(count) if requested.clusters == "auto" else min(requested.clusters, count)
    )
    probes = min(requested.probes, clusters)
    summed = connection.execute("SELECT bit_xor(hash(row, rank)) FROM ranks").fetchall()
    name = fingerprint(
        RULE, files, summed, clusters, probes, requested.min_cosine, SCATTERED, SEARCHED
    )
    path = search_folder(name)
    ranks = _put_ranks(
        connection, store, marker_path(round_folder(path, "rank"), task_name(0)), count
    )
    return Search(store, path, ranks, count, clusters, probes, requested.min_cosine)


def _rank(connection: "DuckDBPyConnection", recipe: Recipe) -> None:
    """Make the table `ranks`: `row` and `rank`, from 0, of all that take part."""
    copies_too = "" if _without_copies(recipe) else "OR true"
    connection.execute(
        f"""
        CREATE TEMP TABLE ranks AS
        SELECT row, row_number() OVER (ORDER BY i.addition, {order(recipe.group)}) - 1 AS rank
        FROM images i JOIN copies c USING (row) JOIN ledger USING (row)
        WHERE NOT c.repeated AND (c.duplicate_of IS NULL {copies_too}) ORDER BY row
        """
    )


def _put_ranks(connection: "DuckDBPyConnection", store: Store, marker: str, count: int) -> str:
    """Write the ranks by row, unless they are there, and return their file."""
    import pyarrow.parquet as pq

    if done := store.marker(marker):
        return done.file(".parquet")
    path = beside(marker, ".parquet")
    schema = pa.schema([("row", pa.int64()), ("rank", pa.int64())])
    with store.writer(path) as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        ordered = connection.sql("SELECT row, rank FROM ranks ORDER BY row")
        for batch in ordered.to_arrow_reader(ROWS_AT_ONCE):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
    return commit(store, marker, Marker(count, {path: sink.entry()})).file(".parquet")


def _vectors(store: Store, embedding: str) -> list[tuple[str, int]]:
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
