"""What the stages over the pool know of pairs: `group`, every selection, and its shards."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    BLOCKLIST_MARKER,
    COLUMNS_MARKER,
    DONE,
    GROUP_MARKER,
    PLAN_FILE,
    content,
    select_marker,
    shard_marker,
    task_name,
)
from pairsieve.pipeline.dataset.shard_names import is_manifest, name_of_shard
from pairsieve.pipeline.dataset.stages import SELECT, SHARD
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.ledger.files import RULES, ledger_files, span_files
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.removal import found as finding
from pairsieve.pipeline.removal.blocked import BlockedTask
from pairsieve.pipeline.removal.groups import GroupTask, changes_in, grouped_without
from pairsieve.pipeline.removal.labels import labelled_without
from pairsieve.pipeline.removal.replacement import Replacement, with_files
from pairsieve.pipeline.removal.rows import files_in, tables_of, units_of
from pairsieve.pipeline.removal.selections import SelectTask, selected_without
from pairsieve.pipeline.removal.shards import (
    WRITTEN,
    ShardTask,
    prepared_shards,
    sharded_without,
)
from pairsieve.pipeline.removal.staged import planned_without
from pairsieve.pipeline.selections.listing import names
from pairsieve.pipeline.selections.record import of_marker
from pairsieve.pipeline.unit.plan_file import Plan

SHARDS = "shards"  # in a record: of each selection the shards that changed
APPLIED = "rounds"  # in the marker of what concerns the pool: the rounds to put in place, in order


@dataclass(frozen=True)
class PoolResults:
    """What concerns the pool, to be prepared without the pairs.

    Attributes:
        pool: The ledger.
        found: The markers of the blocks in which pairs were found.
        of: Returns the folder of a round.
    """

    pool: Pool
    found: tuple[Marker, ...]
    of: Callable[[str], str]

    def commit(self, plan: Plan, told: dict[str, Any]) -> Marker:
        """Prepare it all; commit how the markers are to be, with what else is told."""
        store = self.pool.store
        new = Replacement(sum(one.rows for one in self.found), extra=dict(told))
        changes = self._grouped(new)
        self._blocked(new)
        self._joined(new)
        new.extra[SHARDS] = {}
        applied = ["units", "staged"]
        for index, name in enumerate(names(store)):
            self._selected(index, name, new)
        numbers = count()
        for name in _sharded(store.paths()):
            applied += self._sharded(name, changes, new, numbers)
        self._planned(plan, new)
        self._labelled(new)
        new.extra[APPLIED] = [*applied, "pool"]
        return new.commit(store, self.of("pool"), 0)

    def _run(self, name: str, task: Any, items: dict[str, Any]) -> list[Marker]:
        store, folder = self.pool.store, self.of(name)
        rounds.run(store, self.pool.engine, folder, task, items)
        return list(store.markers(folder).values())

    def _grouped(self, new: Replacement) -> tuple[str, ...]:
        """Prepare `group`; return the files of captions that leave keepers."""
        marker = self.pool.store.marker(GROUP_MARKER)
        if marker is None or not new.rows:
            return ()
        texts = finding.texts(self.pool, self.of("texts"), list(self.found))
        files = files_in(texts)
        task = GroupTask(self.pool.store, self.of("group"), files)
        items = {task_name(table[0]): table for table in tables_of(marker, self.found)}
        prepared = self._run("group", task, items)
        new.markers[GROUP_MARKER] = grouped_without(marker, prepared)
        new.drop_old_of(prepared)
        return changes_in(prepared)

    def _blocked(self, new: Replacement) -> None:
        """Prepare what was looked up in the blocklist."""
        store = self.pool.store
        marker = store.marker(BLOCKLIST_MARKER)
        if marker is None or not new.rows:
            return
        tables = tables_of(marker, self.found)
        items = {task_name(table[0]): table for table in tables if table[3]}
        prepared = self._run("blocklist", BlockedTask(store, self.of("blocklist")), items)
        rows = marker.rows - sum(one.rows for one in prepared)
        files = with_files(marker.files, prepared)
        new.markers[BLOCKLIST_MARKER] = replace(marker, rows=rows, files=files)
        new.drop_old_of(prepared)

    def _joined(self, new: Replacement) -> None:
        """Give up the joined columns of the units that held pairs; `select` joins them again."""
        marker = self.pool.store.marker(COLUMNS_MARKER)
        if marker is None or not new.rows:
            return
        held = [
            file for file, entry in marker.files.items() if files_in(self.found, units_of(entry))
        ]
        files = {file: entry for file, entry in marker.files.items() if file not in held}
        new.markers[COLUMNS_MARKER] = replace(marker, files=files)
        new.old += held

    def _selected(self, index: int, name: str, new: Replacement) -> None:
        """Prepare the verdicts of a selection."""
        store = self.pool.store
        marker = store.marker(select_marker(name))
        if marker is None or not new.rows:
            return
        record = of_marker(marker)
        ledger = ledger_files(store, record.scores if record else None, before=SELECT)
        known = {rule.name: rule for rule in record.rules} if record else {}
        rules = tuple(known[rule] for rule in marker.extra[RULES]) if known else ()
        folder = f"select{index}"
        threads = self.pool.engine.task_threads
        task = SelectTask(store, self.of(folder), rules, threads)
        items = {}
        for table in tables_of(marker, self.found):
            units = units_of(table[2])
            if table[3]:
                judged = span_files(ledger, units) if units else ledger
                items[task_name(table[0])] = (table, judged)
        prepared = self._run(folder, task, items)
        new.markers[select_marker(name)] = selected_without(marker, prepared)
        new.drop_old_of(prepared)

    def _sharded(
        self, name: str, changes: tuple[str, ...], new: Replacement, numbers: Iterator[int]
    ) -> list[str]:
        """Prepare the shards of a selection; return the rounds to put in place, numbered so."""
        store = self.pool.store
        done = store.marker(shard_marker(name))
        if done is None or not new.rows:
            return []
        changed: dict[str, list[Marker]] = {}
        applied = []
        for own, number in zip(filter(None, map(_listed_by, done.files)), numbers, strict=False):
            folder = f"shards{number}"
            task = ShardTask(store, self.of(folder), name, own, done, self.found, changes)
            if prepared := prepared_shards(self.pool.engine, task):
                changed[own] = prepared
                applied.append(folder)
        if changed:
            new.add(sharded_without(store, self.of("pool"), name, done, changed))
            new.extra[SHARDS][name] = _written(changed)
        return applied

    def _labelled(self, new: Replacement) -> None:
        """Prepare the labels that people gave."""
        for path, left in labelled_without(self.pool.store, self.found):
            prepared = content(self.of("pool"), task_name(0), ".list")
            self.pool.store.write(prepared, left)
            new.moved[prepared] = path

    def _planned(self, plan: Plan, new: Replacement) -> None:
        """Prepare the plan over new staged files, if there are any."""
        store = self.pool.store
        prepared = list(store.markers(self.of("staged")).values())
        if prepared:
            path = content(self.of("pool"), task_name(0), ".list")
            store.write(path, planned_without(plan, prepared).dumps())
            new.moved[path] = PLAN_FILE


def _sharded(every: Iterable[str]) -> list[str]:
    """Return the selections that have shards, in order."""
    parts = (path.split("/") for path in every if path.endswith(f"/{DONE}.json"))
    return sorted(part[1] for part in parts if len(part) == 3 and part[0] == SHARD.folder)


def _written(changed: Mapping[str, Sequence[Marker]]) -> list[dict[str, Any]]:
    """Return what a record says of the shards that changed, given by their parts."""
    keys = ("shard", "before", "after", "samples")
    shards = (one.extra[WRITTEN] for prepared in changed.values() for one in prepared)
    return [dict(zip(keys, shard, strict=True)) for shard in shards]


def _listed_by(file: str) -> str | None:
    """Return by what name the shards go that a manifest lists; None of another file."""
    return name_of_shard(file) if is_manifest(file) else None
