"""The map as a file for embedding-atlas: places of images, small pictures, columns of the ledger.

It is one Parquet file, `embedding-atlas FILE --x x --y y --text text --image image`. What explore
shows of no pair is not in it: pictures that are blocked or refused, and blurred are those that
scores call unsafe.

Source: embedding-atlas 0.26, `--x`, `--y` and `--image`; an image is a struct of `bytes`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.explore.database import DEFAULT, Database, opened
from pairsieve.pipeline.explore.pictures import look_up
from pairsieve.pipeline.ledger.sql import identifier
from pairsieve.pipeline.selections import listing
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.projection import MOST, Points, project
from pairsieve.schemas.columns import (
    EMBEDDED,
    GATHERED,
    HOST,
    IMAGE_FILE,
    LANGUAGE,
    MINOR_SAFETY,
    ROW,
    TEXT,
    UID,
    URL,
)
from pairsieve.schemas.errors import BadOption

AT_ONCE = 512  # pairs whose pictures are in memory
SAID = (UID, ROW, URL, TEXT, HOST, LANGUAGE)
IMAGE = pa.field("image", pa.struct([("bytes", pa.binary())]))


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: how many pairs, out of how many that have vectors."""

    pairs: int
    of: int


def write(
    store: Store,
    out: Store,
    path: str,
    model: str | None = None,
    selection: str | None = None,
    points: int = MOST,
) -> Written:
    """Write the map of a dataset to the file `path` of `out`.

    Args:
        store: The dataset.
        out: Where the file is to be.
        path: Its name there.
        model: Folder of the model's vectors; None for the only one.
        selection: Only its survivors; None for all pairs with vectors.
        points: At most so many pairs.

    Raises:
        BadOption: there is no such model or selection.
        Stopped: a file is not what was committed.
    """
    folder = reader.choose_folder(store, model)
    name = selection or DEFAULT
    if name not in listing.names(store):
        raise BadOption(f"export: there is no selection `{name}`, whose verdicts are to be told")
    rows, places, of = project(store, folder, points)
    with opened(store, name) as database:
        table = _told(database, rows.tolist(), selection is not None)
    kept = np.isin(rows, table[ROW.name].to_numpy())
    with out.writer(path) as sink:
        _write(store, name, sink, table, places[kept])
    return Written(table.num_rows, of)


def _told(database: Database, rows: list[int], survivors: bool) -> pa.Table:
    """Return what is told of some pairs, by row."""
    there = database.types()
    simple = (pa.types.is_integer, pa.types.is_floating, pa.types.is_string)
    scores = [
        column
        for column in (*GATHERED, *EMBEDDED)
        if column not in (*SAID, MINOR_SAFETY)
        and column.unit not in ("", "hash")
        and not column.name.startswith("image_")
        and any(fits(column.type) for fits in simple)
    ]
    names = [column.name for column in (*SAID, *scores) if column.name in there]
    listed = ", ".join(map(str, rows)) or "NULL"
    query = (
        f"SELECT {', '.join(map(identifier, names))}, "
        "CASE WHEN keep THEN 'kept' ELSE first_failing END AS verdict FROM ledger "
        f"WHERE row IN ({listed}) AND {IMAGE_FILE.name} IS NOT NULL AND blocked IS NULL"
        f"{' AND keep' if survivors else ''} ORDER BY row"
    )
    names, batches = database.ask(query)
    found = [pa.Table.from_batches([batch]) for batch in batches]
    table = pa.concat_tables(found) if found else pa.table({name: [] for name in names})
    empty = [name for name in names if table[name].null_count == table.num_rows > 0]
    return table.drop_columns(empty)


def _write(store: Store, name: str, sink: object, table: pa.Table, places: Points) -> None:
    """Write the pairs with their places and pictures, some at a time."""
    placed = table.append_column("x", pa.array(places[:, 0])).append_column(
        "y", pa.array(places[:, 1])
    )
    with pq.ParquetWriter(sink, placed.schema.append(IMAGE), compression="zstd") as writer:
        for start in range(0, max(placed.num_rows, 1), AT_ONCE):
            some = placed.slice(start, AT_ONCE)
            images = list(_pictures(store, name, some[ROW.name].to_pylist()))
            writer.write_table(some.append_column(IMAGE, pa.array(images, IMAGE.type)))


def _pictures(store: Store, name: str, rows: list[int]) -> Iterator[dict[str, bytes] | None]:
    """Yield the picture of each row; None where there is none to be shown."""
    found = {one.pair[ROW.name]: one.picture for one in look_up(store, name, rows)}
    for row in rows:
        picture = found.get(row)
        yield {"bytes": picture} if picture else None
