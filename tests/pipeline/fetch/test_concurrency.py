"""The limit over simulated links, and over a real server that bears so many connections."""

import heapq
import random
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsieve.pipeline.fetch import concurrency
from pairsieve.pipeline.fetch.client import Client
from pairsieve.pipeline.fetch.concurrency import LEAST, WINDOW, Concurrency, Line
from pairsieve.pipeline.fetch.request import Answer
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Connection, Site

Options = Callable[..., Fetch]
MOST = 128
ALL_HERE = {"*": ("127.0.0.1",)}


@dataclass
class Link:
    """A line on which a request takes 0.15 s in the median, and what is wrong with it.

    Attributes:
        capacity: Requests that it bears at once; more are lost after `lost_s`.
        failing: Share that is lost whatever their number.
        dead: Share of requests to dead hosts.
        outage: The ends, by number, during which everything is lost.
    """

    capacity: int = 10**9
    failing: float = 0.0
    dead: float = 0.0
    lost_s: float = 0.2
    outage: range = range(0)
    lost: list[bool] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def run(self, limit: Concurrency | None, ends: int = 8000, seed: int = 0) -> "Link":
        """Fetch with as many requests under way as `limit` says; None: always with MOST."""
        random_ = random.Random(seed)
        now, alive, number = 0.0, 0, 0
        under_way: list[tuple[float, int, int, bool | None]] = []
        while len(self.lost) < ends:
            while len(under_way) < (limit.limit if limit else MOST):
                number += 1
                window = limit.begin() if limit else 0
                verdict = self._verdict(random_, alive)
                took = {None: 10.0, True: self.lost_s, False: random_.lognormvariate(-1.9, 0.8)}
                alive += verdict is False
                heapq.heappush(under_way, (now + took[verdict], number, window, verdict))
            now, _, window, verdict = heapq.heappop(under_way)
            alive -= verdict is False
            if limit:
                limit.end(window, verdict)
                self.limits.append(limit.limit)
            self.lost.append(bool(verdict))
        return self

    def _verdict(self, random_: random.Random, alive: int) -> bool | None:
        if random_.random() < self.dead:
            return None
        out = len(self.lost) in self.outage
        return out or alive >= self.capacity or random_.random() < self.failing

    @property
    def loss(self) -> float:
        """Return the share that was lost in the second half."""
        half = self.lost[len(self.lost) // 2 :]
        return sum(half) / len(half)


@pytest.mark.parametrize("capacity", [16, 40, 64])
@pytest.mark.parametrize("lost_s", [0.02, 0.2])
def test_a_link_that_bears_so_many_gets_about_as_many(capacity: int, lost_s: float) -> None:
    fixed = Link(capacity, lost_s=lost_s).run(None)
    link = Link(capacity, lost_s=lost_s).run(Concurrency(MOST))
    assert link.loss < 0.2
    assert link.loss < fixed.loss / 2
    late = link.limits[len(link.limits) // 2 :]
    assert 0.5 * capacity < sum(late) / len(late) < 1.3 * capacity


@pytest.mark.parametrize("failing", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("lost_s", [0.02, 10.0])
def test_failures_that_are_there_anyway_slow_nothing_down(failing: float, lost_s: float) -> None:
    for seed in range(3):
        link = Link(failing=failing, lost_s=lost_s).run(Concurrency(MOST), 4000, seed)
        assert sum(link.limits) / len(link.limits) > 0.95 * MOST


def test_many_failures_that_fewer_transfers_do_not_mend_are_put_up_with() -> None:
    link = Link(failing=0.35).run(Concurrency(MOST))
    assert min(link.limits) == MOST // 4
    assert sum(link.limits) / len(link.limits) > 0.8 * MOST


def test_dead_hosts_say_nothing() -> None:
    assert set(Link(dead=0.7).run(Concurrency(MOST), 3000).limits) == {MOST}


def test_after_an_outage_the_limit_comes_back() -> None:
    link = Link(outage=range(1000, 2000), lost_s=2.0).run(Concurrency(MOST))
    assert min(link.limits[1000:2500]) < MOST // 2
    assert link.limits[-1] == MOST


@given(st.integers(1, 1000), st.lists(st.sampled_from([True, False, None]), max_size=60))
def test_the_limit_keeps_its_bounds(most: int, verdicts: list[bool | None]) -> None:
    limit = Concurrency(most)
    for verdict in verdicts:
        for _ in range(WINDOW):
            limit.end(limit.begin(), verdict)
        assert min(LEAST, most) <= limit.low <= limit.limit <= most or limit.lowered
        assert min(LEAST, most) <= limit.limit <= most


def test_what_began_under_another_limit_is_not_counted() -> None:
    limit = Concurrency(MOST)
    first = [limit.begin() for _ in range(WINDOW)]
    assert limit.begin() == 0
    for window in first:
        limit.end(window, True)
    assert limit.limit == MOST // 2
    for window in first:
        limit.end(window, True)
    assert limit.limit == MOST // 2


def answered(outcome: Outcome, status: int | None = None) -> Answer:
    return Answer(outcome, status=status, http_version="2")


def test_a_failure_counts_where_the_origin_answered_and_a_slow_lookup_anywhere() -> None:
    line = Line(MOST)
    transfer: Any = SimpleNamespace(window=0, lookup_s=lambda: 0.1, shook_hands=lambda: True)
    slow: Any = SimpleNamespace(window=0, lookup_s=lambda: 3.0, shook_hands=lambda: False)
    line.end(transfer, "https://a.test", answered(Outcome.INTERRUPTED))
    assert line.since_last()["suffered"] == 0
    line.end(transfer, "https://a.test", answered(Outcome.HTTP_4XX, 404))
    line.end(transfer, "https://a.test", answered(Outcome.INTERRUPTED))
    line.end(transfer, "https://b.test", answered(Outcome.TIMEOUT_CONNECT))
    line.end(slow, "https://c.test", answered(Outcome.OK, 200))
    line.end(transfer, "http://d.test", answered(Outcome.HTTP_5XX, 500))
    assert line.since_last() == {
        "at_once": MOST,
        "at_once_low": MOST,
        "lowered": 0,
        "requests": 5,
        "suffered": 2,
        "https": 2,
        "handshakes": 1,
        "http2": 2,
    }


def test_few_origins_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "ORIGINS", 2)
    line = Line(MOST)
    transfer: Any = SimpleNamespace(window=0, lookup_s=lambda: 0.0)
    for host in "abca":
        line.end(transfer, f"http://{host}.test", answered(Outcome.OK, 200))
    for host in "abc":
        line.end(transfer, f"http://{host}.test", answered(Outcome.INTERRUPTED))
    assert line.since_last()["suffered"] == 2


class Narrow:
    """Answers after a while; a request that meets so many others is reset."""

    def __init__(self, bears: int) -> None:
        self.bears = bears
        self.under_way = 0
        self.lock = threading.Lock()

    def answer(self, connection: "Connection") -> None:
        with self.lock:
            self.under_way += 1
            borne = self.under_way <= self.bears
        if borne:
            connection.site.closing.wait(0.06)
            connection.sock.sendall(
                connection.site.whole(connection.site.jpeg, "200 OK", "Connection: close")
            )
        else:
            connection.sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            connection.sock.close()
        with self.lock:
            self.under_way -= 1


def test_a_server_that_bears_few_loses_fewer_where_the_limit_adapts(
    site: "Site", fetch_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.behaviours["narrow"] = Narrow(12).answer
    options = fetch_options(
        site.port, concurrency=64, per_host_connections=64, per_host_per_s=1000, resolve=ALL_HERE
    )
    urls = [f"http://h{n % 20}.test:{site.port}/narrow/{n}" for n in range(700)]
    client = Client(options)
    adapted = Counter(fetched.outcome for fetched in client.fetch(urls))
    met = client.met()
    monkeypatch.setattr(concurrency, "LEAST", 64)
    fixed = Counter(fetched.outcome for fetched in Client(options).fetch(urls))
    assert adapted[Outcome.OK] > 1.2 * fixed[Outcome.OK], (adapted, fixed)
    assert met["at_once_low"] < 64
    assert met["lowered"] >= 1
    assert met["requests"] == 700
