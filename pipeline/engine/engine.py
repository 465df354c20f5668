"""Where tasks run: `serial` in this process, `ray` on this machine or a cluster.

The driver keeps a sliding window of tasks under way, pulls the next item only when there is room,
and holds nothing of what they did but a small result; so its memory does not grow with the input.
Both engines give the same bytes, because a task writes what it makes and only commits.
"""

import itertools
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from time import process_time
from typing import Any, Literal, Protocol, TypeVar

from pairsieve.pipeline.dataset.costs import CpuMeter
from pairsieve.pipeline.engine.private_ray import CHECK_S, QUIET, PrivateRay, ended
from pairsieve.schemas.errors import Stopped

Item = TypeVar("Item")
State = TypeVar("State")
Result = TypeVar("Result")
Kind = Literal["ray", "serial"]

RETRIES = 2  # further attempts at a task whose process died
OOM_RETRIES = "RAY_task_oom_retries"  # in the environment: for want of memory
KNOCK_TIMEOUT_S = 10
ITEMS_IN_HAND = 2  # of an actor on a GPU
_OF_TASKS = CpuMeter()  # of a process of Ray's


@dataclass(frozen=True, slots=True)
class Crashed:
    """What stands for the result of a task whose process died at every attempt."""

    reason: str


class Engine(Protocol):
    """Runs a function over items, in any order, each in a process that may die."""

    @property
    def workers(self) -> int:
        """Return how many items `map` has under way at once."""
        ...

    @property
    def task_threads(self) -> int | None:
        """Return how many threads a task of `map` may use; None for all that there are."""
        ...

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Yield (item, result) as tasks end; an item whose process kept dying gives `Crashed`."""
        ...

    def map_with(
        self,
        setup: Callable[[], State],
        function: Callable[[State, Item], Result],
        items: Iterable[Item],
        gpus: float = 0,
        per_cpu: int = 0,
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Do the same with a state that is costly to build, such as a model, one per actor.

        There is an actor per node, or one on every CPU that works at `per_cpu` items at once, where
        that is not 0. An actor takes that many `gpus`, also a part of one, where there are any.
        """
        ...

    def close(self) -> None:
        """Give back what the engine holds."""
        ...


class Serial:
    """Everything in this process, one after the other: for tests and debugging."""

    workers = 1
    task_threads = None
    gpus = 0

    @property
    def processors(self) -> int:
        """Return how many processors the work may use."""
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1

    @property
    def spent_s(self) -> float:
        """Return the CPU seconds spent so far by this process."""
        return process_time()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Yield (item, result) in the order of `items`."""
        for item in items:
            yield item, function(item)

    def map_with(
        self,
        setup: Callable[[], State],
        function: Callable[[State, Item], Result],
        items: Iterable[Item],
        gpus: float = 0,
        per_cpu: int = 0,
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Yield (item, result) in the order of `items`; the state is built at the first one."""
        state: State | None = None
        for item in items:
            state = setup() if state is None else state
            yield item, function(state, item)

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


class Ray:
    """Ray tasks and actors; a private quiet instance on loopback unless an address is given."""

    task_threads = 1  # a task asks for one CPU

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        """Start or join Ray.

        Args:
            workers: Unit tasks under way at once; default: the CPUs Ray has.
            address: Cluster to join; default: the environment's RAY_ADDRESS, else none.

        Raises:
            Stopped: no cluster answers at the address.
        """
        address = address or os.environ.get("RAY_ADDRESS")
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # Ray's own default tries a task without end whose process was killed for want of memory.
        os.environ.setdefault(OOM_RETRIES, str(RETRIES))
        self._private = None if address else PrivateRay(workers)
        if address:
            _join_ray(address)
        import ray

        there = ray.cluster_resources()
        self.workers = workers or max(1, int(there.get("CPU", 1)))
        self.gpus = int(there.get("GPU", 0))
        self._tasks_s = 0.0

    @property
    def processors(self) -> int:
        """Return how many processors the work may use."""
        return self.workers

    @property
    def spent_s(self) -> float:
        """Return the CPU seconds spent so far by this process and by the tasks that have ended."""
        return process_time() + self._tasks_s

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Yield (item, result) as Ray tasks end, at most `workers` of them under way."""
        import ray

        @ray.remote(num_cpus=1, max_retries=RETRIES)
        def task(item: Item) -> tuple[Result, float]:
            return _metered(function, item)

        yield from self._window(task.remote, items, self.workers)

    def map_with(
        self,
        setup: Callable[[], State],
        function: Callable[[State, Item], Result],
        items: Iterable[Item],
        gpus: float = 0,
        per_cpu: int = 0,
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Yield (item, result) as actors answer: as many as the GPUs hold, else one per node.

        They are counted now: a node that has joined since the start is used. On a GPU an actor has
        two items in hand, so that the GPU works while one is written.
        Actors `on` nodes ask for no CPU of Ray's: a pool that held them all would starve the tasks
        that feed it. They restart as often as needed. When an actor dies, what was beside or behind
        the culprit may use up its attempts too, so an item counts as crashed only when it also
        crashed alone.
        """
        import ray

        there = int(ray.cluster_resources().get("GPU", 0))
        on_gpu = gpus > 0 and there > 0
        nodes = self.workers if per_cpu else sum(bool(node["Alive"]) for node in ray.nodes())
        count = max(1, int(there / gpus)) if on_gpu else nodes
        actor: Any = ray.remote(
            num_cpus=1 if per_cpu else 0,
            num_gpus=gpus if on_gpu else 0,
            max_restarts=-1,
            max_task_retries=RETRIES,
            scheduling_strategy="SPREAD",
        )(_CpuActor if per_cpu else _Actor)
        in_hand = per_cpu or ITEMS_IN_HAND
        at_once = in_hand if on_gpu or per_cpu else 1
        starting = actor.options(max_concurrency=at_once)
        actors: list[Any] = []  # started as items come, so that few items start few
        free: deque[Any] = deque()
        busy: dict[Any, Any] = {}

        def submit(item: Item) -> Any:
            if len(actors) < count:
                actors.append(starting.remote(setup, function))
                free.extendleft([actors[-1]] * in_hand)
            actor = free.popleft()
            reference = actor.call.remote(item)
            busy[reference] = actor
            return reference

        def ended(reference: Any) -> None:
            free.append(busy.pop(reference))

        suspects = []
        try:
            for item, result in self._window(submit, items, count * in_hand, ended):
                if isinstance(result, Crashed):
                    suspects.append(item)
                else:
                    yield item, result
            yield from self._window(submit, suspects, 1, ended)
        finally:
            if ray.is_initialized():  # else a generator has outlived the engine, and `kill` waits
                for each in actors:  # for the Ray that was closed, and its actors ended
                    ray.kill(each)

    def _window(
        self,
        submit: Callable[[Item], Any],
        items: Iterable[Item],
        width: int,
        ended: Callable[[Any], None] = lambda _: None,
    ) -> Generator[tuple[Item, Any]]:
        """Yield (item, result) as tasks end, at most `width` of them under way.

        What `submit` gave for an item is `ended` before the next one is submitted.
        """
        source = iter(items)
        running: dict[Any, Item] = {}
        while True:
            for item in itertools.islice(source, width - len(running)):
                running[submit(item)] = item
            if not running:
                return
            done = self._wait(list(running))
            ended(done)
            result = _result(done)
            if not isinstance(result, Crashed):
                result, spent_s = result
                self._tasks_s += spent_s
            yield running.pop(done), result

    def _wait(self, references: list[Any]) -> Any:
        """Return a reference whose task has ended."""
        import ray

        while True:
            if self._private:
                self._private.check()
            done, _ = ray.wait(references, num_returns=1, timeout=CHECK_S)
            if done:
                return done[0]

    def close(self) -> None:
        """Leave the cluster, or end the private instance."""
        import ray

        ray.shutdown()


class _Actor:
    """Holds a state and applies the function to it; built at the first call, so errors reach it."""

    def __init__(self, setup: Callable[[], Any], function: Callable[[Any, Any], Any]) -> None:
        self._setup = setup
        self._function = function
        self._state: Any = None
        self._building = threading.Lock()

    def call(self, item: Any) -> tuple[Any, float]:
        with self._building:
            if self._state is None:
                self._state = self._setup()
        return _metered(partial(self._function, self._state), item)


class _CpuActor(_Actor):
    """The same with a CPU of its own, under a name by which processes are told apart."""


def _metered(function: Callable[[Item], Result], item: Item) -> tuple[Result, float]:
    """Return the result, and what this process has spent since its last task ended, CPU seconds."""
    return function(item), _OF_TASKS.since_last()


Opened = Serial | Ray


def open_engine(kind: Kind, workers: int | None = None, address: str | None = None) -> Opened:
    """Return the engine of that kind."""
    return Serial() if kind == "serial" else Ray(workers, address)


def _join_ray(address: str) -> None:
    """Join the cluster at `address`."""
    import ray

    try:
        _knock(address)
        ray.init(address=address, **QUIET)
    except OSError as error:  # Ray's own ConnectionError is one
        raise Stopped(f"no Ray cluster answers at {address}: {error}") from error


def _knock(address: str) -> None:
    """Connect to a HOST:PORT address and hang up: Ray itself would try for many minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host, int(port)), KNOCK_TIMEOUT_S).close()


def _result(reference: Any) -> Any:
    """Return what the task returned, raise what it raised, or `Crashed` if its process died."""
    import ray
    from ray.exceptions import (
        ActorDiedError,
        ActorUnavailableError,
        NodeDiedError,
        OutOfMemoryError,
        RayError,
        RayTaskError,
        WorkerCrashedError,
    )

    deaths = (
        ActorDiedError,
        ActorUnavailableError,
        NodeDiedError,
        OutOfMemoryError,
        WorkerCrashedError,
    )
    try:
        return ray.get(reference)
    except deaths as error:
        return Crashed(type(error).__name__)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:  # not the task's fault, but that of what it runs on
        raise ended(type(error).__name__) from error
