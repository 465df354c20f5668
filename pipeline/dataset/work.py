"""How far the work of a stage is, told by its markers alone, also while another command does it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pairsieve.pipeline.dataset.costs import of_stage
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.store import Store

RECENT = 50  # the last commits, from which the rate is told


@dataclass(frozen=True, slots=True)
class StageWork:
    """What a stage has done of what it is to do.

    Attributes:
        stage: Its name, and that of the model where it has one.
        pairs: Pairs it has answered for.
        total: Those it answers for when it is done.
        bytes: Of the files that it has committed.
        cpu_s: CPU seconds; None where its markers do not say.
        per_s: Pairs per second between the last commits; None where it is done or has begun only.
        left_s: Time left at that rate, s.
        last_s: How long ago the last commit was, s.
    """

    stage: str
    pairs: int
    total: int
    bytes: int
    cpu_s: float | None
    per_s: float | None = None
    left_s: float | None = None
    last_s: float | None = None


@dataclass(frozen=True, slots=True)
class RoundWork:
    """What is committed of a round of tasks over the whole pool that is under way, or was stopped.

    Attributes:
        name: What it is called.
        tasks: Its tasks that are done.
        last_s: How long ago the last of them was committed, s.
    """

    name: str
    tasks: int
    last_s: float


def round_of(store: Store, folder: str, now: float) -> RoundWork | None:
    """Return the latest round below a folder in which a stage leaves what it needs till its end.

    None where nothing is there. Nothing is read.
    """
    commits = [
        (entry["last_modified"].timestamp(), PurePosixPath(entry["path"]).parent)
        for entry in store.entries(folder)
        if role(entry["path"]) is Role.MARKER
    ]
    if not commits:
        return None
    last, latest = max(commits)
    tasks = sum(of == latest for _, of in commits)
    return RoundWork(latest.name, tasks, max(now - last, 0.0))


def work_of(
    store: Store, stage: str, folder: str, markers: Mapping[str, Marker], total: int, now: float
) -> StageWork:
    """Return how far a stage is; of one that is not done its files are listed, for their times.

    `now` is s since 1970; the clocks of other machines and of the store may differ.
    """
    cost = of_stage(stage, markers.values())
    pairs = sum(marker.rows for marker in markers.values())
    work = StageWork(stage, pairs, total, cost.bytes, cost.cpu_s)
    commits = [] if pairs >= total else sorted(_commits(store, folder, markers))[-RECENT:]
    if not commits:
        return work
    (first, _), (last, _) = commits[0], commits[-1]
    rows = sum(markers[name].rows for _, name in commits[1:])
    per_s = rows / (last - first) if last > first else None
    left_s = (total - pairs) / per_s if per_s else None
    return replace(work, per_s=per_s, left_s=left_s, last_s=max(now - last, 0.0))


def _commits(
    store: Store, folder: str, markers: Mapping[str, Marker]
) -> Iterator[tuple[float, str]]:
    """Yield (s since 1970, name) of each marker that lies in a folder as a file; none is read."""
    for entry in store.entries(folder):
        path = PurePosixPath(entry["path"])
        if path.suffix == ".json" and path.parent.as_posix() == folder and path.stem in markers:
            yield entry["last_modified"].timestamp(), path.stem
