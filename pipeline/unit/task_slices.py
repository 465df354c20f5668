"""Task slices: what one task gathers, and the name under which it is committed.

A task slice is a unit, or a part of one after a crash. In a retry layer it stands for those of its
pairs that are fetched again; it keeps the unit's own indices, so that what is left of a unit is
known from names alone.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, Span, marker_path, parsed
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.schemas.errors import Stopped

ASKED_FOR = 1000  # units that a list lacks, one request each
AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Retry:
    """What a task slice of a retry layer fetches again.

    Attributes:
        layer: Which retry layer, from 1.
        outcomes: The outcomes of the pairs to fetch again.
        parts: The unit's ledger parts of all earlier retry layers, in their order.
    """

    layer: int
    outcomes: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskSlice:
    """Consecutive pairs of one unit: all of them, or a part after a crash."""

    unit: int
    first: int
    rows: int
    whole: bool
    retry: Retry | None = None

    @property
    def layer(self) -> int:
        """Return the retry layer that the task slice is of; 0 is the first gather."""
        return self.retry.layer if self.retry else 0

    @property
    def name(self) -> str:
        """Return the name under which the task slice is committed."""
        layer = f".r{self.layer}" if self.retry else ""
        return f"{self.unit:08d}{layer}" + ("" if self.whole else f".{self.first}+{self.rows}")

    def cut(self, at: int) -> "list[TaskSlice]":
        """Return the task slice in two, the second from its pair `at` on."""
        return [
            replace(self, rows=at, whole=False),
            replace(self, first=self.first + at, rows=self.rows - at, whole=False),
        ]


def pending(plan: Plan, names: Iterable[str]) -> list[TaskSlice]:
    """Return the task slices of the first gather that no committed name answers for, in order."""
    done: dict[int, list[Span]] = {}
    for unit, layer, span in map(parsed, names):
        if not layer:
            done.setdefault(unit, []).append(span or (0, plan.unit_rows(unit)))
    return [
        task_slice
        for unit in range(len(plan.units))
        for task_slice in gaps(unit, plan.unit_rows(unit), done.get(unit, []))
    ]


def catch_up(store: Store, plan: Plan) -> list[TaskSlice]:
    """Ask for units that the list of what is gathered lacks, the first ones: it may lag behind.

    From now on it shows those that are there. Return what is still lacking.
    """
    lacking = pending(plan, store.marker_names(GATHER_FOLDER))
    units = (one for one in lacking if one.whole)
    paths = [marker_path(GATHER_FOLDER, one.name) for one in islice(units, ASKED_FOR)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        there = {
            path for path, found in zip(paths, pool.map(store.exists, paths), strict=True) if found
        }
    return [one for one in lacking if marker_path(GATHER_FOLDER, one.name) not in there]


def check_complete(store: Store, plan: Plan) -> None:
    """Refuse to go on where the store does not show everything that was gathered.

    Raises:
        Stopped: it lacks a task slice.
    """
    if lacking := catch_up(store, plan):
        raise Stopped(
            f"{store.location(GATHER_FOLDER)}: of what was gathered the list lacks "
            f"{len(lacking)} task slices, from {lacking[0].name} on; run the command again"
        )


def gaps(
    unit: int, total: int, done: Iterable[Span], retry: Retry | None = None
) -> Iterator[TaskSlice]:
    """Yield the task slices of a unit of `total` pairs between those that are done."""
    start = 0
    for first, rows in [*sorted(done), (total, 0)]:
        if first > start:
            yield TaskSlice(unit, start, first - start, first - start == total, retry)
        start = first + rows
