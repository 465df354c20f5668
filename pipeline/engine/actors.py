"""A pool of actors: each builds a state once and works at items with it.

Items wait here, not with an actor, until one is there to work at them: an actor for which no node
has room waits in sight of an autoscaler and holds nothing up. The retries are ours too, so that an
item whose actor or node is gone goes to any other one.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from pairsieve.pipeline.dataset.costs import CpuMeter
from pairsieve.pipeline.dataset.listing import CHANGES, Change
from pairsieve.pipeline.engine.memory_cap import capped
from pairsieve.pipeline.engine.private_ray import CHECK_S
from pairsieve.schemas.errors import Stopped

RETRIES = 2  # further attempts at an item whose process died
ITEMS_IN_HAND = 2  # of an actor: one waits while the other is worked at
_OF_TASKS = CpuMeter()  # of a process of Ray's

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Crashed:
    """What stands for the result of a task whose process died at every attempt."""

    reason: str


@dataclass(slots=True)
class _Attempt:
    """An item that is to be worked at, and how often its process has died."""

    item: Any
    deaths: int = 0


class Metered(NamedTuple, Generic[Result]):
    """What a task's process gives: a result, CPU seconds, and what it put and deleted."""

    result: Result
    cpu_s: float = 0.0
    changes: Sequence[Change] = ()


class ActorPool:
    """Starts actors as items come, at most as many as it is told, and shares the items out.

    Attributes:
        start: Starts an actor.
        most: How many there may be now.
        wait: Returns the one of some references that is there first, or None after some seconds.
        result: Returns what a reference stands for: a result, or `Crashed`.
        in_hand: How many items an actor has at once.
    """

    def __init__(
        self,
        start: Callable[[], Any],
        most: Callable[[], int],
        wait: Callable[[list[Any], float], Any],
        result: Callable[[Any], Any],
        in_hand: int,
    ) -> None:
        self._start = start
        self._most = most
        self._wait = wait
        self._result = result
        self._items = in_hand
        self._starting: dict[Any, Any] = {}  # an actor, by the reference that says it is there
        self._busy: dict[Any, int] = {}  # items in hand, by actor
        self._running: dict[Any, tuple[_Attempt, Any]] = {}  # an attempt and its actor
        self._waiting: deque[_Attempt] = deque()
        self._failed_starts = 0
        self._stalled = False  # there is no actor, and has not been for seconds

    def results(self, items: Iterable[Any]) -> Generator[tuple[Any, Any]]:
        """Yield (item, result) as actors answer.

        When an actor dies, what was beside or behind the culprit may use up its attempts too, so an
        item counts as crashed only when it also crashed alone, once.
        """
        suspects = []
        for item, result in self._results(iter(items), self._width, RETRIES):
            if isinstance(result, Crashed):
                suspects.append(item)
            else:
                yield item, result
        yield from self._results(iter(suspects), lambda: 1, 0)

    def actors(self) -> list[Any]:
        """Return all that are not known to be dead."""
        return [*self._busy, *self._starting.values()]

    def _results(
        self, source: Iterator[Any], width: Callable[[], int], retries: int
    ) -> Generator[tuple[Any, Any]]:
        while True:
            self._pull(source, width())
            if not self._running and not self._waiting:
                return
            self._hand_out()
            reference = self._wait([*self._running, *self._starting], self._patience_s())
            if reference is None:
                self._stalled = True
            elif reference in self._starting:
                self._started(reference)
            else:
                attempt, result = self._ended(reference)
                if not isinstance(result, Crashed) or attempt.deaths > retries:
                    yield attempt.item, result
                else:
                    self._waiting.appendleft(attempt)

    def _pull(self, source: Iterator[Any], width: int) -> None:
        """Take items as there is room, and start actors for them.

        Where there is no actor yet, one more is taken: other actors may make the items, and hold
        what ours wait for until the last is made.
        """
        width = max(width, self._in_hand() + 1 if self._stalled else 0)
        self._start_missing()
        while self._in_hand() < width:
            try:
                self._waiting.append(_Attempt(next(source)))
            except StopIteration:
                self._stalled = False
                break
            self._start_missing()

    def _width(self) -> int:
        return self._most() * self._items

    def _in_hand(self) -> int:
        return len(self._running) + len(self._waiting)

    def _patience_s(self) -> float:
        """Return how long to wait for an answer before more items are taken."""
        if self._busy:
            return math.inf
        return 0 if self._stalled else CHECK_S

    def _start_missing(self) -> None:
        wanted = min(self._most(), self._in_hand())
        while len(self._busy) + len(self._starting) < wanted:
            actor = self._start()
            self._starting[actor.ready.remote()] = actor

    def _started(self, reference: Any) -> None:
        """Take an actor in, or note that its process died.

        Raises:
            Stopped: several have died before they could work.
        """
        actor = self._starting.pop(reference)
        if isinstance(result := self._result(reference), Crashed):
            self._failed_starts += 1
            if self._failed_starts > RETRIES:
                raise Stopped(
                    f"{self._failed_starts} processes died before they could work "
                    f"({result.reason}), most likely for want of memory; the same command goes on "
                    "from there, with fewer --workers or a larger machine"
                )
            return
        self._failed_starts = 0
        self._busy[actor] = 0
        self._stalled = False

    def _hand_out(self) -> None:
        while self._waiting and (actor := self._free()):
            attempt = self._waiting.popleft()
            self._busy[actor] += 1
            self._running[actor.call.remote(attempt.item)] = attempt, actor

    def _free(self) -> Any:
        """Return the actor with the least in hand, if it has room.

        None gets a further item while there may be an actor soon that has none.
        """
        actor = min(self._busy, key=lambda each: self._busy[each], default=None)
        if actor is None or self._busy[actor] >= self._items:
            return None
        if self._busy[actor] and len(self._waiting) <= len(self._starting):
            return None
        return actor

    def _ended(self, reference: Any) -> tuple[_Attempt, Any]:
        """Return an attempt that has ended, and its result; its actor may be gone with it."""
        attempt, actor = self._running.pop(reference)
        result = self._result(reference)
        if isinstance(result, Crashed):
            attempt.deaths += 1
            self._busy.pop(actor, None)
        elif actor in self._busy:
            self._busy[actor] -= 1
        return attempt, result


class Actor:
    """Holds a state and applies the function to it; built at the first call, so errors reach it."""

    def __init__(
        self,
        setup: Callable[[], Any],
        function: Callable[[Any, Any], Any],
        memory_bytes: int | None,
    ) -> None:
        self._setup = setup
        self._function = function
        self._memory_bytes = memory_bytes
        self._state: Any = None
        self._building = threading.Lock()

    def ready(self) -> Metered[None]:
        """Answer: there is a process."""
        return Metered(None)

    def call(self, item: Any) -> Metered[Any]:
        """Return what the function gives for an item, metered."""
        with capped(self._memory_bytes):
            with self._building:
                if self._state is None:
                    self._state = self._setup()
            return metered(partial(self._function, self._state), item)


def metered(function: Callable[[Item], Result], item: Item) -> Metered[Result]:
    """Return the result with what this process has spent and changed since its last task ended."""
    CHANGES.tell()
    return Metered(function(item), _OF_TASKS.since_last(), CHANGES.untold())
