"""Where tasks run: `serial` in this process, `ray` on this machine or a cluster.

The driver keeps a sliding window of tasks under way, pulls the next item only when there is room,
and holds nothing of what they did but a small result; so its memory does not grow with the input.
Both engines give the same bytes, because a task writes what it makes and only commits.
"""

import itertools
import math
import os
import socket
import time
from collections.abc import Callable, Generator, Iterable
from time import process_time
from typing import Any, Literal, Protocol, TypeVar

from pairsieve.pipeline.dataset.listing import CHANGES
from pairsieve.pipeline.engine.actors import ITEMS_IN_HAND as ITEMS_IN_HAND
from pairsieve.pipeline.engine.actors import RETRIES, Actor, ActorPool, Metered, metered
from pairsieve.pipeline.engine.actors import Crashed as Crashed
from pairsieve.pipeline.engine.memory_cap import capped
from pairsieve.pipeline.engine.private_ray import CHECK_S, QUIET, PrivateRay, ended
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe_resources import Held, HeldByModel

Item = TypeVar("Item")
State = TypeVar("State")
Result = TypeVar("Result")
Kind = Literal["ray", "serial"]

OOM_RETRIES = "RAY_task_oom_retries"  # in the environment: for want of memory
KNOCK_TIMEOUT_S = 10
PER_CPU, PER_NODE = Held(), HeldByModel()  # by an actor, where nothing else is said


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
        held: Held | None = None,
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Do the same with a state that is costly to build, such as a model, one per actor.

        There is an actor per node, or one on every CPU that works at `per_cpu` items at once, where
        that is not 0. An actor takes that many `gpus`, also a part of one, where there are any;
        besides, what is to be `held`.
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
        held: Held | None = None,
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

    def __init__(
        self, workers: int | None = None, address: str | None = None, held: Held | None = None
    ) -> None:
        """Start or join Ray.

        Args:
            workers: Unit tasks under way at once; default: the CPUs Ray has.
            address: Cluster to join; default: the environment's RAY_ADDRESS, else none.
            held: What every task of `map` holds; default: a CPU.

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
        self._held = held or PER_CPU
        self.task_threads: int | None = max(1, int(self._held.cpus))

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

        memory = self._held.memory

        @ray.remote(max_retries=RETRIES, **_options(self._held))
        def task(item: Item) -> Metered[Result]:
            with capped(memory):
                return metered(function, item)

        yield from self._window(task.remote, items, self.workers)

    def map_with(
        self,
        setup: Callable[[], State],
        function: Callable[[State, Item], Result],
        items: Iterable[Item],
        gpus: float = 0,
        per_cpu: int = 0,
        held: Held | None = None,
    ) -> Generator[tuple[Item, Result | Crashed]]:
        """Yield (item, result) as actors answer: as many as the GPUs hold, else one per node.

        They are counted as items come: a node that has joined since is used. On a GPU an actor
        works at two items, so that the GPU works while one is written.
        Actors `on` nodes ask for no CPU of Ray's: a pool that held them all would starve the tasks
        that feed it.
        """
        import ray

        held = held or (PER_CPU if per_cpu else PER_NODE)
        on_gpu = gpus > 0 and _there("GPU") > 0
        in_hand = per_cpu or ITEMS_IN_HAND
        options = _options(held) | {"num_gpus": gpus if on_gpu else 0, "max_restarts": 0}
        options |= {"max_concurrency": in_hand if on_gpu or per_cpu else 1}
        actor: Any = ray.remote(scheduling_strategy="SPREAD", **options)(
            _CpuActor if per_cpu else _Actor
        )
        pool = ActorPool(
            lambda: actor.remote(setup, function, held.memory),
            lambda: self.workers if per_cpu else _hosts(gpus if on_gpu else 0),
            self._wait,
            self._result,
            in_hand,
        )
        try:
            yield from pool.results(items)
        finally:
            if ray.is_initialized():  # else a generator has outlived the engine, and `kill` waits
                for each in pool.actors():  # for the Ray that was closed, and its actors ended
                    ray.kill(each)

    def _window(
        self, submit: Callable[[Item], Any], items: Iterable[Item], width: int
    ) -> Generator[tuple[Item, Any]]:
        """Yield (item, result) as tasks end, at most `width` of them under way."""
        source = iter(items)
        running: dict[Any, Item] = {}
        while True:
            for item in itertools.islice(source, width - len(running)):
                running[submit(item)] = item
            if not running:
                return
            done = self._wait(list(running))
            yield running.pop(done), self._result(done)

    def _result(self, reference: Any) -> Any:
        """Return the result of what has ended, or `Crashed`; note what it has spent and changed."""
        result = _result(reference)
        if isinstance(result, Crashed):
            return result
        self._tasks_s += result.cpu_s
        for change in result.changes:
            CHANGES.note(*change)
        return result.result

    def _wait(self, references: list[Any], patience_s: float = math.inf) -> Any:
        """Return a reference whose task has ended; None if none has for so long."""
        import ray

        until = time.monotonic() + patience_s
        while True:
            if self._private:
                self._private.check()
            timeout = min(CHECK_S, max(0, until - time.monotonic()))
            done, _ = ray.wait(references, num_returns=1, timeout=timeout)
            if done:
                return done[0]
            if time.monotonic() >= until:
                return None

    def close(self) -> None:
        """Leave the cluster, or end the private instance."""
        import ray

        ray.shutdown()


class _Actor(Actor):
    """One that holds no CPU."""


class _CpuActor(Actor):
    """One with a CPU of its own, under a name by which processes are told apart."""


Opened = Serial | Ray


def open_engine(
    kind: Kind, workers: int | None = None, address: str | None = None, held: Held | None = None
) -> Opened:
    """Return the engine of that kind."""
    return Serial() if kind == "serial" else Ray(workers, address, held)


def _options(held: Held) -> dict[str, Any]:
    """Return what is held as Ray's options have it."""
    return {"num_cpus": held.cpus, "memory": held.memory, "resources": dict(held.labels)}


def _there(resource: str) -> float:
    """Return how much of a resource all nodes have together."""
    import ray

    return float(ray.cluster_resources().get(resource, 0))


def _hosts(gpus: float) -> int:
    """Return how many actors the nodes hold: by their GPUs, if each takes some, else one each."""
    import ray

    if gpus:
        return max(1, int(_there("GPU") / gpus))
    return sum(bool(node["Alive"]) for node in ray.nodes())


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
