"""A marker of a gathered slice, made again from its files: else its images would be fetched anew.

The files are taken only if they are those that the damaged marker named: all of their checksums but
one at most must stand in it, because the damage may have hit one.
"""

import re
from pathlib import PurePosixPath
from typing import Any

from pairsieve.pipeline.dataset.marker import REPLACED, Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    files,
    layer_of,
    marker_path,
    parsed,
)
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import HashedReader
from pairsieve.pipeline.unit.fetch_summary import COLUMNS, KEY, tally_of
from pairsieve.schemas.columns import FETCHED_AT, OUTCOME, RETRY_LAYER, ROW

READ = (ROW, RETRY_LAYER, *COLUMNS)
ATTEMPT = r"\.([0-9a-f]{12})(\.\w+(?:\.\w+)?)"


def rebuilt(store: Store, path: str) -> Marker | None:
    """Return what a damaged marker of a gathered slice said; None where that cannot be told."""
    name = PurePosixPath(path).stem
    damaged = store.read(path).decode(errors="replace")
    entries = {file: _entry(store, file) for file in _files_of(store, name)}
    unknown = [entry for entry in entries.values() if entry["sha256"] not in damaged]
    parts = [file for file in entries if file.endswith(".parquet")]
    if len(parts) != 1 or len(unknown) > 1 or len(unknown) == len(entries):
        return None
    values = _values(store, parts[0])
    outcomes = values[OUTCOME.name]
    counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    extra: dict[str, Any] = {KEY: tally_of(values)}
    if layer_of(name):
        extra[REPLACED] = _replaced(store, name, set(values[ROW.name]))
    return Marker(len(outcomes), entries, counts, extra)


def _files_of(store: Store, name: str) -> list[str]:
    """Return the files that lie there for a task slice, by any attempt."""
    own = re.compile(re.escape(f"{GATHER_FOLDER}/{name}") + ATTEMPT)
    every = (path for path, _, _ in store.list(GATHER_FOLDER))
    return [path for path in every if role(path) is Role.CONTENT and own.fullmatch(path)]


def _entry(store: Store, path: str) -> dict[str, Any]:
    with store.reader(path) as source:
        return HashedReader(source).entry()


def _values(store: Store, part: str) -> dict[str, list[Any]]:
    """Return the columns `READ` of a ledger part, times in ms."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with store.reader(part) as source:
        table = pq.read_table(source, columns=[column.name for column in READ])
    values: dict[str, list[Any]] = {
        c.name: table[c.name].to_pylist() for c in READ if c != FETCHED_AT
    }
    values[FETCHED_AT.name] = table[FETCHED_AT.name].cast(pa.int64()).to_pylist()
    return values


def _replaced(store: Store, name: str, rows: set[int]) -> dict[str, int]:
    """Return how many of these rows had each outcome before the retry layer of a task slice."""
    unit, layer, _ = parsed(name)
    earlier = [
        (parsed(other)[1], other)
        for other in store.marker_names(GATHER_FOLDER)
        if parsed(other)[0] == unit and parsed(other)[1] < layer
    ]
    before: dict[int, str] = {}
    for _, other in sorted(earlier):
        marker = store.marker(marker_path(GATHER_FOLDER, other))
        for part in files([marker] if marker else [], ".parquet"):
            values = _values(store, part)
            before |= dict(zip(values[ROW.name], values[OUTCOME.name], strict=True))
    outcomes = [before[row] for row in rows]
    return {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
