"""A blocklist's index as a file of the dataset: the list is read once, the tasks read its keys.

To read a million URLs takes a process 5.5 CPU-seconds, to read their keys 0.02.
"""

import json
from functools import lru_cache, partial

import pyarrow as pa

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.parted import SUFFIX, PartedFile
from pairsieve.pipeline.dataset.paths import content, marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.external import blocklist
from pairsieve.pipeline.external.blocklist import BlocklistIndex
from pairsieve.schemas.recipe import Blocklist

DAMAGED = "the keys of the blocklist are damaged"
NAMES, KIND = b"names", b"kind"  # in the metadata of tables
PARTS = "parts"  # in the marker: of the file


def committed(store: Store, engine: Engine, options: Blocklist, folder: str) -> PartedFile:
    """Return the file of a list's index, made by a task unless it is in `folder`.

    Raises:
        BadOption: there is no such list, or a line in it is not an entry.
        Stopped: the task's process kept dying.
    """
    task = partial(_commit, store, options, folder)
    (marker,) = rounds.run_numbered(store, engine, folder, task, 1)
    (file,) = parted.parted_files([marker], marker.extra[PARTS])
    return file


def _commit(store: Store, options: Blocklist, folder: str, number: int) -> Marker:
    """Read a list and commit its index."""
    name = task_name(number)
    tables = _tables(blocklist.load(options))
    path = content(folder, name, SUFFIX)
    sink = parted.write(store, path, tables, compression=None)
    marker = Marker(0, {path: sink.entry()}, {}, {PARTS: len(tables)})
    return commit(store, marker_path(folder, name), marker)


def _tables(index: BlocklistIndex) -> list[pa.Table]:
    """Return a table that names the list's files, and one of the keys of each kind."""
    head = pa.schema([], {NAMES: json.dumps(index.names)})
    tables = [head.empty_table()]
    for kind, (keys, locations) in index.keys.items():
        table = pa.table({"key": keys, "location": locations})
        tables.append(table.replace_schema_metadata({KIND: kind}))
    return tables


@lru_cache(maxsize=1)
def load(store: Store, file: PartedFile) -> BlocklistIndex:
    """Return the index that a file holds; a process reads it once.

    Raises:
        Stopped: it is damaged.
    """
    head, *tables = parted.read_some(store, file, parted.entries(store, file), DAMAGED)
    names: list[str] = json.loads(_metadata(head, NAMES))
    keys = {
        _metadata(table, KIND): (table["key"].to_numpy(), table["location"].to_numpy())
        for table in tables
    }
    return BlocklistIndex(names, keys)


def _metadata(table: pa.Table, key: bytes) -> str:
    return str(table.schema.metadata[key].decode())
