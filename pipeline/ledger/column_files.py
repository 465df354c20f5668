"""Files of columns: what rules read of some units, each column of the joined ledger by itself.

To decide again takes a few columns of every pair, and the ledger has them in many files, which are
read whole and joined by row. Here each column is a part of a file, so that a task reads those it
needs and nothing else. Left out are what is long, as URLs and captions are, and lists.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa

from pairsieve.pipeline.dataset import parted
from pairsieve.pipeline.dataset.checksums import GONE
from pairsieve.pipeline.dataset.parted import PartedFile
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.ledger.files import ColumnFile
from pairsieve.schemas.columns import (
    CAPTION_TEXTS,
    COLUMNS,
    ETAG,
    FINAL_URL,
    IMAGE_FILE,
    LAST_MODIFIED,
    TEXT,
    URL,
)
from pairsieve.schemas.errors import Stopped

LONG = frozenset(
    column.name
    for column in (URL, TEXT, FINAL_URL, ETAG, LAST_MODIFIED, IMAGE_FILE, *CAPTION_TEXTS)
)
SHORT_TEXTS = {c.name for c in COLUMNS if pa.types.is_string(c.type)} - LONG
HELD = b"held"  # in the metadata of a file's first part: the names of the columns that follow
DAMAGED = "the columns of a block are damaged"


def is_held(field: pa.Field) -> bool:
    """Return whether a column of the ledger goes into such a file."""
    if pa.types.is_string(field.type):
        return field.name in SHORT_TEXTS
    return field.name not in LONG and bool(pa.types.is_primitive(field.type))


def write(
    store: Store, path: str, table: pa.Table, columns: Iterable[pa.Field]
) -> tuple[HashingWriter, int]:
    """Write the columns of a table; return what wrote them, closed, and the number of parts.

    Args:
        store: The dataset.
        path: Of the file.
        table: The columns, with `row`.
        columns: All that the ledger has, in its order.
    """
    names = table.column_names
    schema = pa.schema(columns).with_metadata({HELD: json.dumps(names)})
    parts = (table.select([name]) for name in names)
    sink = parted.write(store, path, (schema.empty_table(), *parts))
    return sink, len(names) + 1


def read_schema(store: Store, file: ColumnFile) -> pa.Schema:
    """Return the schema of the ledger of a file's units, all columns among them.

    Raises:
        Stopped: the file is gone or damaged.
    """
    whole = _parted(file)
    with _told_if_gone(store, file):
        (head,) = parted.read_some(store, whole, parted.entries(store, whole, 0, 1), DAMAGED)
    return head.schema


def read(
    store: Store, files: Sequence[ColumnFile], names: Collection[str], threads: int | None
) -> tuple[pa.Table, set[str]]:
    """Return those of some columns that files have, a row per pair, and the names of the others.

    The second are columns of the ledger that are not held, in lower case, as all `names` are.

    Raises:
        Stopped: a file is gone or damaged.
    """
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        read = list(pool.map(lambda file: _read(store, file, names), files))
    tables, others = zip(*read, strict=True)
    return pa.concat_tables(tables, promote_options="default"), set().union(*others)


def _read(store: Store, file: ColumnFile, names: Collection[str]) -> tuple[pa.Table, set[str]]:
    whole = _parted(file)
    with _told_if_gone(store, file):
        places = parted.entries(store, whole)
        (head,) = parted.read_some(store, whole, places[:1], DAMAGED)
        held = json.loads(head.schema.metadata[HELD])
        some = [number for number, name in enumerate(held, 1) if name.lower() in names]
        columns = parted.read_some(store, whole, places[some], DAMAGED)
    fields = [column.schema.field(0) for column in columns]
    table = pa.Table.from_arrays([column[0] for column in columns], schema=pa.schema(fields))
    return table, {name.lower() for name in head.schema.names if name not in held}


def _parted(file: ColumnFile) -> PartedFile:
    return PartedFile(file.name, file.bytes, file.parts)


@contextmanager
def _told_if_gone(store: Store, file: ColumnFile) -> Iterator[None]:
    """Say of a file that is not there what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise Stopped(f"{store.location(file.name)}: {GONE}; run again") from error
