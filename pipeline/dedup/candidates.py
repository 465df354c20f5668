"""Candidates: the features of images that are near another, in the order in which they stay.

Only these are read again from the ledger, with all that `star_clusters.py` compares; of most
datasets they are a small part.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters.colour import CELLS, LEVELS
from pairsieve.filters.orientation_hashes import ORIENTED
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.paths import VECTORS_SUFFIX, files, vectors_folder
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.vectors.folders import model_folder
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.columns import IMAGE_EMBEDDING, ROW
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_group import Group

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from pairsieve.pipeline.dedup.star_clusters import Features

Ints = NDArray[np.int64]
Labels = Callable[[NDArray[np.uint64], int], Ints]


class Candidates(NamedTuple):
    """The images of components of more than one, a component side by side, the preferred first.

    Attributes:
        rows: int64 (n,), of the ledger.
        files: int64 (n,), the smallest row that has the same file.
        again: bool (n,), the pair was in an earlier row.
        ends: int64 (components,), where each ends.
        features: See `star_clusters.py`.
    """

    rows: Ints
    files: Ints
    again: NDArray[np.bool_]
    ends: Ints
    features: "Features"

    def nodes(self) -> tuple[Ints, Ints]:
        """Return the first index of each picture in order, (m,), and the node of each row, (n,).

        What has the same file or looks the same in every signal is one picture, so that a crowd of
        copies of one placeholder costs nothing.
        """
        if not len(self.rows):
            return self.rows, self.rows
        _, first, file_of = np.unique(self.files, return_index=True, return_inverse=True)
        component = np.searchsorted(self.ends, first, "right")
        parts = [component, *(part[first] for part in self.features[:-1])]
        wide = [np.ascontiguousarray(part).reshape(len(first), -1) for part in parts]
        raw = np.concatenate([part.view(np.uint8).reshape(len(first), -1) for part in wide], axis=1)
        keys = np.ascontiguousarray(raw).view(f"V{raw.shape[1]}").ravel()
        _, look_of = np.unique(keys, return_inverse=True)
        best = np.full(len(first), len(self.rows))
        np.minimum.at(best, look_of, first)
        nodes, node_of_look = np.unique(best[look_of], return_inverse=True)
        return nodes, node_of_look[file_of]


def take(connection: "DuckDBPyConnection", recipe: Recipe, store: Store) -> Candidates:
    """Return the images of the table `components`."""
    from pairsieve.pipeline.dedup.star_clusters import Features, oriented_cells

    found = connection.sql(
        f"""
        SELECT c.component, i.row, i.same_file, i.again, ledger.perceptual_hash, dhash, colour,
               orientation_hashes
        FROM components c JOIN images i ON i.row = c.row JOIN ledger ON ledger.row = c.row
        ORDER BY component, again, {order(recipe.group)}
        """
    ).to_arrow_table()
    rows = _numbers(found["row"])
    orientations = recipe.group.compared
    oriented = _lists(found["orientation_hashes"], 2 * len(orientations), np.uint64)
    vectors = _vectors(store, recipe, rows)
    known = np.zeros(len(rows), np.uint8)
    for bit, name in enumerate(("perceptual_hash", "dhash", "colour")):
        known |= (~_missing(found[name])).astype(np.uint8) << np.uint8(bit)
    known |= vectors.any(axis=1).astype(np.uint8) << np.uint8(3)
    features = Features(
        np.column_stack((_numbers(found["perceptual_hash"], np.uint64), oriented[:, ::2])),
        np.column_stack((_numbers(found["dhash"], np.uint64), oriented[:, 1::2])),
        _lists(found["colour"], LEVELS, np.uint8),
        vectors,
        known,
        oriented_cells([ORIENTED[orientation] for orientation in orientations], CELLS),
    )
    components = _numbers(found["component"])
    ends = np.flatnonzero(np.diff(components, append=-1)) + 1
    again = found["again"].to_numpy().astype(bool)
    return Candidates(rows, _numbers(found["same_file"]), again, ends, features)


def order(options: Group) -> str:
    """Return how SQL orders copies, the one that stays first; never two alike."""
    terms = []
    for name in options.prefer:
        column, down = name.removeprefix("-"), not name.startswith("-")
        table = "i" if column in ("pixels", "uid") else "ledger"
        way = "" if column == "uid" else " DESC NULLS LAST" if down else " NULLS LAST"
        terms.append(f"{table}.{column}{way}")
    return ", ".join((*terms, "i.uid", "i.row"))


def labels_of_orientations(
    connection: "DuckDBPyConnection", orientations: int, distance: int, near: Labels
) -> Ints:
    """Return the smallest index, (n,), in each image's component, turned images compared too."""
    from pairsieve.pipeline.hamming.components import joined

    found = connection.sql(
        "SELECT images.perceptual_hash, orientation_hashes FROM images JOIN ledger USING (row) "
        "ORDER BY row"
    ).to_arrow_table()
    missing = _missing(found["perceptual_hash"]) | _missing(found["orientation_hashes"])
    own = _numbers(found["perceptual_hash"], np.uint64)
    oriented = _lists(found["orientation_hashes"], 2 * orientations, np.uint64)[:, ::2]
    hashes = np.concatenate((own, *oriented.T))
    lost = np.tile(missing, 1 + orientations)
    same = np.tile(np.arange(len(own)), 1 + orientations)
    return joined(near(np.ma.masked_array(hashes, lost), distance), same)[: len(own)]


def _vectors(store: Store, recipe: Recipe, rows: Ints) -> NDArray[np.float32]:
    """Return the image vectors of `rows`, (n, d), zeros where there is none; (n, 0) unasked."""
    if "embedding" not in recipe.group.verify or recipe.embed is None:
        return np.empty((len(rows), 0), np.float32)
    ascending = np.argsort(rows)
    vectors = np.zeros((len(rows), 1), np.float32)
    folder = vectors_folder(model_folder(recipe.embed))
    for name in files(store.markers(folder).values(), VECTORS_SUFFIX):
        with checksums.open_parquet(store, name) as source:
            table = source.read([ROW.name, IMAGE_EMBEDDING.name])
        theirs = _numbers(table[ROW.name])
        kept = np.isin(theirs, rows)
        values = matrix(table[IMAGE_EMBEDDING.name])[kept]
        if vectors.shape[1] != values.shape[1]:
            vectors = np.zeros((len(rows), values.shape[1]), np.float32)
        vectors[ascending[np.searchsorted(rows, theirs[kept], sorter=ascending)]] = values
    return vectors


def _numbers(column: pa.ChunkedArray, dtype: Any = np.int64) -> NDArray[Any]:
    """Return a column as an array, (n,), 0 where it is null."""
    return np.asarray(column.fill_null(0).to_numpy(), dtype)


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return where a column is null, (n,)."""
    return np.asarray(column.is_null().to_numpy(), bool)


def _lists(column: pa.ChunkedArray, width: int, dtype: Any) -> NDArray[Any]:
    """Return a column of lists of `width` numbers as (n, width), zeros where it is null."""
    found = np.zeros((len(column), width), dtype)
    there = ~_missing(column)
    if not width or not there.any():
        return found
    values = column.drop_null().combine_chunks().flatten()
    found[there] = np.asarray(values.to_numpy(), dtype).reshape(-1, width)
    return found
