"""Export: vectors in the layout of clip-retrieval, so that the tools made for it work on them.

`img_emb/img_emb_0.npy`, `text_emb/text_emb_0.npy` and `metadata/metadata_0.parquet` have the same
rows in the same order: that of the input. All is streamed, so memory holds one unit's vectors
whatever the size of a part, and the same dataset gives the same bytes. An export has no markers: it
is whole when `export.json` is there, and the same command begins it anew.

Source: clip-retrieval's `clip inference` writes these folders, with `image_path` and `caption` as
columns and part numbers padded with zeros to one width; embedding-reader, and autofaiss through it,
sorts the files of a folder by name and counts on vectors and metadata being aligned.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.vectors import reader
from pairsieve.pipeline.vectors.model_record import ModelRecord, read_record
from pairsieve.schemas.columns import (
    EMBEDDED,
    HEIGHT,
    ROW,
    SHA256,
    TEXT,
    UID,
    URL,
    WIDTH,
    Column,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PART_ROWS = 1_000_000  # clip-retrieval's own default
ROWS_AT_ONCE = 65_536  # rows of metadata in memory, and of one row group
RECORD = "export.json"
FOLDERS = ("img_emb", "text_emb", "metadata")
_EXPORTED = re.compile(  # and, with a number, what the local store has not finished
    rf"(?:{re.escape(RECORD)}|(img_emb/img_emb|text_emb/text_emb)_\d+\.npy|"
    r"metadata/metadata_\d+\.parquet)(?:#\d+)?"
)
PRIVATE = "minor_safety"  # a score that leaves the dataset nowhere
PUBLIC = (URL, UID, ROW, WIDTH, HEIGHT, SHA256, *(c for c in EMBEDDED if c.name != PRIVATE))
# What clip-retrieval calls two of our columns: the key of a sample, and its text.
IMAGE_PATH = Column("image_path", UID.type, "", "Key of the sample in the shards: the uid.", False)
CAPTION = Column("caption", TEXT.type, "", TEXT.doc)
METADATA = (IMAGE_PATH, CAPTION, *PUBLIC)


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """What `export.json` says of a whole export.

    Attributes:
        model: The record of the model that made the vectors.
        selection: Name of the selection whose survivors it has; None for all embedded pairs.
        fingerprint: Of that selection.
        rows: Pairs.
        parts: Files of each kind.
    """

    model: ModelRecord
    selection: str | None
    fingerprint: str | None
    rows: int
    parts: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name, in the order in which they are written."""
        return asdict(self)


def run(
    store: Store,
    out: Store,
    model: str | None = None,
    selection: str | None = None,
    part_rows: int = PART_ROWS,
) -> ExportRecord:
    """Write the vectors of a model to `out`; return what `export.json` says of them.

    Args:
        store: The dataset.
        out: Where to; empty, or with an earlier export, which is replaced.
        model: Folder of the model's vectors; None for the only one.
        selection: Export its survivors; None for every embedded pair not on the blocklist.
        part_rows: Rows of a part; the last has fewer.

    Raises:
        BadOption: no such model or selection, or `out` holds something else.
    """
    folder = reader.choose_folder(store, model)
    selected = store.marker(select_marker(selection)) if selection else None
    if selection and selected is None:
        raise BadOption(f"--name: there is no selection `{selection}`; `pairsieve select` makes it")
    _clear(store, out)
    units = reader.units(store, folder)
    record = read_record(store, folder)
    with connect(store) as connection:
        attach(connection, store, reader.latest_scores(store, folder), selection)
        rows = _take_rows(connection, store, units, selection)
        parts = -(-rows // part_rows)
        tables = _Tables(connection)
        vectors = reader.InRowOrder(store, units)
        for part in range(parts):
            stem = str(part).zfill(len(str(parts)))
            size = min(part_rows, rows - part * part_rows)
            _write_part(out, stem, (size, record.dimensions), tables, vectors)
    fingerprint = selected.extra["fingerprint"] if selected else None
    export = ExportRecord(record, selection, fingerprint, rows, parts)
    out.write(RECORD, json.dumps(export.to_json(), indent=1).encode())
    return export


def _clear(store: Store, out: Store) -> None:
    """Delete an earlier export in `out`; refuse to touch anything else."""
    if f"{out.url}/".startswith(f"{store.url}/"):
        raise BadOption(f"{out.url}: is in the dataset, where `gc` would sweep it; name another")
    paths = sorted(out.paths())
    for path in paths:
        if not _EXPORTED.fullmatch(path) or out.link(path):
            raise BadOption(f"{out.url}: holds `{path}`, which is of no export; name another")
    out.delete(sorted(paths, key=lambda path: path != RECORD))  # first what says that it is whole


def _take_rows(
    connection: "DuckDBPyConnection",
    store: Store,
    units: list[reader.Unit],
    selection: str | None,
) -> int:
    """Define the view `exported`, a row of metadata per pair; return how many there are."""
    reader.list_rows(connection, store, units)
    columns = ", ".join(column.name for column in PUBLIC)
    connection.execute(
        f"CREATE VIEW exported AS SELECT {UID.name} AS {IMAGE_PATH.name}, "
        f"{TEXT.name} AS {CAPTION.name}, {columns} FROM ledger SEMI JOIN with_vectors USING (row) "
        f"WHERE blocked IS NULL {'AND keep' if selection else ''}"
    )
    ((count,),) = connection.execute("SELECT count(*) FROM exported").fetchall()
    return int(count)


def _write_part(
    out: Store, stem: str, shape: tuple[int, int], tables: "_Tables", vectors: reader.InRowOrder
) -> None:
    """Write the next rows as one part: two arrays (n, d) and their metadata."""
    import pyarrow.parquet as pq

    names = [f"{folder}/{folder}_{stem}" for folder in FOLDERS]
    schema = arrow_schema(METADATA)
    with ExitStack() as stack:
        arrays = [stack.enter_context(out.writer(f"{name}.npy")) for name in names[:2]]
        sink = stack.enter_context(out.writer(f"{names[2]}.parquet"))
        metadata = stack.enter_context(pq.ParquetWriter(sink, schema, compression="zstd"))
        for array in arrays:
            head = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(array, head)
        for table in tables.take(shape[0]):
            metadata.write_table(table.cast(schema))
            for matrices in vectors.at(table[ROW.name].to_numpy()):
                for array, matrix in zip(arrays, matrices, strict=True):
                    array.write(matrix)


class _Tables:
    """The view `exported` in row order, a few rows at a time; DuckDB sorts it, spilling to disk."""

    def __init__(self, connection: "DuckDBPyConnection") -> None:
        self._connection = connection
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._buffered: pa.Table | None = None

    def take(self, rows: int) -> Iterator[pa.Table]:
        """Yield tables of the next `rows` rows together."""
        if self._batches is None:
            query = self._connection.sql("FROM exported ORDER BY row")
            self._batches = iter(query.to_arrow_reader(ROWS_AT_ONCE))
        while rows:
            if not self._buffered:
                self._buffered = pa.Table.from_batches([next(self._batches)])
            table, self._buffered = self._buffered[:rows], self._buffered[rows:]
            rows -= table.num_rows
            yield table
