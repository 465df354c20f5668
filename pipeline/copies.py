"""Copies: which images are the same, and which of them is the one to keep.

Two images belong together if their files are equal or their pHashes differ in at most the
`max_distance` of the recipe's `duplicate` rule; a cluster is whatever a chain of such likenesses
connects. Of a cluster, the pair with the most pixels as published is its keeper, then the one of
higher similarity (a missing one last), then of smaller uid. A pair that stands in several units of
the input is kept once, in its first row with an image; only such rows can be keepers, so a cluster
that has none points nowhere.

The keeper does not depend on the other rules: with thresholds moved, the groups stay. The price is
that a keeper which another rule drops takes its copies along. One image under several captions is
several copies, and one of them is kept. Pictures without structure have much the same pHash and so
form one cluster.

DuckDB groups the files and chooses the keepers, spilling to disk; the search for near hashes holds
arrays only: at most 120 bytes per pair with an image. Where the search was spread over tasks, what
it found is given as a forest, and nothing is searched here.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.duplicate import Duplicate
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from pairsieve.pipeline.forests import Forest

PREFERRED = "pixels DESC NULLS LAST, clip_similarity DESC NULLS LAST, uid, row"


def find(connection: "DuckDBPyConnection", recipe: Recipe, forest: "Forest | None" = None) -> None:
    """Make the table `copies` out of `images`: `row`, the columns of GROUPED that tell of copies.

    Beside them `exact`: the keeper has the same file. `forest` says which hashes are near, if that
    was found before.

    Raises:
        BadOption: the recipe's `duplicate` rules do not agree on one distance.
    """
    _find_clusters(connection, max_distance(recipe), forest)
    _choose_keepers(connection)


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


def _find_clusters(
    connection: "DuckDBPyConnection", distance: int, forest: "Forest | None"
) -> None:
    """Make the table `clusters`: `row` and `cluster`, the smallest row of its cluster."""
    from pairsieve.pipeline.hamming import joined

    query = "SELECT row, same_file, perceptual_hash FROM images ORDER BY row"
    found = connection.execute(query).fetchnumpy()
    rows: NDArray[np.int64] = found["row"]
    same_file = np.searchsorted(rows, found["same_file"])
    near = forest.positions(rows) if forest else _near(found["perceptual_hash"], distance)
    labels = joined(same_file, near)
    clusters = pa.table({"row": rows, "cluster": rows[labels]})
    connection.register("found_clusters", clusters)
    connection.execute("CREATE TEMP TABLE clusters AS FROM found_clusters")
    connection.unregister("found_clusters")


def _near(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """Return the smallest position, (n,), in each one's component; a masked hash is near none."""
    from pairsieve.pipeline.hamming import components

    there = np.flatnonzero(~np.ma.getmaskarray(hashes))
    labels = np.arange(len(hashes))
    labels[there] = there[components(np.ma.getdata(hashes)[there], distance)]
    return labels


def _choose_keepers(connection: "DuckDBPyConnection") -> None:
    """Make the table `copies`: the columns of `group`, and `exact`, the keeper has this file."""
    connection.execute(
        f"""
        CREATE TEMP TABLE copies AS
        WITH members AS (FROM images JOIN clusters USING (row)),
        keepers AS (
            FROM members WHERE NOT again
            QUALIFY row_number() OVER (PARTITION BY cluster ORDER BY {PREFERRED}) = 1
        )
        SELECT m.row, m.again AS repeated, m.cluster, m.sha256 = k.sha256 AS exact,
               CASE WHEN m.row <> k.row THEN k.uid END AS duplicate_of,
               CASE WHEN m.row <> k.row
                    THEN bit_count(xor(m.perceptual_hash, k.perceptual_hash)) END
               AS duplicate_distance
        FROM members m LEFT JOIN keepers k USING (cluster)
        """
    )
