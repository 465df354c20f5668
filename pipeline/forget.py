"""Forget: take pairs out, so that no byte of them is left and nothing fetches them again.

First tasks prepare everything that will be written instead: the units that hold such a pair, the
blocks of `group` and of the selections, the shards. Then it is put in place, what is made from the
rest (reports, indexes, stopped rounds) is deleted, and a record is put. What stands for the content
in fingerprints is still that of the files as first committed, so nothing is decided anew: a copy
of a keeper that is forgotten stays dropped, and only the shards that held a pair change.
"""

import getpass
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.commit import fingerprint, marker_of, tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    CAPTION_FOLDER,
    EMBED_FOLDER,
    EVALUATION,
    FORGET_BEGUN,
    FORGOTTEN,
    GATHER_FOLDER,
    forgotten_record,
    forgotten_rounds,
    parsed,
    result,
)
from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine import rounds
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, ledger_files
from pairsieve.pipeline.ledger.pool import Pool
from pairsieve.pipeline.removal import derived, found
from pairsieve.pipeline.removal.pool_results import SHARDS, PoolResults
from pairsieve.pipeline.removal.replacement import apply
from pairsieve.pipeline.removal.rows import files_in
from pairsieve.pipeline.removal.staged import StagedTask, stretches
from pairsieve.pipeline.removal.units import Unit, UnitTask
from pairsieve.pipeline.unit import forgotten, plan_file
from pairsieve.pipeline.unit.forgotten import REASON, UNITS_LEFT, Keys
from pairsieve.pipeline.unit.task_slices import pending
from pairsieve.schemas.errors import BadOption


@dataclass(frozen=True, slots=True)
class Taken:
    """What a `forget` takes out.

    Attributes:
        pairs: How many pairs.
        images: How many of them had a stored image; None where only what was begun is finished.
        shards: How many shards are others now, by selection.
        units_left: Units that are not gathered yet, and so were not looked through.
        record: Where it stands; None where nothing was done.
    """

    pairs: int
    images: int | None = None
    shards: Mapping[str, int] | None = None
    units_left: int = 0
    record: str | None = None


def dry_run(store: Store, engine: Engine, keys: Keys, units: int = BLOCK_UNITS) -> Taken:
    """Return what would be taken out.

    Raises:
        BadOption: there is no dataset.
        Stopped: an earlier `forget` is not finished.
    """
    plan = plan_file.read(store)
    forgotten.check_finished(store)
    left = len(pending(plan, store.marker_names(GATHER_FOLDER)))
    pool = _pool(store, engine, units)
    pairs, images = found.count(pool, keys) if pool.files.gathered else (0, 0)
    return Taken(pairs, images, units_left=left)


def run(
    store: Store, engine: Engine, keys: Keys, reason: str = "", units: int = BLOCK_UNITS
) -> list[Taken]:
    """Take out what is meant; an earlier `forget` that was stopped is finished first.

    The ledger is looked through in blocks of so many units.

    Raises:
        BadOption: there is no dataset, or nothing to take out.
        Stopped: a task's process kept dying; the same command goes on.
    """
    check(store, keys)
    begun = store.marker(FORGET_BEGUN)
    done = [_finish(store, engine, begun)] if begun else []
    if begun and (not keys or forgotten.read_keys(store, begun_keys(store, done)) == keys):
        return done
    return [*done, _finish(store, engine, _begin(store, keys, reason, units))]


def check(store: Store, keys: Keys) -> None:
    """Refuse to begin without a dataset, or with nothing to take out or to finish.

    Raises:
        BadOption: saying which.
    """
    plan_file.read(store)
    if not keys and not store.exists(FORGET_BEGUN):
        raise BadOption(
            "forget: say what: --uid, --url, --host, --sha256, --phash, or --list with a file"
        )


def begun_keys(store: Store, done: Sequence[Taken]) -> Marker:
    """Return the record of what was finished."""
    return marker_of(store, done[-1].record or "")


def _pool(store: Store, engine: Engine, units: int) -> Pool:
    return Pool(store, engine, ledger_files(store, before=SELECT), units)


def _begin(store: Store, keys: Keys, reason: str, units: int) -> Marker:
    """Put down what is to be taken out; from now on every other command waits for the end."""
    number = max((int(name) for name in forgotten.names(store)), default=0) + 1
    path = result(FORGOTTEN)
    with store.writer(path) as sink:
        pq.write_table(forgotten.keys_table(keys), sink, compression="zstd")
    extra = {
        "number": number,
        "units": units,
        REASON: reason,
        "who": _who(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": {kind: sum(k == kind for k, _ in keys) for kind in dict(keys)},
    }
    marker = Marker(0, {path: sink.entry()}, {}, extra)
    store.write(FORGET_BEGUN, marker.dumps())
    return marker


def _who() -> str:
    """Return the user and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _finish(store: Store, engine: Engine, begun: Marker) -> Taken:
    """Take out what was put down, from wherever an earlier attempt had come to."""
    record_path = forgotten_record(begun.extra["number"])
    record = store.marker(record_path)
    forget = _Forget(store, engine, begun)
    if record is None:
        record = forget.prepared_and_applied()
        store.write(record_path, record.dumps())
    tidy(store, forgotten_rounds(forget.cut), record)
    store.delete([FORGET_BEGUN])
    shards = {name: len(changed) for name, changed in record.extra[SHARDS].items()}
    images, left = record.counts["images"], record.extra[UNITS_LEFT]
    return Taken(record.rows, images, shards, left, record_path)


class _Forget:
    """One `forget` under way."""

    def __init__(self, store: Store, engine: Engine, begun: Marker) -> None:
        self.store, self.engine, self.begun = store, engine, begun
        self.units = begun.extra["units"]
        self.cut = fingerprint(begun.files, begun.extra)
        self.reason = begun.extra[REASON] or f"taken out by {forgotten_record(self.number)}"

    @property
    def number(self) -> int:
        return int(self.begun.extra["number"])

    def of(self, name: str) -> str:
        """Return the folder of a round."""
        return forgotten_rounds(self.cut, name)

    def prepared_and_applied(self) -> Marker:
        """Go through all rounds; return the record."""
        prepared = self.store.marker(paths.marker_path(self.of("pool"), paths.task_name(0)))
        prepared = prepared or self._prepared()
        apply(self.store, self.engine, map(self.of, prepared.extra["rounds"]))
        if prepared.rows:
            derived.delete(self.store)
        told = {key: prepared.extra[key] for key in (SHARDS, UNITS_LEFT)}
        files = self.begun.files | prepared.extra["found"]
        counts = {"pairs": prepared.rows, "images": prepared.extra["images"]}
        return Marker(prepared.rows, files, counts, self.begun.extra | told)

    def _prepared(self) -> Marker:
        """Prepare everything; return the marker of what concerns the pool, the last of all."""
        store, plan = self.store, plan_file.read(self.store)
        keys = forgotten.read_keys(store, self.begun)
        pool = _pool(store, self.engine, self.units)
        meant: list[Marker] = []
        if pool.files.gathered:
            meant = found.find(pool, keys, self.of("found"), plan.unit_pairs)
        numbers = [number for one in meant for number in one.extra[found.UNITS_FOUND]]
        self._run("units", self._unit_task(plan.unit_pairs), self._units(numbers, meant))
        staged = {
            paths.task_name(number): (number, rows)
            for number, rows in stretches(plan, numbers).items()
        }
        task = StagedTask(
            store, self.of("staged"), plan.staged, dict(plan.staged_entries), files_in(meant)
        )
        self._run("staged", task, staged)
        results = PoolResults(pool, tuple(meant), self.of)
        left = len(pending(plan, store.marker_names(GATHER_FOLDER)))
        entries = {name: entry for one in meant for name, entry in one.files.items()}
        told: dict[str, Any] = {
            "found": entries,
            "images": sum(one.counts["images"] for one in meant),
            UNITS_LEFT: left,
        }
        return results.commit(plan, told)

    def _run(self, name: str, task: Any, items: dict[str, Any]) -> None:
        rounds.run(self.store, self.engine, self.of(name), task, items)

    def _unit_task(self, unit_pairs: int) -> UnitTask:
        folders = []
        for parent in (EMBED_FOLDER, CAPTION_FOLDER):
            for name in self.store.marker_names(parent):
                folder = f"{parent}/{name}"
                folders += [folder, *self._below(folder)]
        folders += self._below(EVALUATION)
        return UnitTask(self.store, self.of("units"), unit_pairs, self.reason, tuple(folders))

    def _below(self, folder: str) -> list[str]:
        """Return the folders in a folder, in order."""
        depth = folder.count("/") + 1
        found = {path.rpartition("/")[0] for path, _, _ in self.store.list(folder)}
        return sorted(path for path in found if path.count("/") == depth)

    def _units(self, numbers: Sequence[int], meant: Sequence[Marker]) -> dict[str, Unit]:
        """Return the units that hold such a pair, by the name of their task."""
        slices: dict[int, list[str]] = {number: [] for number in numbers}
        for name in self.store.marker_names(GATHER_FOLDER):
            unit = parsed(name)[0]
            if unit in slices:
                slices[unit].append(name)
        return {
            paths.task_name(number): Unit(
                number, tuple(names), files_in(meant, (number, number))[0]
            )
            for number, names in slices.items()
        }
