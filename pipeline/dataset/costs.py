"""Costs: what processors have spent on a piece of work, as its marker says, and bytes per stage.

Each task commits what it has spent with what it has made. A stage over the whole pool adds up its
tasks, those of runs that were stopped too, before it deletes their markers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from time import process_time
from typing import TYPE_CHECKING

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.roles import Role, role

if TYPE_CHECKING:
    from pairsieve.pipeline.dataset.store import Store

CPU_S = "cpu_s"  # in the marker of a piece of work


class CpuMeter:
    """Tells what all threads of this process have spent since it last told.

    So nothing is counted twice, where several pieces of work are done at once; the sum is right,
    their shares may not be.
    """

    def __init__(self, clock: Callable[[], float] = process_time) -> None:
        self._clock = clock
        self._told = 0.0

    def since_last(self) -> float:
        """Return CPU seconds."""
        now = self._clock()
        spent, self._told = now - self._told, now
        return spent


_OF_MARKERS = CpuMeter()


def since_last(meter: CpuMeter = _OF_MARKERS) -> dict[str, float]:
    """Return the CPU seconds since the last marker of this process, for a marker's `extra`."""
    return {CPU_S: round(meter.since_last(), 3)}


def with_cost(marker: Marker) -> Marker:
    """Return a marker that says what was spent since the last one, unless it says so already."""
    if CPU_S in marker.extra:
        return marker
    return replace(marker, extra=marker.extra | since_last())


def of_rounds(store: "Store", folders: Iterable[str]) -> dict[str, float]:
    """Return the CPU seconds of a stage over the whole pool, for its marker's `extra`.

    They are those of the markers below some folders, and those since the last marker here.
    """
    paths = {path for folder in folders for path, _, _ in store.list(folder)}
    below = {path.rpartition("/")[0] for path in paths if role(path) is Role.MARKER}
    markers = (marker for folder in below for marker in store.markers(folder).values())
    spent = sum(marker.extra.get(CPU_S, 0.0) for marker in markers)
    return {CPU_S: round(spent + since_last()[CPU_S], 3)}


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage has left and cost.

    Attributes:
        stage: Its name, and that of the model where there are several.
        files: Committed files.
        bytes: Of these.
        cpu_s: CPU seconds; None where its markers do not say.
    """

    stage: str
    files: int
    bytes: int
    cpu_s: float | None


def of_stage(stage: str, markers: Iterable[Marker]) -> StageCost:
    """Return what markers say of a stage; CPU seconds only if all of them do."""
    files = size = 0
    spent: float | None = 0.0
    for marker in markers:
        files += len(marker.files)
        size += sum(entry.get("bytes", 0) for entry in marker.files.values())
        known = marker.extra.get(CPU_S)
        spent = None if known is None or spent is None else spent + known
    return StageCost(stage, files, size, spent)


def of_stages(stages: Mapping[str, Iterable[Marker]]) -> list[StageCost]:
    """Return what each stage has cost that has left anything."""
    found = (of_stage(stage, markers) for stage, markers in stages.items())
    return [cost for cost in found if cost.files]
