import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from pairsieve.pipeline.dataset import lease
from pairsieve.pipeline.dataset.lease import Holder, held
from pairsieve.pipeline.dataset.paths import lease_file
from pairsieve.pipeline.dataset.store import Store

PATH = lease_file("pool")
HOLDING = """
import sys, time
from pairsieve.pipeline.dataset.lease import held
from pairsieve.pipeline.dataset.store import Store
with held(Store.at(sys.argv[1]), "pool"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LOOK_S", 0.02)


@pytest.fixture(params=["disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store.at(tmp_path)
    return Store.at(f"{request.getfixturevalue('s3')}/lease-{tmp_path.name}")


def put(store: Store, holder: Holder) -> None:
    store.write(PATH, json.dumps(asdict(holder)).encode())


def test_one_at_a_time_and_nothing_is_left(store: Store) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with held(store, "pool", lambda sentence: None):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
    assert not store.exists(PATH)


def test_leases_of_other_names_do_not_wait(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    said: list[str] = []
    with held(store, "pool", said.append), held(store, lease.of_selection("a"), said.append):
        assert said == []


def test_a_holder_has_not_ended_because_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    me = replace(Holder.me(), pid=os.getppid(), started=lease.started(os.getppid()))
    made, booted = psutil.Process.create_time, psutil.boot_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: made(self) + 7200)
    monkeypatch.setattr(psutil, "boot_time", lambda: booted + 7200)
    assert not me.has_ended()
    assert replace(me, started=me.started - 1).has_ended()
    assert replace(me, boot="another").has_ended()
    assert not replace(me, boot=1.0).has_ended()


def test_that_of_a_killed_process_is_taken_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said: list[str] = []
        timer = threading.Timer(0.5, process.send_signal, [signal.SIGKILL])
        timer.start()
        with held(Store.at(tmp_path), "pool", said.append):
            assert process.wait() == -signal.SIGKILL
    assert len(said) == 1
    assert f"waiting for process {process.pid} on " in said[0]


def test_elsewhere_a_count_that_stands_still_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "STILL_S", 0.5)
    store = Store.at(tmp_path)
    elsewhere = replace(Holder.me(), host="another machine")
    put(store, elsewhere)
    begun = time.monotonic()

    def beat() -> None:
        for number in range(1, 6):
            time.sleep(0.2)
            put(store, replace(elsewhere, beat=number))

    beating = threading.Thread(target=beat)
    beating.start()
    with held(store, "pool", lambda sentence: None):
        assert not beating.is_alive()
        assert time.monotonic() - begun > 1.4  # five beats, and the time without one


def test_it_beats_while_the_holder_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    store = Store.at(tmp_path)
    with held(store, "pool"):
        while json.loads(store.read(PATH))["beat"] < 3:
            time.sleep(0.01)


def test_one_that_was_taken_over_is_not_given_back(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    other = replace(Holder.me(), pid=os.getpid())
    with held(store, "pool"):
        put(store, other)
    assert json.loads(store.read(PATH))["token"] == other.token


def test_one_that_this_process_could_not_give_back_is_taken_at_once(tmp_path: Path) -> None:
    """As when the storage failed: the process goes on, and the lease lies there."""
    store = Store.at(tmp_path)
    put(store, Holder.me())
    with held(store, "pool", lambda sentence: None):
        assert json.loads(store.read(PATH))["pid"] == os.getpid()
