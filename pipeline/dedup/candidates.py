"""Candidates: the features of images that are near another, in the order in which they stay.

Only these are read again from the ledger, with all that `star_clusters.py` compares; of most
datasets they are a small part. A task on a block reads its own, and parts them by component, so
that one is in a partition whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pairsieve.filters.colour import CELLS, LEVELS
from pairsieve.filters.orientation_hashes import ORIENTED
from pairsieve.pipeline.dataset import checksums, parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup.arrow_arrays import lists, missing, numbers
from pairsieve.pipeline.dedup.image_components import COMPONENT
from pairsieve.pipeline.dedup.keys import Rounds, column_of
from pairsieve.pipeline.ledger.block_table import block_table
from pairsieve.pipeline.ledger.files import SliceFile, Units
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block
from pairsieve.pipeline.vectors.reader import matrix
from pairsieve.schemas.columns import (
    CENTRE_HASH,
    CLIP_SIMILARITY,
    COLOUR,
    COLUMNS,
    DHASH,
    HEIGHT,
    IMAGE_EMBEDDING,
    ORIENTATION_HASHES,
    PERCEPTUAL_HASH,
    ROW,
    SHA256,
    TEXT,
    TRIMMED_COLOUR,
    TRIMMED_HASHES,
    UID,
    WIDTH,
)
from pairsieve.schemas.recipe_group import Group

if TYPE_CHECKING:
    from pairsieve.pipeline.dedup.features import Features

Ints = NDArray[np.int64]
PER_TASK = 250_000  # candidates of a partition, about: 0.1 GB, with vectors 0.6
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: spreads row numbers over 64 bits
AGAIN, SAME_FILE, PIXELS, VECTOR = "again", "same_file", "pixels", "vector"
FEATURES = (
    UID, SHA256, PERCEPTUAL_HASH, DHASH, COLOUR, ORIENTATION_HASHES, TRIMMED_HASHES, TRIMMED_COLOUR,
    CENTRE_HASH,
)  # fmt: skip
BY_NAME = {column.name: column for column in COLUMNS}


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


@dataclass(frozen=True, slots=True)
class Sources:
    """What tasks that part candidates read beside the ledger.

    Attributes:
        components: The file of components, by block.
        repeats: The files of rows that repeat an earlier one, by block.
        vectors: The files of vectors, where `verify` needs them.
    """

    components: PartedFile
    repeats: Sequence[PartedFile]
    vectors: Sequence[SliceFile]


def scatter(rounds: Rounds, sources: Sources, partitions: int, block: Block) -> Marker:
    """Part the candidates of a block by their component, and commit them."""
    found = parted.read(block.store, sources.components, block.number)
    again = parted.read_all(block.store, sources.repeats, block.number)
    repeated = np.isin(found[ROW.name].to_numpy(), again[ROW.name].to_numpy())
    table = _features(rounds.options, found.append_column(AGAIN, pa.array(repeated)), block)
    if "embedding" in rounds.options.verify:
        vectors = _vectors(block.store, sources.vectors, block.files.units, table[ROW.name])
        table = table.append_column(VECTOR, vectors)
    hashes = table[COMPONENT].to_numpy().astype(np.uint64) * MIX
    path = rounds.new("candidates", block.number)
    parts = parted.split(table, parted.share(hashes, partitions), partitions)
    sink = parted.write(block.store, path, parts)
    return rounds.commit("candidates", block.number, Marker(len(table), {path: sink.entry()}))


def _features(options: Group, found: pa.Table, block: Block) -> pa.Table:
    """Return what is compared and ordered by of the rows of `found`, which are in order."""
    names = [column.name for column in FEATURES]
    names += [name for name in ordering(options) if name not in names]
    of_captions = (TEXT.name, CLIP_SIMILARITY.name) if options.captions == "all_as_list" else ()
    names += [name for name in of_captions if name not in names]
    table = with_pixels(block, names, found[ROW.name].to_numpy())
    for name in (*names, PIXELS):
        found = found.append_column(name, table[name])
    return found


def with_pixels(block: Block, names: Sequence[str], rows: Ints) -> pa.Table:
    """Return `row`, columns of the ledger and `pixels` of these rows, which are in order.

    A column that the ledger lacks is of nulls.
    """
    size = (WIDTH, HEIGHT)
    read = {*names, *(column.name for column in size)}
    table = block_table(block.store, block.files, read, block.threads, only=rows)
    width, height = (column_of(table, column).cast(pa.int64()) for column in size)
    columns = {name: column_of(table, BY_NAME[name]) for name in names}
    return pa.table({ROW.name: table[ROW.name], **columns, PIXELS: pc.multiply(width, height)})


def _vectors(
    store: Store, files: Sequence[SliceFile], units: Units | None, rows: pa.ChunkedArray
) -> pa.Array:
    """Return the bytes of the image vector of each row, null where there is none."""
    first, last = units or (0, -1)
    ascending = rows.to_numpy()
    found: list[bytes | None] = [None] * len(rows)
    for file in files:
        if not first <= file.unit <= last:
            continue
        with checksums.open_parquet(store, file.name) as source:
            table = source.read([ROW.name, IMAGE_EMBEDDING.name])
        theirs = table[ROW.name].to_numpy()
        kept = np.flatnonzero(np.isin(theirs, ascending))
        values = matrix(table[IMAGE_EMBEDDING.name])[kept]
        for index, vector in zip(np.searchsorted(ascending, theirs[kept]), values, strict=True):
            found[index] = vector.tobytes()
    return pa.array(found, pa.binary())


def ordered(rounds: Rounds, files: Sequence[PartedFile], number: int) -> pa.Table:
    """Return the candidates of a partition, a component side by side, the preferred first.

    `same_file` is the smallest row whose file has the same bytes.
    """
    table = parted.read_all(rounds.store, files, number).combine_chunks()
    known = table.drop_columns([VECTOR]) if VECTOR in table.column_names else table
    # A frame adds pixels and shows nothing.
    bordered = f"c.{TRIMMED_HASHES.name} IS NOT NULL AND {'borders' in rounds.options.edits}"
    with connect(rounds.store, threads=rounds.threads) as connection:
        connection.register(
            "candidates", known.append_column("position", pa.array(np.arange(len(table))))
        )
        found = connection.sql(
            f"""
            SELECT position, CASE WHEN sha256 IS NULL THEN row
                             ELSE min(row) OVER (PARTITION BY sha256) END AS {SAME_FILE}
            FROM candidates c
            ORDER BY {COMPONENT}, {addition(rounds.grown, "c")}, {AGAIN}, {bordered},
                     {order(rounds.options, "c")}
            """
        ).to_arrow_table()
    return table.take(found["position"]).append_column(SAME_FILE, found[SAME_FILE])


def candidates(table: pa.Table, options: Group) -> Candidates:
    """Return the candidates of an ordered table with what is compared."""
    from pairsieve.pipeline.dedup.features import Features, oriented_cells

    orientations = options.compared
    oriented = lists(table[ORIENTATION_HASHES.name], 2 * len(orientations), np.uint64)
    features = Features(
        np.column_stack((numbers(table[PERCEPTUAL_HASH.name], np.uint64), oriented[:, ::2])),
        np.column_stack((numbers(table[DHASH.name], np.uint64), oriented[:, 1::2])),
        lists(table[COLOUR.name], LEVELS, np.uint8),
        _matrix(table),
        np.zeros(len(table), np.uint8),
        lists(table[TRIMMED_HASHES.name], 2, np.uint64),
        lists(table[TRIMMED_COLOUR.name], LEVELS, np.uint8),
        numbers(table[CENTRE_HASH.name], np.uint64),
        oriented_cells([ORIENTED[orientation] for orientation in orientations], CELLS),
    )
    features = features._replace(known=_known(table, features, options))
    ends = np.flatnonzero(np.diff(numbers(table[COMPONENT]), append=-1)) + 1
    again = table[AGAIN].to_numpy().astype(bool)
    return Candidates(numbers(table[ROW.name]), numbers(table[SAME_FILE]), again, ends, features)


def _known(table: pa.Table, features: "Features", options: Group) -> NDArray[np.uint8]:
    """Return what is known of each picture, (n,): the bits of `features.py`."""
    from pairsieve.pipeline.dedup.features import (
        HAS_CENTRE,
        HAS_COLOUR,
        HAS_DHASH,
        HAS_HASH,
        HAS_TRIMMED,
        HAS_VECTOR,
        IS_PLAIN,
        IS_TRIMMED_PLAIN,
        plain_pictures,
    )

    bits = {
        HAS_HASH: ~missing(table[PERCEPTUAL_HASH.name]),
        HAS_DHASH: ~missing(table[DHASH.name]),
        HAS_COLOUR: ~missing(table[COLOUR.name]),
        HAS_VECTOR: features.vectors.any(axis=1),
        IS_PLAIN: ~missing(table[COLOUR.name]) & plain_pictures(features.colours),
    }
    if "borders" in options.edits:
        bits[HAS_TRIMMED] = ~missing(table[TRIMMED_HASHES.name])
        bits[IS_TRIMMED_PLAIN] = plain_pictures(features.trimmed_colours)
    if "crops" in options.edits:
        bits[HAS_CENTRE] = ~missing(table[CENTRE_HASH.name])
    known = np.zeros(len(table), np.uint8)
    for bit, holds in bits.items():
        known |= holds.astype(np.uint8) * np.uint8(bit)
    return known


def ordering(options: Group) -> list[str]:
    """Return the columns of the ledger that `order` reads, but those of `pixels` and the uid."""
    names = (name.removeprefix("-") for name in options.prefer)
    return [name for name in names if name not in (PIXELS, UID.name)]


def addition(grown: Sequence[int], images: str = "i") -> str:
    """Return with which addition to the input, from 0, a row came, as SQL.

    What was there before stays before what was added: so a keeper stays one.
    """
    return " + ".join([f"{images}.row * 0", *(f"({images}.row >= {row})::INT" for row in grown)])


def order(options: Group, images: str = "i") -> str:
    """Return how SQL orders the copies of a table, the one that stays first; never two alike."""
    terms = []
    for name in options.prefer:
        column, down = name.removeprefix("-"), not name.startswith("-")
        way = "" if column == "uid" else " DESC NULLS LAST" if down else " NULLS LAST"
        terms.append(f"{images}.{column}{way}")
    return ", ".join((*terms, f"{images}.uid", f"{images}.row"))


def _matrix(table: pa.Table) -> NDArray[np.float32]:
    """Return the image vectors, (n, d), zeros where there is none; (n, 0) unasked."""
    if VECTOR not in table.column_names:
        return np.empty((len(table), 0), np.float32)
    known = np.flatnonzero(~missing(table[VECTOR]))
    values = [np.frombuffer(value, np.float16) for value in table[VECTOR].drop_null().to_pylist()]
    found = np.zeros((len(table), len(values[0]) if values else 1), np.float32)
    for index, value in zip(known, values, strict=True):
        found[index] = value
    return found
