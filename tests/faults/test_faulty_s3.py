"""An object store in trouble: what is asked for comes all the same, or the work stops clearly."""

import os
import random
from collections.abc import Callable

import pytest
from tests.faults.conftest import Made, go
from tests.faults.faulty_s3 import Fault, FaultyS3

from pairsieve.pipeline import gc, verify
from pairsieve.pipeline.dataset import lease
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.status import status
from pairsieve.schemas.errors import Stopped

SEEDS = int(os.environ.get("PAIRSIEVE_FAULT_SEEDS", "2"))
FIRST = int(os.environ.get("PAIRSIEVE_FIRST_SEED", "0"))
FAULTS = ["slow_down", "reset", "lost", "truncated", "repeated"]
PART_BYTES = 5 << 20  # the least that S3 takes for one but the last
BODY = bytes(range(256)) * 40


@pytest.fixture
def store(dataset: Store) -> Store:
    """The same with something in it."""
    dataset.write("there", BODY)
    return dataset


def times(fault: Fault, count: int) -> Callable[[str, str], Fault]:
    """Return what lets so many requests go wrong."""
    left = iter(range(count))
    return lambda method, path: fault if next(left, None) is not None else None


def streamed(store: Store) -> bytes:
    with store.writer("new") as sink:
        sink.write(BODY)
    return store.read("new")


def written(store: Store) -> bytes:
    store.write("new", b"x")
    return store.read("new")


def copied(store: Store) -> bytes:
    store.copy("there", "new")
    return store.read("new")


def deleted(store: Store) -> bool:
    store.delete(["there"])
    return not store.exists("there")


CALLS: dict[str, tuple[Callable[[Store], object], object]] = {
    "read": (lambda store: store.read("there"), BODY),
    "range": (lambda store: bytes(store.read_range("there", 5, 9)), BODY[5:14]),
    "ranges": (lambda store: store.read_ranges("there", [5, 90], [2, 3]), [BODY[5:7], BODY[90:93]]),
    "reader": (lambda store: store.reader("there").read(), BODY),
    "exists": (lambda store: store.exists("there"), True),
    "list": (lambda store: [path for path, _, _ in store.list()], ["there"]),
    "paths": (lambda store: list(store.paths()), ["there"]),
    "write": (written, b"x"),
    "create": (lambda store: (store.create("new", b"x"), store.create("new", b"y")), (True, False)),
    "copy": (copied, BODY),
    "delete": (deleted, True),
    "writer": (streamed, BODY),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_asked_for_comes_all_the_same(
    proxy: FaultyS3, store: Store, call: str, fault: str
) -> None:
    function, expected = CALLS[call]
    proxy.fault = times(fault, 1)
    assert function(store) == expected
    assert [fault for _, _, fault in proxy.requests if fault]


PARTS = {"begin": "uploads", "part": "partNumber=1", "end": "uploadId"}  # in the URL of a request


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", PARTS)
def test_what_is_written_in_parts_is_there_whole(
    proxy: FaultyS3, dataset: Store, step: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairsieve.pipeline.dataset.store.BUFFER_BYTES", PART_BYTES)
    left = iter([fault])
    methods = ("PUT",) if step == "part" else ("POST",)
    proxy.fault = lambda method, path: (
        next(left, None) if method in methods and PARTS[step] in path else None
    )
    with dataset.writer("large") as sink:
        sink.write(b"a" * PART_BYTES)
        sink.write(b"b" * 1000)
    assert fault in [fault for _, _, fault in proxy.requests]
    assert dataset.read("large") == b"a" * PART_BYTES + b"b" * 1000


def test_an_upload_that_the_store_has_given_up_is_a_clear_stop(
    proxy: FaultyS3, dataset: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairsieve.pipeline.dataset.store.BUFFER_BYTES", PART_BYTES)
    proxy.fault = lambda method, path: (
        "missing" if method == "POST" and PARTS["end"] in path else None
    )
    upload = dataset.writer("large")
    upload.write(b"a" * PART_BYTES)
    with pytest.raises(Stopped, match="large: the upload was not finished"):
        upload.close()
    assert not dataset.exists("large")


def test_what_is_not_answered_is_asked_again(proxy: FaultyS3, store: Store) -> None:
    proxy.fault = times("silent", 1)
    assert store.create("new", b"x")
    assert store.read("new") == b"x"


def test_what_another_has_put_is_not_ours_however_often_we_ask(
    proxy: FaultyS3, store: Store
) -> None:
    assert store.create("new", b"theirs")
    proxy.fault = times("lost", 1)
    assert not store.create("new", b"ours")
    assert store.read("new") == b"theirs"


def test_nobody_waits_for_the_lease_that_it_holds_itself(proxy: FaultyS3, store: Store) -> None:
    proxy.fault = times("lost", 1)
    waited: list[str] = []
    with lease.held(store, lease.POOL, waited.append):
        assert waited == []


def test_a_storage_that_stays_away_is_a_clear_stop(
    proxy: FaultyS3, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairsieve.pipeline.dataset.streams.RETRY_FOR_S", 0.5)
    proxy.fault = lambda method, path: "reset"
    with pytest.raises(Stopped, match=r"^storage failed at s3://.*/new: .*error sending request$"):
        store.create("new", b"x")
    assert 3 <= len([fault for _, _, fault in proxy.requests if fault]) <= 5


def at_random(seed: int) -> Callable[[str, str], Fault]:
    """Return what lets one request in twelve go wrong."""
    chance = random.Random(seed)

    def fault(method: str, path: str) -> Fault:
        if chance.random() > 1 / 12:
            return None
        harmless = ["slow_down", "reset", "lost", "repeated"]
        return chance.choice([*harmless, "truncated"] if method == "GET" else harmless)

    return fault


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS // 2))
def test_a_run_on_a_store_in_trouble_gives_the_same_shards(
    proxy: FaultyS3, dataset: Store, made: Made, seed: int
) -> None:
    proxy.fault = at_random(seed)
    assert go(made[0], dataset) == made[1]
    assert {fault for _, _, fault in proxy.requests} > {None, "lost", "reset"}
    proxy.fault = times(None, 0)
    gc.run(dataset, 0, False)
    assert status(dataset, "default").complaints == []
    assert [f for checked in verify.run(dataset, Serial()) for f in checked.findings] == []


def test_credentials_that_expire_stop_the_work_and_it_goes_on_from_there(
    proxy: FaultyS3, dataset: Store, made: Made
) -> None:
    proxy.fault = lambda method, path: "expired" if len(proxy.requests) > 40 else None
    with pytest.raises(
        Stopped, match=r"refuses the credentials \(ExpiredToken\).*goes on from the"
    ):
        go(made[0], dataset)
    proxy.fault = times(None, 0)
    assert "gather/00000000.json" in list(dataset.paths())
    assert go(made[0], dataset) == made[1]
