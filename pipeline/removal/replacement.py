"""Replacements: new files without the pairs, prepared by tasks, then put in place of the old ones.

A task writes new files under new names and commits, in a round of the `forget`, which markers will
name them and which files nothing will name any more. Once all are prepared, they are applied: the
markers are written and the old files deleted. Both can be done again after a kill, and give the
same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from pairsieve.pipeline.dataset.commit import commit, marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.ledger.files import WAS
from pairsieve.schemas.errors import Stopped

MARKERS, OLD, NEW, MOVED = "markers", "old", "new", "moved"  # in the marker of a task

Entry = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Replacement:
    """What a task has prepared.

    Attributes:
        rows: How many pairs it takes out.
        files: The new files, as markers name them.
        markers: Those to write, by path.
        new: The file that takes the place of each old one.
        old: Files to delete.
        moved: Files to put in place of others, which keep their names.
        extra: What the driver must know of it.
    """

    rows: int = 0
    files: dict[str, Entry] = field(default_factory=dict)
    markers: dict[str, Marker] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    old: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def succeed(self, old: str, old_entry: Mapping[str, Any], new: str, entry: Entry) -> None:
        """Let a new file take the place of an old one, for whose content it stands."""
        kept = {key: value for key, value in old_entry.items() if key not in ("bytes", "sha256")}
        was = old_entry.get(WAS, [old, old_entry.get("sha256")])
        self.files[new] = kept | entry | {WAS: was}
        self.old.append(old)
        self.new[old] = new

    def add(self, other: "Replacement") -> None:
        """Add what was prepared elsewhere."""
        self.files |= other.files
        self.markers |= other.markers
        self.old += other.old
        self.moved |= other.moved

    def drop_old_of(self, prepared: Iterable[Marker]) -> None:
        """Delete the files, too, for which tasks have prepared others."""
        self.old += [old for one in prepared for old in one.extra[OLD]]

    def commit(self, store: Store, folder: str, number: int) -> Marker:
        """Commit what is prepared."""
        markers = {path: asdict(marker) for path, marker in self.markers.items()}
        told = {MARKERS: markers, OLD: self.old, NEW: self.new, MOVED: self.moved}
        marker = Marker(self.rows, self.files, {}, self.extra | told)
        return commit(store, marker_path(folder, task_name(number)), marker)


def with_values(table: pa.Table, column: str, values: Sequence[Any]) -> pa.Table:
    """Return a table with other values of a column, whose type stays."""
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def apply(store: Store, engine: Engine, folders: Iterable[str]) -> None:
    """Put in place what the tasks of some rounds have prepared, one round after the other.

    Raises:
        Stopped: a task's process kept dying.
    """
    for folder in folders:
        for _ in each(engine, partial(_apply, store, folder), store.marker_names(folder)):
            continue


def _apply(store: Store, folder: str, name: str) -> None:
    """Put in place what a task has prepared."""
    prepared = marker_of(store, marker_path(folder, name))
    for source, path in prepared.extra[MOVED].items():
        if store.exists(source):
            store.copy(source, path)
            store.delete([source])
    for path, content in prepared.extra[MARKERS].items():
        store.write(path, Marker(**content).dumps())
    store.delete(prepared.extra[OLD])


def each(
    engine: Engine, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Yield what a task returns of each item.

    Raises:
        Stopped: a task's process kept dying.
    """
    for _, result in engine.map(function, items):
        if isinstance(result, Crashed):
            raise Stopped(f"a task died ({result.reason}); the same command goes on")
        yield result


def with_files(files: Mapping[str, Entry], prepared: Iterable[Marker]) -> dict[str, Entry]:
    """Return files, as a marker names them, with those that tasks have prepared in their place."""
    new = {old: (name, one.files[name]) for one in prepared for old, name in one.extra[NEW].items()}
    return dict(new.get(name, (name, entry)) for name, entry in files.items())
