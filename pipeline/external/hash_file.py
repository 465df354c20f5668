"""Hash exports: the hashes of a dataset's images, as a small Parquet file that can be passed on.

It has no URL, no text and no pixels: `uid`, `sha256` and `perceptual_hash`, one row per pair with
an image, sorted by `uid`; about 60 bytes a row. Others may write such files too: `sha256` is
optional, and so is either value in a row.
"""

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.files import InputFile, open_file
from pairsieve.pipeline.input.parquet import footer
from pairsieve.pipeline.ledger.ledger import attach, connect, export
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.schemas.arrays import Hashes
from pairsieve.schemas.columns import PERCEPTUAL_HASH, SHA256, UID
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import RawIOBase

COLUMNS = (UID, SHA256, PERCEPTUAL_HASH)
BATCH_ROWS = 1 << 20
HEX_OF_KEY = 16  # digits of a SHA-256 that stand for it: 64 bits

Masked = np.ma.MaskedArray[tuple[int], np.dtype[np.uint64]]


def key_of(column: str) -> str:
    """Return the SQL expression of the first 64 bits of a SHA-256 in hex."""
    return f"TRY_CAST('0x' || substr({column}, 1, {HEX_OF_KEY}) AS UBIGINT)"


def check(store: Store, selection: str | None) -> None:
    """Refuse what is no dataset with images, or has no such selection.

    Raises:
        BadOption: saying which.
    """
    if not store.marker_names(GATHER_FOLDER):
        raise BadOption(f"{store.url}: neither a dataset with gathered images nor a Parquet file")
    if selection is not None and not store.marker(select_marker(selection)):
        raise BadOption(f"{store.url}: there is no selection `{selection}` in this dataset")


def write(
    store: Store,
    selection: str | None,
    sink: "IO[bytes] | RawIOBase",
    scratch: Path | None = None,
) -> None:
    """Write the hashes of a dataset's images to `sink`; of a selection, of its survivors only.

    DuckDB spills to `scratch`, by default inside the dataset if that is local.
    """
    kept = "AND keep" if selection is not None else ""
    with connect(store, own=True) as connection:
        if scratch:
            connection.execute(f"SET temp_directory = {quoted(str(scratch))}")
        attach(connection, store, selection=selection)
        images = f"(FROM ledger WHERE outcome = '{Outcome.OK}' {kept})"
        export(connection, of_each_uid(images), sink, COLUMNS)


def of_each_uid(images: str) -> str:
    """Return the query of an export of images, given as SQL: each uid once, in order."""
    hashes = ", ".join(f"min_by({c.name}, row) AS {c.name}" for c in COLUMNS[1:])
    return f"SELECT uid, {hashes} FROM {images} GROUP BY uid ORDER BY uid"


def check_file(source: InputFile) -> int:
    """Return the rows of a file of hashes, its columns checked.

    Raises:
        BadOption: it is no Parquet file, a column is missing, or it has another type.
    """
    rows, schema = footer(source)
    for column in COLUMNS:
        if column.name not in schema.names:
            if column is SHA256:
                continue
            raise BadOption(
                f"{source.location}: no column `{column.name}`; a file of hashes has "
                f"{', '.join(c.name for c in COLUMNS)}: `pairsieve hashes` writes it"
            )
        actual = schema.field(column.name).type
        if actual != column.type:
            raise BadOption(
                f"{source.location}: `{column.name}` must be {column.type}, is {actual}"
            )
    return rows


def chunks(location: str, max_rows: int) -> "Iterator[tuple[Masked, Masked]]":
    """Yield keys of SHA-256 and pHashes of consecutive rows, at most `max_rows` of them at once.

    Raises:
        BadOption: a SHA-256 is not 64 hex digits.
    """
    import duckdb

    with duckdb.connect() as connection, open_file(location) as file:
        keys: list[Masked] = []
        hashes: list[Masked] = []
        for batch in _batches(file, max_rows, (SHA256.name, PERCEPTUAL_HASH.name)):
            if sum(map(len, hashes)) + batch.num_rows > max_rows:
                yield _joined(keys), _joined(hashes)
                keys, hashes = [], []
            connection.register("batch", batch)
            _check_sha256(connection, location)
            query = f"SELECT {key_of('sha256')} AS key, perceptual_hash FROM batch"
            columns = connection.execute(query).fetchnumpy()
            keys.append(np.ma.asarray(columns["key"]))
            hashes.append(np.ma.asarray(columns["perceptual_hash"]))
        if hashes:
            yield _joined(keys), _joined(hashes)


def _joined(parts: list[Masked]) -> Masked:
    joined: Masked = np.ma.concatenate(parts)  # type: ignore[no-untyped-call]
    return joined


def uids(location: str, rows: NDArray[np.int64]) -> pa.ChunkedArray:
    """Return the uids in `rows`, (n,), sorted and each once."""
    uid_chunks, first = [pa.array([], pa.string())], 0
    if not len(rows):
        return pa.chunked_array(uid_chunks)
    with open_file(location) as file:
        for batch in _batches(file, BATCH_ROWS, (UID.name,)):
            low, high = np.searchsorted(rows, (first, first + batch.num_rows))
            uid_chunks.append(
                batch[UID.name].take(pa.array(rows[low:high] - first)).combine_chunks()
            )
            first += batch.num_rows
    return pa.chunked_array(uid_chunks, pa.string())


def _batches(file: Any, max_rows: int, names: tuple[str, ...]) -> "Iterator[pa.Table]":
    """Yield the columns of that name, null where the file has none, a batch of rows at a time."""
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(file)
    present = [name for name in names if name in parquet.schema_arrow.names]
    for batch in parquet.iter_batches(min(max_rows, BATCH_ROWS), columns=present):
        table = pa.Table.from_batches([batch])
        for column in COLUMNS:
            if column.name in names and column.name not in present:
                table = table.append_column(column.name, pa.nulls(len(table), column.type))
        yield table.select(names).cast(
            pa.schema([(c.name, c.type) for name in names for c in COLUMNS if c.name == name])
        )


def _check_sha256(connection: Any, location: str) -> None:
    (wrong,) = connection.execute(
        "SELECT min(sha256) FROM batch WHERE NOT regexp_full_match(sha256, '[0-9a-fA-F]{64}')"
    ).fetchone()
    if wrong is not None:
        raise BadOption(f"{location}: a `sha256` must be 64 hex digits, got {wrong[:100]!r}")


def unmasked(values: Masked) -> tuple[NDArray[np.int64], Hashes]:
    """Return the positions of the values that are not masked, and these, both (n,)."""
    positions = np.flatnonzero(~np.ma.getmaskarray(values))
    return positions, np.ma.getdata(values)[positions].astype(np.uint64)
