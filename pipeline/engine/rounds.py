"""Rounds: work over the whole pool that is cut into tasks, each committed to the dataset.

A round is a folder with a marker per task. So a round that was killed goes on with the tasks that
have none, and the next begins when all are there. Who shows progress hears of each task.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from pairsieve.pipeline.dataset.commit import marker_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import marker_path, task_name
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.schemas.errors import Stopped

Item = TypeVar("Item")
Numbered = tuple[int, Item]
RoundListener = Callable[[str, int, int], None]  # takes a round, its tasks that are done, all
_OF_CONTENT = re.compile(r"/[0-9a-f]{16}\Z")  # a folder that is called by a fingerprint
_LISTENER: ContextVar[RoundListener] = ContextVar("_LISTENER", default=lambda *_: None)


@contextmanager
def heard_by(listener: RoundListener) -> Iterator[None]:
    """Let a listener hear of every round that begins and of every task that ends."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def run(
    store: Store,
    engine: Engine,
    folder: str,
    function: Callable[[Item], Marker],
    items: dict[str, Item],
) -> None:
    """Do the items, by the name of their marker, that have no marker in `folder` yet.

    Raises:
        Stopped: a task's process kept dying, or what one has committed is not to be seen.
    """
    done = set(store.markers(folder))  # read, since a list may still show what was deleted
    pending = [item for name, item in items.items() if name not in done]
    before, tell = len(items) - len(pending), _LISTENER.get()
    tell(_title(folder), before, len(items))
    for number, (_, result) in enumerate(engine.map(function, pending), before + 1):
        if isinstance(result, Crashed):
            raise Stopped(
                f"the process of a task in {store.location(folder)} died at every attempt "
                f"({result.reason}), most likely for want of memory; the same command goes on from "
                "there, with fewer --workers or a larger machine"
            )
        tell(_title(folder), number, len(items))
    for name in sorted(items.keys() - set(store.marker_names(folder))):
        marker_of(store, marker_path(folder, name))


def _title(folder: str) -> str:
    """Return what a round is called: as its folder, or the one above that of a fingerprint."""
    return _OF_CONTENT.sub("", folder).rpartition("/")[2]


def run_numbered(
    store: Store, engine: Engine, folder: str, function: Callable[[int], Marker], count: int
) -> list[Marker]:
    """Do a task for every number from 0; return the markers of all, in order.

    Raises:
        Stopped: a task's process kept dying.
    """
    run(store, engine, folder, function, {task_name(number): number for number in range(count)})
    return list(store.markers(folder).values())


def files(store: Store, folder: str, suffix: str) -> list[str]:
    """Return the one file with this suffix of every task of a round, in order of the tasks."""
    return [marker.file(suffix) for marker in store.markers(folder).values()]


def numbered(items: Iterable[Item]) -> dict[str, Numbered[Item]]:
    """Return items with their number, by the name of their marker."""
    return {task_name(number): (number, item) for number, item in enumerate(items)}
