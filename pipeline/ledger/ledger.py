"""The ledger: one row per input pair, put together from what each verb has committed.

Every verb writes its own columns beside `row`; DuckDB joins them. Only files named in markers are
read. `gathered`, `embedded`, `grouped`, `listed`, `selected` and `sharded` are the parts, `ledger`
the whole; a part that does not exist yet is empty, so its columns are null. Of a pair that was
tried again `gathered` has the latest layer, `superseded` what came before.
"""

from collections.abc import Iterable, Mapping
from io import RawIOBase
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    BLOCKLIST_MARKER,
    GATHER_FOLDER,
    GROUP_MARKER,
    files,
    layer_of,
    select_marker,
    shard_marker,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.schemas.columns import (
    EMBEDDED,
    GATHERED,
    GROUPED,
    LISTED,
    ROW,
    SELECTED,
    SHARDED,
    Column,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_AT_ONCE = 122_880  # rows DuckDB hands over together, and of one Parquet row group


def connect(store: Store, file: str = ":memory:") -> "DuckDBPyConnection":
    """Return a DuckDB connection that can read the dataset; it spills inside a local one."""
    import duckdb

    connection = duckdb.connect(file)
    connection.execute("SET enable_progress_bar = false")
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
) -> None:
    """Define the parts and the view `ledger` on `connection`.

    Args:
        connection: From `connect`.
        store: The dataset.
        embeddings: Folders under `embed/` whose scores to join: that of the main model by the name
            "", and those of others, whose columns end in `_` and their name.
        selection: Name of the selection whose verdicts and shards to join; None for none.

    Raises:
        BadOption: a further model's column is called as one of the input.
    """
    _attach_gathered(connection, store)
    further = dict(embeddings or {})
    main = further.pop("", None)
    parts: list[tuple[str, tuple[Column, ...], list[str]]] = [
        ("embedded", EMBEDDED, embedded_files(store, main) if main else []),
        ("grouped", GROUPED, _result_files(store, GROUP_MARKER)),
        ("listed", LISTED, _result_files(store, BLOCKLIST_MARKER)),
        ("selected", SELECTED, _result_files(store, select_marker(selection)) if selection else []),
        ("sharded", SHARDED, _shard_files(store, selection) if selection else []),
    ]
    for name, columns, names in parts:
        _view(connection, store, name, columns, names)
    others = ", ".join(f"{part}.{column.name}" for part, columns, _ in parts for column in columns)
    travelling = set(connection.table("gathered").columns)
    for name, folder in further.items():
        part = f"embedded_{name}"
        if taken := travelling & {f"{column.name}_{name}" for column in EMBEDDED}:
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
    """Define `gathered`, a row per pair, and `superseded`, the rows that a later layer replaced.

    Only the rows of later layers are grouped; the first gather's many are merely probed.
    """
    markers = store.markers(GATHER_FOLDER)
    again = files((m for name, m in markers.items() if layer_of(name)), ".parquet")
    first = files((m for name, m in markers.items() if not layer_of(name)), ".parquet")
    if not again:
        _view(connection, store, "gathered", GATHERED, first)
        _view(connection, store, "superseded", GATHERED, [])
        return
    _view(connection, store, "first_gather", GATHERED, first)
    _view(connection, store, "tried_again", GATHERED, again)
    connection.execute(
        """
        CREATE VIEW latest AS SELECT row, max(layer) AS layer FROM tried_again GROUP BY row;
        CREATE VIEW gathered AS
        FROM first_gather ANTI JOIN latest USING (row) UNION ALL BY NAME
        FROM tried_again SEMI JOIN latest USING (row, layer);
        CREATE VIEW superseded AS
        FROM first_gather SEMI JOIN latest USING (row) UNION ALL BY NAME
        FROM tried_again ANTI JOIN latest USING (row, layer)
        """
    )


def current_shards(store: Store, selection: str) -> Marker | None:
    """Return the marker of a selection's shards, None where they are missing or outdated."""
    selected = store.marker(select_marker(selection))
    shards = store.marker(shard_marker(selection))
    if not selected or not shards:
        return None
    return shards if shards.extra["selection"] == selected.extra["fingerprint"] else None


def embedded_files(store: Store, embedding: str) -> list[str]:
    """Return the committed files of scores in one folder under `embed/`."""
    return files(store.markers(f"embed/{embedding}").values(), ".scores.parquet")


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


def _result_files(store: Store, marker: str) -> list[str]:
    """Return the Parquet files of a whole-pool step, none if it is not committed."""
    found = store.marker(marker)
    return files([found], ".parquet") if found else []


def _shard_files(store: Store, selection: str) -> list[str]:
    """Return the manifest of a selection's shards, none while they are those of an older one."""
    shards = current_shards(store, selection)
    return files([shards], ".parquet") if shards else []


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
