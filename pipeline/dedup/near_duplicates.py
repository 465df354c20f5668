"""Near-duplicates: which images are the same, and which of them is the one to keep.

Two images may belong together if their files are equal or their pHashes differ in at most the
`max_distance` of the recipe's `duplicate` rule; a chain of such likenesses is a component, which
the search finds. In it, the best by `group.prefer` is a keeper and takes every image that is near
its own and passes for the same by the signals of `group.verify`; the best of those left over is the
next keeper, and so on (`star_clusters.py`). With `clusters: chain` it takes what verified
likenesses connect. Equal files are always together, wherever the better of their pairs goes.

A pair that stands in several units of the input is kept once, in its first row with an image; only
such rows can be keepers, so a cluster that has none points nowhere. The keeper does not depend on
the other rules: with thresholds moved, the clusters stay. The price is that a keeper which another
rule drops takes its copies along. One image under several captions is several copies, and one of
them is kept; with `captions: all_as_list` it has the other captions as a list.

DuckDB sorts and joins, spilling to disk; the search for near hashes holds arrays only: at most 120
bytes per pair with an image, and what follows 200 per pair that is near another. Where the search
was spread over tasks, its result is given as union-find labels: only the rows in them and equal
files are in memory then. Rotated and mirrored images are searched here all the same, and that takes
all rows.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.duplicate import Duplicate
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.candidates import Candidates, labels_of_orientations, take
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from pairsieve.pipeline.hamming.labels import UnionFindLabels

MOST_CAPTIONS = 100  # that a keeper takes over, the best first: placeholders have thousands


def find(
    connection: "DuckDBPyConnection",
    recipe: Recipe,
    store: Store,
    near_labels: "UnionFindLabels | None" = None,
) -> None:
    """Make the table `copies` out of `images`: `row`, the columns of GROUPED that tell of copies.

    Beside them `exact`, the keeper has the same file, and `failed_verification`: the bits of the
    signals that kept an image, near by its pHash, from every keeper. `near_labels` says which
    hashes are near, if that was searched before.

    Raises:
        BadOption: the recipe's `duplicate` rules do not agree on one distance.
    """
    distance = max_distance(recipe)
    _find_components(connection, recipe, distance, near_labels)
    candidates = take(connection, recipe, store)
    connection.register("found", _clusters(candidates, recipe, distance))
    _make_copies(connection, recipe)
    connection.unregister("found")


def max_distance(recipe: Recipe) -> int:
    """Return the distance that the recipe's `duplicate` rule asks for, else its default."""
    from pydantic import TypeAdapter

    adapter = TypeAdapter(Duplicate)
    asked = [entry.options for entry in recipe.keep if entry.filter == "duplicate"]
    found = {adapter.validate_python(options).max_distance for options in asked or [{}]}
    if len(found) > 1:
        listed = " and ".join(map(str, sorted(found)))
        raise BadOption(f"keep: `duplicate` is listed with max_distance {listed}; choose one")
    return found.pop()


def _find_components(
    connection: "DuckDBPyConnection",
    recipe: Recipe,
    distance: int,
    near_labels: "UnionFindLabels | None",
) -> None:
    """Make the table `components`: `row` and `component`, its smallest row; not of one alone."""
    from pairsieve.pipeline.hamming.components import joined

    orientations = recipe.group.compared
    found = _joinable(connection, None if orientations else near_labels)
    rows: NDArray[np.int64] = found["row"]
    same_file = np.searchsorted(rows, found["same_file"])
    near = near_labels.positions(rows) if near_labels else _near(found["perceptual_hash"], distance)
    labels = joined(same_file, near)
    if orientations:
        labels = joined(
            labels, labels_of_orientations(connection, len(orientations), distance, _near)
        )
    shared = np.bincount(labels, minlength=len(rows))[labels] > 1
    components = pa.table({"row": rows[shared], "component": rows[labels[shared]]})
    connection.register("found_components", components)
    connection.execute("CREATE TEMP TABLE components AS FROM found_components")
    connection.unregister("found_components")


def _joinable(
    connection: "DuckDBPyConnection", near_labels: "UnionFindLabels | None"
) -> dict[str, Any]:
    """Return `row`, ascending, `same_file` and `perceptual_hash` of what may join another image.

    Without labels that is every image; with them, those in them and those of equal files.
    """
    where = ""
    if near_labels:
        connection.register("near_labels", pa.table(near_labels._asdict()))
        where = """
            WHERE row IN (SELECT unnest([rows, labels]) FROM near_labels)
               OR row IN (SELECT unnest([row, same_file]) FROM images WHERE same_file <> row)
            """
    query = f"SELECT row, same_file, perceptual_hash FROM images {where} ORDER BY row"
    found = connection.execute(query).fetchnumpy()
    if near_labels:
        connection.unregister("near_labels")
    return found


def _near(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Return the smallest position, (n,), in each one's component; a masked hash is near none."""
    from pairsieve.pipeline.hamming.components import components

    there = np.flatnonzero(~np.ma.getmaskarray(hashes))
    labels = np.arange(len(hashes))
    labels[there] = there[components(np.ma.getdata(hashes)[there], distance)]
    return labels


def _clusters(candidates: Candidates, recipe: Recipe, distance: int) -> pa.Table:
    """Return a row per member: its keeper's row, the cluster, and how far it is from its keeper."""
    from pairsieve.pipeline.dedup.star_clusters import (
        FAR,
        SIGNALS,
        Limits,
        chain_clusters,
        distances,
        star_clusters,
    )

    options, features, rows = recipe.group, candidates.features, candidates.rows
    uses = sum(1 << SIGNALS.index(signal) for signal in options.verify)
    limits = Limits(distance, options.max_dhash, options.max_colour, options.min_embedding, uses)
    nodes, node_of = candidates.nodes()
    settle = star_clusters if options.clusters == "star" else chain_clusters
    parents, refusals = settle(
        features.take(nodes), limits, np.searchsorted(nodes, candidates.ends)
    )
    keepers = nodes[parents[node_of]]
    smallest = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(smallest, keepers, rows)
    failed_verification = np.zeros(len(rows), np.int64)
    failed_verification[nodes] = refusals
    itself = keepers == np.arange(len(rows))
    orientations, bits, dhashes, colours = distances(
        features, limits, keepers, np.arange(len(rows))
    )
    names = np.array([None, *options.compared], object)[orientations]
    return pa.table(
        {
            "row": rows,
            "position": np.arange(len(rows)),
            "cluster": smallest[keepers],
            "keeper": pa.array(rows[keepers], mask=candidates.again[keepers]),
            "duplicate_distance": pa.array(bits, mask=itself | (bits == FAR)),
            "duplicate_dhash": pa.array(dhashes, mask=itself | (dhashes < 0)),
            "duplicate_colour": pa.array(colours, mask=itself | (colours < 0)),
            "duplicate_orientation": pa.array(names, pa.string(), mask=itself),
            "failed_verification": failed_verification,
        }
    )


def _make_copies(connection: "DuckDBPyConnection", recipe: Recipe) -> None:
    """Make the table `copies` out of `found`; who is alone is a cluster."""
    asked = recipe.group.captions == "all_as_list"
    lists = _captions() if asked else "SELECT NULL::BIGINT AS row, NULL::VARCHAR[] AS captions"
    of_keeper = ("distance", "dhash", "colour", "orientation")
    connection.execute(
        f"""
        CREATE TEMP TABLE copies AS
        WITH lists AS ({lists})
        SELECT i.row, i.again AS repeated, coalesce(f.cluster, i.row) AS cluster,
               i.sha256 = k.sha256 AS exact,
               coalesce(f.failed_verification, 0) AS failed_verification,
               CASE WHEN i.row <> k.row THEN k.uid END AS duplicate_of,
               {
            ", ".join(
                f"CASE WHEN k.row IS NOT NULL THEN f.duplicate_{name} END AS duplicate_{name}"
                for name in of_keeper
            )
        },
               lists.captions
        FROM images i LEFT JOIN found f USING (row) LEFT JOIN images k ON k.row = f.keeper
        LEFT JOIN lists ON lists.row = i.row
        """
    )


def _captions() -> str:
    """Return the query of `row`, a keeper's, and the different texts of its copies, best first."""
    return f"""
        SELECT row, list(text ORDER BY position)[:{MOST_CAPTIONS}] AS captions
        FROM (
            SELECT coalesce(f.keeper, i.row) AS row, text, min(coalesce(f.position, 0)) AS position
            FROM images i JOIN ledger ON ledger.row = i.row LEFT JOIN found f ON f.row = i.row
            GROUP BY ALL
        ) GROUP BY row
        """
