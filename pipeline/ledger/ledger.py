"""The ledger: one row per input pair, put together from what each verb has committed.

Every verb writes its own columns beside `row`; DuckDB joins them. Only files named in markers are
read. `gathered`, `embedded`, `captioned`, `grouped`, `listed`, `selected` and `sharded` are the
parts, `ledger` the whole; a part that does not exist yet is empty, so its columns are null. Of a
pair that was retried `gathered` has the latest retry layer, `superseded` what came before.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import damaged, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    spill_folder,
    vectors_folder,
)
from pairsieve.pipeline.dataset.stages import CAPTION, EMBED, SELECT, SHARD, Stage
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import duckdb_errors
from pairsieve.pipeline.ledger.databases import in_memory, of_its_own
from pairsieve.pipeline.ledger.files import (
    CAPTIONS,
    LedgerFiles,
    ResultFiles,
    SliceFile,
    Units,
    current_result,
    first_names,
    ledger_files,
)
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.pipeline.ledger.verdicts import VERDICTS, decoded
from pairsieve.schemas.columns import (
    EMBEDDED,
    GATHERED,
    ROW,
    Column,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption, Stopped

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_AT_ONCE = 122_880  # rows DuckDB hands over together, and of one Parquet row group


@contextmanager
def connect(
    store: Store, threads: int | None = None, *, own: bool = False
) -> "Iterator[DuckDBPyConnection]":
    """Give a DuckDB connection that can read the dataset.

    It has so many `threads`; None for as many as there are processors. What does not fit into the
    memory of the store's `scratch` goes to that folder, else inside a local dataset, else to the
    system's folder for temporary files. A database of its `own` is called `memory`, and its
    settings may be changed.
    """
    base = store.scratch.folder or store.local or tempfile.gettempdir()
    spill = Path(base) / spill_folder()
    reused = store.local and not own
    databases = in_memory if reused else of_its_own
    with databases(store.scratch.memory_mb, spill, threads) as connection:
        connection.execute(
            "SET enable_progress_bar = false; SET parquet_metadata_cache = true; "
            "SET TimeZone = 'UTC'"
        )
        if not store.local:
            from pairsieve.pipeline.ledger.object_files import ObjectFiles

            scheme: Any = store.url.partition("://")[0]
            connection.register_filesystem(ObjectFiles(scheme))
        with duckdb_errors(store.url):
            yield connection


def attach(
    connection: "DuckDBPyConnection",
    store: Store,
    embeddings: Mapping[str, str] | None = None,
    selection: str | None = None,
    before: Stage | None = None,
) -> None:
    """Define the parts and the view `ledger` on `connection`.

    Args:
        connection: From `connect`.
        store: The dataset.
        embeddings: Folders under `embed/` whose scores to join: that of the main model by the name
            "", and those of others, whose columns end in `_` and their name; that of captions
            under `captions/` by `CAPTIONS`.
        selection: Name of the selection whose verdicts and shards to join; None for none.
        before: The stage that is being made, which needs those before it alone; None for all.

    Raises:
        BadOption: a further model's column is called as one of the input.
        Stopped: a file of a stage is not what was committed.
    """
    attach_files(connection, store, ledger_files(store, embeddings, selection, before, hashed=True))


def attach_files(connection: "DuckDBPyConnection", store: Store, files: LedgerFiles) -> None:
    """Define the parts and the view `ledger` of the whole pool or of a block on `connection`.

    Raises:
        BadOption: a further model's column is called as one of the input.
    """
    _attach_gathered(connection, store, files.gathered)
    rows = _rows(connection) if files.units else None
    further = dict(files.scores)
    parts = []
    for key, stage in (("", EMBED), (CAPTIONS, CAPTION)):
        names = [file.name for file in further.pop(key, ())]
        _view(connection, store, stage.view, stage.columns, names)
        parts.append((stage.view, stage.columns, ""))
    for result in files.results:
        _attach_result(connection, store, result, files.units, rows)
        parts.append((result.view, result.columns, ""))
    check_further(connection.table("gathered").columns, further)
    for name, scores in further.items():
        part = f"embedded_{name}"
        _view(connection, store, part, EMBEDDED, [file.name for file in scores])
        parts.append((part, EMBEDDED, f"_{name}"))
    selected, joins = "gathered.*", ""
    for part, of_part, suffix in parts:
        selected += _selected(connection, part, of_part, suffix)
        joins += f" LEFT JOIN {part} ON {part}.row = gathered.row"
    connection.execute(f"CREATE VIEW ledger AS SELECT {selected} FROM gathered{joins}")


def _selected(
    connection: "DuckDBPyConnection", part: str, columns: tuple[Column, ...], suffix: str
) -> str:
    """Return what to select of a part: null for columns that its files are older than."""
    there = set(connection.table(part).columns)
    types = connection.from_arrow(arrow_schema(columns).empty_table()).types if columns else []
    return "".join(
        f", {f'{part}.{column.name}' if column.name in there else f'NULL::{kind}'} "
        f"AS {column.name}{suffix}"
        for column, kind in zip(columns, types, strict=True)
    )


def check_further(gathered: Iterable[str], models: Iterable[str]) -> None:
    """Refuse a further model whose column would be called as one of the input; BadOption."""
    for name in models:
        if taken := {*gathered} & {f"{column.name}_{name}" for column in EMBEDDED}:
            raise BadOption(
                f"embed: with the name `{name}`, a model's column would be called {min(taken)}, as "
                "one of the input is; choose another name"
            )


def _attach_gathered(
    connection: "DuckDBPyConnection", store: Store, files: Sequence[SliceFile]
) -> None:
    """Define `gathered`, a row per pair, and `superseded`, the rows that a retry layer replaced.

    Only the rows of retry layers are grouped; the first gather's many are merely probed.
    """
    again = [file.name for file in files if file.layer]
    first = [file.name for file in files if not file.layer]
    if not again:
        _view(connection, store, "gathered", GATHERED, first)
        _view(connection, store, "superseded", GATHERED, [])
        return
    _view(connection, store, "first_gather", GATHERED, first)
    _view(connection, store, "retried", GATHERED, again)
    connection.execute(
        """
        CREATE VIEW latest AS SELECT row, max(retry_layer) AS retry_layer FROM retried GROUP BY row;
        CREATE VIEW gathered AS
        FROM first_gather ANTI JOIN latest USING (row) UNION ALL BY NAME
        FROM retried SEMI JOIN latest USING (row, retry_layer);
        CREATE VIEW superseded AS
        FROM first_gather SEMI JOIN latest USING (row) UNION ALL BY NAME
        FROM retried ANTI JOIN latest USING (row, retry_layer)
        """
    )


def _rows(connection: "DuckDBPyConnection") -> tuple[int, int]:
    """Return the first and the last row of a block."""
    query = "SELECT coalesce(min(row), 0), coalesce(max(row), -1) FROM gathered"
    ((first, last),) = connection.execute(query).fetchall()
    return first, last


def _attach_result(
    connection: "DuckDBPyConnection",
    store: Store,
    result: ResultFiles,
    units: Units | None,
    rows: tuple[int, int] | None,
) -> None:
    """Define the view of a stage over the pool: all of it, or the rows of a block."""
    names = [file.name for file in result.files]
    inside = all(
        file.units and units and units[0] <= file.units[0] and file.units[1] <= units[1]
        for file in result.files
    )
    where = "" if inside or not rows else f" WHERE row BETWEEN {rows[0]} AND {rows[1]}"
    if result.view != SELECT.view or not names:
        _view(connection, store, result.view, result.columns, names, where)
        return
    _view(connection, store, "verdicts", VERDICTS, names, where)
    connection.execute(
        f"CREATE VIEW {result.view} AS SELECT row, keep, {decoded(result.rules)} FROM verdicts"
    )


def check_images(store: Store) -> None:
    """Refuse to go on to the stored images where they are not what was committed.

    Raises:
        Stopped: a tar of them is gone or has another size.
    """
    for name, wrong in damaged(store, store.markers(GATHER_FOLDER).values(), ".tar"):
        raise Stopped(f"{store.location(name)}: {wrong}; {store.remedy}")


def current_shards(store: Store, selection: str) -> Marker | None:
    """Return the marker of a selection's shards, None where they are missing or outdated."""
    return current_result(store, SHARD, selection)


def inputs(store: Store, embeddings: Mapping[str, str]) -> list[str]:
    """Return the names of the committed files that the whole-pool steps read, in marker order.

    Attempt-unique names stand for the content, so this goes into the fingerprint of such a step.
    """
    folders = ((vectors_folder(each), ".scores.parquet") for each in embeddings.values())
    return [
        name
        for folder, suffix in ((GATHER_FOLDER, ".parquet"), *folders)
        for name in first_names(store.markers(folder).values(), suffix)
    ]


def gathered_fingerprint(names: Iterable[str]) -> str:
    """Return what stands for the ledger parts that `gather` made, among the names of files."""
    return fingerprint([name for name in names if name.startswith(f"{GATHER_FOLDER}/")])


def export(
    connection: "DuckDBPyConnection",
    query: str,
    sink: IO[bytes] | RawIOBase,
    columns: tuple[Column, ...],
) -> None:
    """Write the rows of `query` to `sink` as Parquet with the schema of `columns`, streaming."""
    import pyarrow.parquet as pq

    schema = arrow_schema(columns)
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in connection.sql(query).to_arrow_reader(ROWS_AT_ONCE):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))


def _view(
    connection: "DuckDBPyConnection",
    store: Store,
    name: str,
    columns: tuple[Column, ...],
    names: list[str],
    where: str = "",
) -> None:
    """Define the view `name` of `row` and `columns` over Parquet files; empty without any."""
    if names:
        paths = ", ".join(quoted(store.location(file)) for file in names)
        source = f"read_parquet([{paths}], union_by_name = true)"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}{where}")
        return
    empty = arrow_schema(dict.fromkeys((ROW, *columns))).empty_table()
    connection.from_arrow(empty).create_view(name)
