"""Placeholders: images that many hosts show under captions which have nothing in common.

A placeholder stands in for many pictures of each site, so most of these hosts show it under several
captions; a photograph out of a stock is shown once.

Copies are those of `copies`. A caption counts as its words in lower case; of each cluster up to
`SAMPLED` different ones, drawn by their MD5, are compared two by two. So the cost is linear in the
pairs, however large the cluster of the commonest placeholder is.

1. `shown`: hosts and captions of the images of a block that may have copies, by cluster;
2. `placeholders`: of a partition of the clusters, what is counted of each, by block;
3. `columns`: in the task that writes a block, what was counted for its rows.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import PartedFile, parted_files
from pairsieve.pipeline.dedup.candidates import MIX
from pairsieve.pipeline.dedup.keys import Ints, Rounds, column_of
from pairsieve.pipeline.ledger.block_table import block_table, places_of
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.pipeline.ledger.pool import Block, Pool
from pairsieve.pipeline.ledger.rules import reads
from pairsieve.schemas.columns import (
    CLUSTER,
    HOST,
    PLACEHOLDER_CAPTIONS,
    PLACEHOLDER_HOSTS,
    PLACEHOLDER_REPEATED,
    PLACEHOLDER_UNRELATED,
    ROUNDS,
    ROW,
    TEXT,
)
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "placeholders"
COLUMNS = ROUNDS[TABLE]
ALONE = (1, 1, 0.0, 0.0)  # these of an image without copies: one host, one caption
SAMPLED = 16  # captions of a cluster that are compared: 120 pairs
RELATED = 3  # captions that share at least one of so many words of the shorter are related
READ_CHARS = 1000  # of a caption
WORDS = (
    rf"trim(regexp_replace(lower(substr(text, 1, {READ_CHARS})), '[^\p{{L}}\p{{N}}]+', ' ', 'g'))"
)


def options(recipe: Recipe) -> str | None:
    """Return what shapes the result, None where no rule of the recipe reads it."""
    return "requested" if reads(recipe, COLUMNS) else None


def find(pool: Pool, of: Rounds, decided: Sequence[PartedFile]) -> list[PartedFile]:
    """Go through the rounds but the last; return the files of what was counted, by block.

    `decided` are the files of copies, by block.

    Raises:
        Stopped: a task's process kept dying.
    """
    parts = len(decided)  # as many as the candidates need
    sent = parted_files(pool.run(partial(scatter, of, decided), of.of("shown")), parts)
    return parted_files(pool.run_numbered(partial(count, of, sent), of.of(TABLE), parts), len(sent))


def scatter(of: Rounds, decided: Sequence[PartedFile], block: Block) -> Marker:
    """Part hosts and captions of the images of a block that may have copies; commit them."""
    found = parted.read_all(block.store, decided, block.number).sort_by(ROW.name)
    rows = found[ROW.name].to_numpy()
    names = {HOST.name, TEXT.name}
    table = block_table(block.store, block.files, names, block.threads, only=rows)
    texts = {column.name: column_of(table, column) for column in (HOST, TEXT)}
    with connect(block.store, threads=block.threads) as connection:
        connection.register("shown", pa.table({CLUSTER.name: found[CLUSTER.name], **texts}))
        shown = connection.sql(
            f"SELECT cluster, host, nullif({WORDS}, '') AS caption, count(*) AS pairs "
            "FROM shown GROUP BY ALL ORDER BY ALL"
        ).to_arrow_table()
    hashes = shown[CLUSTER.name].to_numpy().astype(np.uint64) * MIX
    parts = parted.split(shown, parted.share(hashes, len(decided)), len(decided))
    path = of.new("shown", block.number)
    sink = parted.write(block.store, path, parts)
    return of.commit("shown", block.number, Marker(len(shown), {path: sink.entry()}))


def count(of: Rounds, files: Sequence[PartedFile], number: int) -> Marker:
    """Count the hosts and the captions of a partition of the clusters; commit them by block."""
    tables = parted.read_each(of.store, files, number)
    with connect(of.store, threads=of.threads) as connection:
        connection.register("shown", pa.concat_tables(tables))
        found = _counted(connection)
    clusters = found[CLUSTER.name].to_numpy()
    parts = (found.filter(pa.array(np.isin(clusters, t[CLUSTER.name]))) for t in tables)
    path = of.new(TABLE, number)
    sink = parted.write(of.store, path, parts)
    return of.commit(TABLE, number, Marker(len(found), {path: sink.entry()}))


def _counted(connection: "DuckDBPyConnection") -> pa.Table:
    """Return `cluster` and `COLUMNS` of the clusters in `shown` that have several images."""
    return connection.sql(
        f"""
        WITH seen AS (
            SELECT cluster, count(DISTINCT host) AS hosts, count(DISTINCT caption) AS captions,
                   min_by(DISTINCT caption, md5(caption), {SAMPLED}) AS sample
            FROM shown GROUP BY ALL HAVING sum(pairs) > 1
        ), repeated AS (
            SELECT cluster, avg((captions > 1)::INT) AS share
            FROM (SELECT cluster, host, count(DISTINCT caption) AS captions FROM shown
                  WHERE host IS NOT NULL AND cluster IN (SELECT cluster FROM seen WHERE hosts > 1)
                  GROUP BY ALL)
            GROUP BY ALL
        ), words AS (
            SELECT cluster, caption, list_distinct(string_split(caption, ' ')) AS words
            FROM (SELECT cluster, unnest(sample) AS caption FROM seen
                  WHERE hosts > 1 AND captions > 1)
        ), unrelated AS (
            SELECT cluster, avg((len(list_intersect(a.words, b.words)) * {RELATED}
                                 < least(len(a.words), len(b.words)))::INT) AS share
            FROM words a JOIN words b USING (cluster) WHERE a.caption < b.caption GROUP BY ALL
        )
        SELECT cluster, hosts AS {PLACEHOLDER_HOSTS.name},
               seen.captions AS {PLACEHOLDER_CAPTIONS.name},
               coalesce(unrelated.share, 0) AS {PLACEHOLDER_UNRELATED.name},
               coalesce(repeated.share, 0) AS {PLACEHOLDER_REPEATED.name}
        FROM seen LEFT JOIN unrelated USING (cluster) LEFT JOIN repeated USING (cluster)
        ORDER BY cluster
        """
    ).to_arrow_table()


def columns(
    decided: Sequence[PartedFile], counted: Sequence[PartedFile], block: Block, rows: Ints
) -> dict[str, Any]:
    """Return `COLUMNS` of these rows of a block, all its images in their order."""
    found = parted.read_all(block.store, counted, block.number).combine_chunks()
    copies = parted.read_all(block.store, decided, block.number)
    clusters = places_of(found[CLUSTER.name].to_numpy(), copies[CLUSTER.name].to_numpy())
    taken = found.take(clusters.take(places_of(copies[ROW.name].to_numpy(), rows)))
    return {
        column.name: taken[column.name].fill_null(alone).cast(column.type)
        for column, alone in zip(COLUMNS, ALONE, strict=True)
    }


def several(columns: dict[str, Any]) -> int:
    """Return how many of some images several hosts show."""
    hosts = columns.get(PLACEHOLDER_HOSTS.name)
    return 0 if hosts is None else int(pc.sum(pc.greater(hosts, 1)).as_py() or 0)
