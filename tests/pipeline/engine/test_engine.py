import os
import signal
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

import psutil
import pytest

from pairsieve.pipeline.dataset import listing
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.actors import RETRIES
from pairsieve.pipeline.engine.engine import (
    OOM_RETRIES,
    Crashed,
    Engine,
    Opened,
    open_engine,
)
from pairsieve.schemas.errors import BadOption, Stopped

if TYPE_CHECKING:
    from tests.pipeline.conftest import StartedRay


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise BadOption(f"not {number}")


def die_at(culprit: int, number: int) -> int:
    if number == culprit:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(flag: Path, number: int) -> int:
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def burn(seconds: float) -> None:
    until = process_time() + seconds
    while process_time() < until:
        continue


def burn_with(state: float, seconds: float) -> None:
    burn(seconds)


def add(state: int, number: int) -> int:
    return state + number


def put(store: Store, number: int) -> int:
    store.write(str(number), b"x")
    store.write("gone", b"x")
    store.delete(["gone"])
    return number


def meet(folder: Path, wanted: int, pid: int, number: int) -> int:
    """Return the process's number once so many processes are at work."""
    (folder / str(pid)).touch()
    while len(list(folder.iterdir())) < wanted:
        time.sleep(0.01)
    return pid


def add_unless_culprit(state: int, number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return state + number


def test_serial_keeps_the_order_and_builds_the_state_once() -> None:
    engine = open_engine("serial")
    built: list[int] = []

    def setup() -> int:
        built.append(1)
        return 10

    assert engine.workers == 1
    assert list(engine.map(square, [3, 1])) == [(3, 9), (1, 1)]
    assert list(engine.map_with(setup, add, [1, 2])) == [(1, 11), (2, 12)]
    assert built == [1]


def test_ray_gives_every_result_once(ray: Engine) -> None:
    assert sorted(ray.map(square, range(20))) == [(n, n * n) for n in range(20)]


def test_ray_adds_up_what_tasks_and_actors_spend(ray: Opened) -> None:
    before = ray.spent_s - process_time()
    list(ray.map(burn, [0.1]))
    between = ray.spent_s - process_time()
    list(ray.map_with(float, burn_with, [0.1]))
    after = ray.spent_s - process_time()
    assert between - before >= 0.1
    assert after - between >= 0.1


def test_what_tasks_and_actors_put_is_known_where_a_list_lags_behind(
    ray: Engine, tmp_path: Path
) -> None:
    store = Store.at(tmp_path)
    done = [result for _, result in ray.map(partial(put, store), [1, 2])]
    actors = ray.map_with(partial(Store.at, tmp_path), put, [3])
    assert {*done, *(result for _, result in actors)} == {1, 2, 3}
    known = listing.CHANGES.below(store.url, "")
    assert known == {"1": True, "2": True, "3": True, "gone": False}


def test_ray_pulls_items_only_as_there_is_room(ray: Engine) -> None:
    pulled: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            pulled.append(number)
            yield number

    assert ray.workers == 2
    results = ray.map(square, items())
    next(results)
    assert len(pulled) <= 3
    assert len(list(results)) == 9


def test_an_error_of_the_task_comes_back_as_itself(ray: Engine) -> None:
    with pytest.raises(BadOption, match="^not 7$"):
        list(ray.map(refuse, [7]))


def test_a_process_that_died_once_is_tried_again(ray: Engine, tmp_path: Path) -> None:
    assert list(ray.map(partial(die_once, tmp_path / "flag"), [5])) == [(5, 5)]


def test_a_task_that_always_dies_is_crashed_and_the_others_are_not(ray: Engine) -> None:
    results = dict(ray.map(partial(die_at, 2), [1, 2, 3]))
    assert results == {1: 1, 2: Crashed("WorkerCrashedError"), 3: 3}


def test_an_actor_that_dies_takes_only_the_culprit_with_it(ray: Engine) -> None:
    results = dict(ray.map_with(lambda: 10, add_unless_culprit, [1, 3, 2]))
    assert isinstance(results.pop(3), Crashed)
    assert results == {1: 11, 2: 12}


@pytest.mark.parametrize(("items", "actors"), [(0, 0), (1, 1), (4, 2)])
def test_an_actor_is_started_for_each_item_and_no_more(
    ray: Engine, tmp_path: Path, items: int, actors: int
) -> None:
    assert ray.workers == 2
    pids = dict(ray.map_with(os.getpid, partial(meet, tmp_path, actors), range(items), per_cpu=2))
    assert len(set(pids.values())) == actors


def test_actors_that_are_given_up_after_the_engine_was_closed_wait_for_no_ray(
    ray: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an interrupt, where what pulled on them is let go of last."""
    import ray as library

    killed: list[object] = []
    results = ray.map_with(lambda: 10, add, [1, 2, 3, 4])
    next(results)
    with monkeypatch.context() as patch:
        patch.setattr(library, "is_initialized", lambda: False)
        patch.setattr(library, "kill", killed.append)
        results.close()
    assert killed == []


def test_actors_can_be_fed_by_the_tasks_of_the_same_engine(ray: Engine) -> None:
    squares = (result for _, result in ray.map(square, range(6)) if isinstance(result, int))
    results = ray.map_with(lambda: 100, add, squares)
    assert sorted(result for _, result in results if isinstance(result, int)) == [
        100,
        101,
        104,
        109,
        116,
        125,
    ]


def listening_addresses(process: psutil.Process) -> set[str]:
    """The addresses on which a process waits for connections; none if it has just ended."""
    try:
        connections = process.net_connections("inet")
    except psutil.NoSuchProcess:
        return set()
    return {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}


def test_ray_listens_on_loopback_only(ray: Engine) -> None:
    me = psutil.Process()
    family = [me, *me.children(recursive=True)]
    addresses = set().union(*(listening_addresses(process) for process in family))
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_ray_sends_no_telemetry_and_leaves_the_home_folder_alone(started_ray: "StartedRay") -> None:
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert started_ray.left_at_home == []


def test_tasks_killed_for_want_of_memory_are_not_tried_without_end(ray: Engine) -> None:
    assert os.environ[OOM_RETRIES] == str(RETRIES)


def test_a_cluster_that_does_not_answer_is_a_clear_stop() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # bound, but not listening: it refuses
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(Stopped, match=f"no Ray cluster answers at {address}"):
            open_engine("ray", address=address)
