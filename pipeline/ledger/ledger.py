"""The ledger: one row per input pair, put together from what each verb has committed.

Every verb writes its own columns beside `row`; DuckDB joins them. Only files named in markers are
read. `gathered`, `embedded`, `grouped`, `listed`, `selected` and `sharded` are the parts, `ledger`
the whole; a part that does not exist yet is empty, so its columns are null. Of a pair that was
retried `gathered` has the latest retry layer, `superseded` what came before.
"""

from collections.abc import Iterable, Mapping
from io import RawIOBase
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.checksums import REPAIR
from pairsieve.pipeline.dataset.commit import damaged, fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    files,
    layer_of,
    marker_path,
    select_marker,
    vectors_folder,
)
from pairsieve.pipeline.dataset.stages import EMBED, SHARD, STAGES, Scope, Stage
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.sql import quoted
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


def connect(store: Store, file: str = ":memory:") -> "DuckDBPyConnection":
    """Return a DuckDB connection that can read the dataset; it spills inside a local one."""
    import duckdb

    connection = duckdb.connect(file)
    connection.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    if store.local:
        connection.execute(f"SET temp_directory = {quoted(str(store.local / 'tmp'))}")
    else:
        from obstore.fsspec import FsspecStore

        scheme: Any = store.url.partition("://")[0]
        connection.register_filesystem(FsspecStore(scheme))
    return connection


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
            "", and those of others, whose columns end in `_` and their name.
        selection: Name of the selection whose verdicts and shards to join; None for none.
        before: The stage that is being made, which needs those before it alone; None for all.

    Raises:
        BadOption: a further model's column is called as one of the input.
        Stopped: a file of a stage is not what was committed.
    """
    stages = STAGES[: STAGES.index(before)] if before else STAGES
    _attach_gathered(connection, store)
    further = dict(embeddings or {})
    main = further.pop("", None)
    for folder in (embeddings or {}).values():
        _check(store, store.markers(vectors_folder(folder)).values())
    parts: list[tuple[str, tuple[Column, ...], list[str]]] = [
        (EMBED.view, EMBED.columns, embedded_files(store, main) if main else [])
    ]
    parts += [
        (stage.view, stage.columns, result_files(store, stage, selection))
        for stage in stages
        if stage.view and stage.scope in (Scope.POOL, Scope.SELECTION)
    ]
    for name, columns, names in parts:
        _view(connection, store, name, columns, names)
    others = ", ".join(f"{part}.{column.name}" for part, columns, _ in parts for column in columns)
    extra_columns = set(connection.table("gathered").columns)
    for name, folder in further.items():
        part = f"embedded_{name}"
        if taken := extra_columns & {f"{column.name}_{name}" for column in EMBEDDED}:
            raise BadOption(
                f"embed: with the name `{name}`, a model's column would be called {min(taken)}, as "
                "one of the input is; choose another name"
            )
        _view(connection, store, part, EMBEDDED, embedded_files(store, folder))
        others += "".join(f", {part}.{c.name} AS {c.name}_{name}" for c in EMBEDDED)
        parts.append((part, EMBEDDED, []))
    joins = " ".join(f"LEFT JOIN {part} ON {part}.row = gathered.row" for part, _, _ in parts)
    connection.execute(f"CREATE VIEW ledger AS SELECT gathered.*, {others} FROM gathered {joins}")


def _attach_gathered(connection: "DuckDBPyConnection", store: Store) -> None:
    """Define `gathered`, a row per pair, and `superseded`, the rows that a retry layer replaced.

    Only the rows of retry layers are grouped; the first gather's many are merely probed.

    Raises:
        Stopped: a file of it is not what was committed.
    """
    markers = store.markers(GATHER_FOLDER)
    _check(store, markers.values())
    again = files((m for name, m in markers.items() if layer_of(name)), ".parquet")
    first = files((m for name, m in markers.items() if not layer_of(name)), ".parquet")
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


def check_images(store: Store) -> None:
    """Refuse to go on to the stored images where they are not what was committed.

    Raises:
        Stopped: a tar of them is gone or has another size.
    """
    for name, wrong in damaged(store, store.markers(GATHER_FOLDER).values(), ".tar"):
        raise Stopped(f"{store.location(name)}: {wrong}; {REPAIR}")


def _check(store: Store, markers: Iterable[Marker]) -> None:
    """Compare the Parquet files of task slices with what was committed, whole."""
    for name, wrong in damaged(store, markers, ".parquet", hashed=".parquet"):
        raise Stopped(f"{store.location(name)}: {wrong}; {REPAIR}")


def current_result(store: Store, stage: Stage, selection: str | None) -> Marker | None:
    """Return the marker of a stage over the pool; None where it is missing or outdated.

    What belongs to a selection is outdated as soon as that was made anew.
    """
    if stage.scope is Scope.POOL:
        return store.marker(marker_path(stage.folder))
    if selection is None:
        return None
    marker = store.marker(marker_path(f"{stage.folder}/{selection}"))
    if marker is None or "selection" not in marker.extra:
        return marker
    selected = store.marker(select_marker(selection))
    current = selected and marker.extra["selection"] == selected.extra["fingerprint"]
    return marker if current else None


def current_shards(store: Store, selection: str) -> Marker | None:
    """Return the marker of a selection's shards, None where they are missing or outdated."""
    return current_result(store, SHARD, selection)


def result_files(store: Store, stage: Stage, selection: str | None) -> list[str]:
    """Return the Parquet files of a stage over the pool, none where it has no current result.

    Raises:
        Stopped: one of them is not what was committed.
    """
    result = current_result(store, stage, selection)
    if result is None:
        return []
    for name, wrong in damaged(store, [result], hashed=".parquet"):
        raise Stopped(f"{store.location(name)}: {wrong}; `pairsieve {stage.name}` makes it again")
    return files([result], ".parquet")


def embedded_files(store: Store, embedding: str) -> list[str]:
    """Return the committed files of scores in one folder under `embed/`."""
    return files(store.markers(vectors_folder(embedding)).values(), ".scores.parquet")


def inputs(store: Store, embeddings: Mapping[str, str]) -> list[str]:
    """Return the names of the committed files that the whole-pool steps read, in marker order.

    Attempt-unique names stand for the content, so this goes into the fingerprint of such a step.
    """
    gathered = files(store.markers(GATHER_FOLDER).values(), ".parquet")
    return gathered + [
        name for folder in embeddings.values() for name in embedded_files(store, folder)
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
) -> None:
    """Define the view `name` of `row` and `columns` over Parquet files; empty without any."""
    if names:
        paths = [store.location(file) for file in names]
        relation = connection.read_parquet(paths, union_by_name=True)
    else:
        empty = arrow_schema(dict.fromkeys((ROW, *columns))).empty_table()
        relation = connection.from_arrow(empty)
    relation.create_view(name)
