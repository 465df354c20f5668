"""What the stages over the pool know of pairs: `group`, every selection, and its shards."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    DONE,
    GROUP_MARKER,
    PLAN_FILE,
    content,
    select_marker,
    shard_marker,
    task_name,
)
from pairsieve.pipeline.dataset.stages import SELECT, SHARD
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.ledger.files import MADE_BY, RULES, ledger_files, span_files
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.removal import found as finding
from pairsieve.pipeline.removal.groups import GroupTask, changes_in, grouped_without
from pairsieve.pipeline.removal.replacement import Replacement, each
from pairsieve.pipeline.removal.rows import files_in, tables_of, units_of
from pairsieve.pipeline.removal.selections import SelectTask, selected_without
from pairsieve.pipeline.removal.shards import (
    SHARDS_AT_ONCE,
    WRITTEN,
    ShardTask,
    sharded_without,
)
from pairsieve.pipeline.removal.staged import planned_without
from pairsieve.pipeline.selections.listing import names
from pairsieve.pipeline.selections.record import Record
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
        new.extra[SHARDS] = {}
        applied = ["units", "staged"]
        for index, name in enumerate(names(store)):
            self._selected(index, name, new)
        for index, name in enumerate(_sharded(store.paths())):
            if self._sharded(index, name, changes, new):
                applied.append(f"shards{index}")
        self._planned(plan, new)
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
        new.old += [old for one in prepared for old in one.extra["old"]]
        return changes_in(prepared)

    def _selected(self, index: int, name: str, new: Replacement) -> None:
        """Prepare the verdicts of a selection."""
        store = self.pool.store
        marker = store.marker(select_marker(name))
        if marker is None or not new.rows:
            return
        record = Record.loads(marker.extra[MADE_BY]) if MADE_BY in marker.extra else None
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
        new.old += [old for one in prepared for old in one.extra["old"]]

    def _sharded(
        self, index: int, name: str, changes: tuple[str, ...], new: Replacement
    ) -> list[Marker]:
        """Prepare the shards of a selection; return the markers of those that change."""
        store = self.pool.store
        done = store.marker(shard_marker(name))
        if done is None or not new.rows:
            return []
        if not _is_of_tars(name, done):  # they are packed anew
            new.old += [shard_marker(name), *done.files]
            new.extra[SHARDS][name] = [{"shard": "all"}]
            return []
        folder = f"shards{index}"
        task = ShardTask(store, self.of(folder), name, done, self.found, changes)
        files = list(json.loads(store.read(paths.sizes(name))))
        starts = range(0, len(files), SHARDS_AT_ONCE)
        batches = [files[first : first + SHARDS_AT_ONCE] for first in starts]
        touched = [file for some in each(self.pool.engine, task.touched, batches) for file in some]
        items = {task_name(int(file.partition(".")[0])): file for file in sorted(touched)}
        prepared = self._run(folder, task, items)
        if prepared:
            part = sharded_without(store, name, self.of("pool"), done, prepared)
            new.moved |= part.moved
            new.files |= part.files
            new.markers |= part.markers
            keys = ("shard", "before", "after", "samples")
            new.extra[SHARDS][name] = [
                dict(zip(keys, one.extra[WRITTEN], strict=True)) for one in prepared
            ]
        return prepared

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


def _is_of_tars(name: str, done: Marker) -> bool:
    """Return whether the shards of a selection are tars, and there is nothing else."""
    listings = {paths.sizes(name), paths.manifest(name)}
    return all(file in listings or file.endswith(".tar") for file in done.files)
