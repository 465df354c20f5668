import os
from pathlib import Path

from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.work import RoundWork, StageWork, round_of, work_of


def committed(folder: Path, times: list[float]) -> Store:
    """A dataset with a task slice of ten pairs committed at each of these times."""
    store = Store.at(folder)
    for number, at in enumerate(times):
        path = f"gather/{number:08d}.json"
        commit(store, path, Marker(10, {"gather/x": {"bytes": 7}}, {}, {"cpu_s": 0.5}))
        os.utime(folder / path, (at, at))
    return store


def test_the_rate_is_that_between_the_last_commits(tmp_path: Path) -> None:
    store = committed(tmp_path, [1000.0, 1002.0, 1004.0, 1010.0])
    done = work_of(store, "gather", "gather", store.markers("gather"), 100, now=1011.0)
    assert done == StageWork("gather", 40, 100, 28, 2.0, per_s=3.0, left_s=20.0, last_s=1.0)


def test_one_commit_tells_no_rate_but_when_it_was(tmp_path: Path) -> None:
    store = committed(tmp_path, [1000.0])
    done = work_of(store, "gather", "gather", store.markers("gather"), 100, now=1060.0)
    assert (done.per_s, done.left_s, done.last_s) == (None, None, 60.0)


def test_what_is_done_has_neither_rate_nor_end(tmp_path: Path) -> None:
    store = committed(tmp_path, [1000.0, 1001.0])
    done = work_of(store, "gather", "gather", store.markers("gather"), 20, now=1060.0)
    assert done == StageWork("gather", 20, 20, 14, 1.0)


def test_the_round_that_is_under_way_is_the_one_with_the_latest_commit(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    assert round_of(store, "group/near", now=0.0) is None
    times = {"keys/000000": 1, "keys/000001": 2, "equal/000003": 5, "equal/000001": 4}
    for task, at in times.items():
        path = f"group/near/0123456789abcdef/{task}.json"
        commit(store, path, Marker(1, {}))
        os.utime(tmp_path / path, (at, at))
    assert round_of(store, "group/near", now=7.0) == RoundWork("equal", 2, 2.0)
