from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch import Fetched, fetch
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


def test_a_transfer_slower_than_the_limit_is_given_up(site: "Site", fetch_one: FetchOne) -> None:
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
    assert len(list(fetch(urls, limits, share=7))) == 50
    assert site.connections == 1
