import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch import memory_budget, request
from pairsieve.pipeline.fetch.client import Fetched, Shared, fetch
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Connection, Site

FetchOne = Callable[..., Fetched]
Options = Callable[..., Fetch]


def test_the_byte_cap_is_inclusive(site: "Site", fetch_one: FetchOne) -> None:
    url, size = site.url("ok"), len(site.jpeg)
    assert fetch_one(url, site.port, max_bytes=size).outcome is Outcome.OK
    assert fetch_one(url, site.port, max_bytes=size - 1).outcome is Outcome.TOO_LARGE


@pytest.mark.parametrize("path", ["silent", "slow-body", "trickle"])
def test_no_server_holds_a_transfer_beyond_its_deadline(
    site: "Site", fetch_one: FetchOne, path: str
) -> None:
    fetched = fetch_one(site.url(path), site.port, timeout_s=0.5, min_bytes_per_s=0)
    assert fetched.outcome is Outcome.TIMEOUT_TOTAL
    assert fetched.fetch_ms is not None
    assert 500 <= fetched.fetch_ms < 5_000


def test_a_deadline_met_on_a_connection_used_before_is_no_connect_timeout(
    site: "Site", fetch_options: Options
) -> None:
    urls = [site.url("ok"), site.url("silent")]
    limits = fetch_options(site.port, concurrency=1, timeout_s=0.3)
    outcomes = [result.outcome for result in fetch(urls, limits)]
    assert outcomes == [Outcome.OK, Outcome.TIMEOUT_TOTAL]
    assert site.connections == 1


def test_a_chain_of_redirects_has_one_deadline_for_all_of_it(
    site: "Site", fetch_one: FetchOne
) -> None:
    def late(connection: "Connection") -> None:
        site.closing.wait(0.4)
        connection.sock.sendall(site.whole(b"", "302 Found", "Location: /late"))

    site.behaviours["late"] = late
    fetched = fetch_one(site.url("late"), site.port, timeout_s=1, max_redirects=50)
    assert fetched.outcome is Outcome.TIMEOUT_TOTAL
    assert len(site.heads) <= 3


def test_a_transfer_slower_than_the_limit_is_given_up(
    site: "Site", fetch_one: FetchOne, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "SLOW_FOR_S", 1)
    fetched = fetch_one(site.url("slow-body"), site.port, timeout_s=25, min_bytes_per_s=1000)
    assert fetched.outcome is Outcome.TOO_SLOW


def test_a_slow_consumer_makes_no_transfer_late(site: "Site", fetch_options: Options) -> None:
    urls = [site.url(f"ok/{number}") for number in range(12)]
    limits = fetch_options(site.port, concurrency=2, timeout_s=0.4, per_host_connections=2)
    outcomes = []
    for result in fetch(urls, limits):
        outcomes.append(result.outcome)
        if len(outcomes) in (1, 4):
            site.closing.wait(0.6)  # the consumer's own work
    assert outcomes == [Outcome.OK] * 12


def test_waiting_for_its_turn_does_not_count_towards_a_deadline(
    site: "Site", fetch_options: Options
) -> None:
    def late(connection: "Connection") -> None:
        site.closing.wait(0.2)
        connection.sock.sendall(site.whole())

    site.behaviours["late"] = late
    urls = [site.url(f"late/{number}") for number in range(8)]
    limits = fetch_options(site.port, timeout_s=0.8, per_host_connections=1)
    assert [result.outcome for result in fetch(urls, limits)] == [Outcome.OK] * 8


def test_connections_are_kept_alive_and_limited_per_host(
    site: "Site", fetch_options: Options
) -> None:
    urls = [site.url(f"{'404' if n % 5 else 'ok'}/{n}") for n in range(200)]
    limits = fetch_options(site.port, concurrency=50, per_host_connections=3)
    assert len(list(fetch(urls, limits))) == 200
    assert 1 <= site.connections <= 3


def test_one_among_several_takes_its_share_of_a_hosts_connections(
    site: "Site", fetch_options: Options
) -> None:
    urls = [site.url(f"ok/{number}") for number in range(50)]
    limits = fetch_options(site.port, per_host_connections=8)
    assert len(list(fetch(urls, limits, Shared(among=7)))) == 50
    assert site.connections == 1


@pytest.mark.parametrize("path", ["silent", "loris", "interim"])
def test_an_answer_must_begin_within_its_limit(
    site: "Site", fetch_one: FetchOne, path: str
) -> None:
    def interim(connection: "Connection") -> None:
        while not site.closing.wait(0.05):
            connection.sock.sendall(b"HTTP/1.1 103 Hints\r\n\r\n")

    site.behaviours["interim"] = interim
    fetched = fetch_one(site.url(path), site.port, timeout_s=20, first_byte_timeout_s=0.4)
    assert fetched.outcome is Outcome.TIMEOUT_FIRST_BYTE
    assert fetched.fetch_ms is not None
    assert 400 <= fetched.fetch_ms < 4_000


def test_a_late_body_is_not_a_late_answer(site: "Site", fetch_one: FetchOne) -> None:
    def late(connection: "Connection") -> None:
        head, _, body = site.whole().partition(b"\r\n\r\n")
        connection.sock.sendall(head + b"\r\n\r\n")
        site.closing.wait(0.8)
        connection.sock.sendall(body)

    site.behaviours["late"] = late
    fetched = fetch_one(site.url("late"), site.port, first_byte_timeout_s=0.4)
    assert fetched.outcome is Outcome.OK


def test_the_cap_on_header_bytes_is_inclusive(site: "Site", fetch_one: FetchOne) -> None:
    answer = site.whole(site.jpeg, "200 OK", "X: " + "y" * 500)
    site.behaviours["head"] = answer
    size = len(answer) - len(site.jpeg)
    url = site.url("head")
    assert fetch_one(url, site.port, max_header_bytes=size).outcome is Outcome.OK
    assert fetch_one(url, site.port, max_header_bytes=size - 1).outcome is Outcome.TOO_LARGE


def test_what_is_held_is_bounded_whatever_the_number_of_transfers(
    site: "Site", fetch_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_budget, "BACKLOG_BYTES", 2_000_000)
    monkeypatch.setattr(memory_budget, "LIMIT_BYTES", 4_000_000)
    body = bytes(1_900_000)
    site.behaviours["big"] = site.whole(body)
    count = 120
    urls = [site.url(f"big/{number}") for number in range(count)]  # 228 MB
    limits = fetch_options(
        site.port, concurrency=count, per_host_connections=count, max_bytes=2_000_000, timeout_s=60
    )
    tracemalloc.start()
    try:
        with closing(fetch(urls, limits)) as results:
            first = next(results)
            site.closing.wait(1)  # the consumer's own work; meanwhile all others could arrive
            assert first.body == body
            assert [result.outcome for result in results] == [Outcome.OK] * (count - 1)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    held_at_most = 4_000_000 + 2_000_000 + 2_000_000  # as held.py says
    copy, consumers, small = 2_000_000, 2 * len(body), count * 50_000
    assert most < held_at_most + copy + consumers + small  # of 228 MB


def test_a_pause_is_no_fault_of_the_server(
    site: "Site", fetch_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_budget, "LIMIT_BYTES", 300_000)
    site.behaviours["big"] = site.whole(bytes(900_000))
    urls = [site.url(f"big/{number}") for number in range(8)]
    outcomes = []
    with closing(fetch(urls, fetch_options(site.port, timeout_s=0.7))) as results:
        for result in results:
            outcomes.append(result.outcome)
            site.closing.wait(0.3)  # so that the last of them pauses for two seconds
    assert outcomes == [Outcome.OK] * 8


HANGING = (
    "silent", "loris", "slow-body", "trickle", "interim-flood", "half-closed", "endless",
    "gzip-of-nothing", "endless-404", "loop",
)  # fmt: skip


def test_the_time_of_a_unit_is_bounded_by_its_limits(site: "Site", fetch_options: Options) -> None:
    """No server can hold a unit up for longer than attempts x (limits and waits) in its queue."""
    site.behaviours["robots.txt"] = site.whole(b"", "404 Not Found")
    site.behaviours["busy"] = site.whole(b"", "429 Later", "Retry-After: 9999")
    urls = [site.url(f"{path}/{n}") for path in (*HANGING, "busy") for n in range(4)]
    limits = fetch_options(
        site.port,
        retries=1,
        robots="obey",
        timeout_s=0.5,
        connect_timeout_s=0.5,
        first_byte_timeout_s=0.4,
        retry_after_max_s=0.2,
        per_host_connections=8,
    )
    attempts, backoff_s = 2, 0.02 * 1.5
    rounds = -(-(len(urls) + 1) // 8)
    bound_s = rounds * attempts * (0.5 + backoff_s) + 4 * attempts * 0.2
    start = time.monotonic()
    results = list(fetch(urls, limits))
    assert len(results) == len(urls)
    assert Outcome.OK not in {result.outcome for result in results}
    assert {site.url(path[1:]) for path in site.paths()} >= set(urls)  # none was held back
    assert time.monotonic() - start < 5 * bound_s  # 5: for a machine that is busy otherwise
