"""Two units fetched by one client at the same time."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch import scheduler
from pairsieve.pipeline.fetch.addresses import Addresses
from pairsieve.pipeline.fetch.batch import Batch, Sent
from pairsieve.pipeline.fetch.client import Client, Fetched
from pairsieve.pipeline.fetch.origins import Origins
from pairsieve.pipeline.fetch.request import Transfer
from pairsieve.pipeline.rights.robots import RulesCache
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Connection, Site

Options = Callable[..., Fetch]
ALL_HERE = {"*": ("127.0.0.1",)}


class Unit:
    """The fetch of one unit in a thread of its own."""

    def __init__(self, client: Client, urls: list[str]) -> None:
        self.idle = threading.Event()
        self.sent: Sent = Counter()
        self.results: list[Fetched] = []
        self.error: BaseException | None = None
        fetched = client.fetch(urls, self.sent, idle=self.idle.set)
        self._thread = threading.Thread(target=self._take, args=(fetched,))
        self._thread.start()

    def _take(self, fetched: Iterator[Fetched]) -> None:
        try:
            self.results += fetched
        except ZeroDivisionError as error:
            self.error = error

    def outcomes(self) -> list[Outcome]:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return [result.outcome for result in self.results]


def fetch_threads() -> int:
    return sum(thread.name == "fetch" for thread in threading.enumerate())


@pytest.fixture
def gate(site: "Site") -> Iterator[threading.Event]:
    """Let requests of /held wait until this is set."""
    opened = threading.Event()

    def held(connection: "Connection") -> None:
        opened.wait(20)
        connection.sock.sendall(site.whole(site.jpeg, "200 OK", "Connection: close"))

    site.behaviours["held"] = held
    yield opened
    opened.set()


def test_the_next_unit_is_fetched_while_the_last_answer_of_one_is_waited_for(
    site: "Site", fetch_options: Options, gate: threading.Event
) -> None:
    client = Client(fetch_options(site.port))
    first = Unit(client, [site.url("held"), *(site.url(f"ok/{n}") for n in range(20))])
    assert first.idle.wait(10)
    second = Unit(client, [site.url(f"ok/a{n}") for n in range(20)])
    assert second.outcomes() == [Outcome.OK] * 20
    assert fetch_threads() == 1
    assert not gate.is_set()
    gate.set()
    assert first.outcomes() == [Outcome.OK] * 21
    assert fetch_threads() == 0
    assert sum(first.sent.values()) == 21
    assert sum(second.sent.values()) == 20


def test_a_unit_is_not_idle_while_it_has_more_to_request_than_may_be_under_way(
    site: "Site", fetch_options: Options, gate: threading.Event
) -> None:
    client = Client(fetch_options(site.port, concurrency=4))
    unit = Unit(client, [site.url(f"held/{n}") for n in range(12)])
    with site.changed:
        assert site.changed.wait_for(lambda: len(site.heads) == 4, 10)
    assert not unit.idle.wait(0.2)
    gate.set()
    assert unit.outcomes() == [Outcome.OK] * 12
    assert unit.idle.is_set()


def test_a_unit_that_waits_for_one_host_lets_the_next_begin(
    site: "Site", fetch_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "IDLE_S", 0.1)
    options = fetch_options(site.port, concurrency=2, per_host_per_s=4, resolve=ALL_HERE)
    client = Client(options)
    slow = Unit(client, [f"http://slow.test:{site.port}/ok/{n}" for n in range(6)])
    assert slow.idle.wait(10)
    assert len(slow.results) < 6
    other = Unit(client, [f"http://other.test:{site.port}/ok"])
    assert other.outcomes() == [Outcome.OK]
    assert len(slow.results) < 6
    assert slow.outcomes() == [Outcome.OK] * 6


def test_a_scheduler_whose_results_nobody_takes_waits_for_that_and_does_not_turn_in_circles(
    fetch_options: Options,
) -> None:
    idle = scheduler.Scheduler(fetch_options(), among=1)
    idle._batches.append(
        Batch(Addresses((), ()), Origins(fetch_options(), RulesCache()), Counter())
    )
    idle._idle_since = 1.0  # long ago
    assert idle._next_due() == 1.0 + scheduler.IDLE_S
    idle._full = True
    assert idle._next_due() is None


def test_a_host_sees_no_more_of_two_units_than_of_one(site: "Site", fetch_options: Options) -> None:
    client = Client(fetch_options(site.port, per_host_per_s=10, resolve=ALL_HERE))
    units = [
        Unit(client, [f"http://a.test:{site.port}/ok/{unit}{n}" for n in range(5)])
        for unit in range(2)
    ]
    for unit in units:
        assert unit.outcomes() == [Outcome.OK] * 5
    times = [result.fetched_at or 0 for unit in units for result in unit.results]
    assert max(times) - min(times) >= 900 - 10


def test_a_unit_that_is_given_up_leaves_the_other_alone(
    site: "Site", fetch_options: Options, gate: threading.Event
) -> None:
    client = Client(fetch_options(site.port, concurrency=8))
    held = [site.url(f"held/a{n}") for n in range(30)]
    given_up = client.fetch([site.url("ok"), *held])
    assert next(given_up).outcome is Outcome.OK
    other = Unit(client, [site.url(f"held/b{n}") for n in range(30)])
    given_up.close()
    gate.set()
    assert other.outcomes() == [Outcome.OK] * 30
    assert fetch_threads() == 0
    assert sum("held/a" in path for path in site.paths()) <= 8


def test_an_origin_that_one_unit_leaves_alone_has_another_chance_with_the_next(
    site: "Site", fetch_options: Options
) -> None:
    client = Client(fetch_options(site.port, host_failures=2, concurrency=1))
    bad = Unit(client, [site.url(f"500/{n}") for n in range(6)])
    assert bad.outcomes().count(Outcome.HOST_PAUSED) == 4
    assert Unit(client, [site.url("ok")]).outcomes() == [Outcome.OK]


def test_an_error_in_the_loop_ends_every_unit_and_the_client_can_go_on(
    site: "Site",
    fetch_options: Options,
    gate: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(fetch_options(site.port))
    first = Unit(client, [site.url("held/1")])
    assert first.idle.wait(10)
    with monkeypatch.context() as patch:

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        patch.setattr(Transfer, "answer", broken)
        second = Unit(client, [site.url("ok")])
        assert first.outcomes() == second.outcomes() == []
    assert isinstance(first.error, ZeroDivisionError)
    assert isinstance(second.error, ZeroDivisionError)
    assert Unit(client, [site.url("ok")]).outcomes() == [Outcome.OK]
