import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch.batch import Sent
from pairsieve.pipeline.fetch.client import Fetched, Shared, fetch
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Connection, Site

FetchOne = Callable[..., Fetched]
Options = Callable[..., Fetch]
ALL_HERE = {"*": ("127.0.0.1",)}


def test_no_host_sees_more_than_its_rate_and_others_do_not_wait_for_it(
    site: "Site", fetch_options: Options
) -> None:
    urls = [f"http://{host}.test:{site.port}/ok/{n}" for host in "ab" for n in range(4)]
    limits = fetch_options(site.port, per_host_per_s=5, resolve=ALL_HERE)
    for share, least_ms in ((1, 600), (2, 1200)):
        begun: dict[str, list[int]] = {"a": [], "b": []}
        for fetched in fetch(urls, limits, Shared(among=share)):
            begun[fetched.url[7]].append(fetched.fetched_at or 0)
        for times in begun.values():
            assert max(times) - min(times) >= least_ms - 10
        assert abs(min(begun["a"]) - min(begun["b"])) < least_ms


def test_a_host_with_a_dot_at_its_end_shares_the_pace_of_that_without(
    site: "Site", fetch_options: Options
) -> None:
    urls = [f"http://{host}:{site.port}/ok/{n}" for host in ("a.test", "A.test.") for n in (1, 2)]
    sent: Sent = Counter()
    limits = fetch_options(site.port, per_host_per_s=5, resolve={"a.test": ("127.0.0.1",)})
    times = [fetched.fetched_at or 0 for fetched in fetch(urls, limits, sent=sent)]
    assert max(times) - min(times) >= 600 - 10
    assert {host for host, _ in sent} == {"a.test"}


@pytest.mark.parametrize("path", ["500", "reset", "silent", "429"])
def test_a_host_that_keeps_failing_is_left_alone_for_the_rest_of_the_unit(
    site: "Site", fetch_options: Options, path: str
) -> None:
    site.behaviours["429"] = site.whole(b"", "429 Later")
    bad = [f"http://bad.test:{site.port}/{path}/{n}" for n in range(300)]
    good = [f"http://good.test:{site.port}/ok/{n}" for n in range(30)]
    limits = fetch_options(
        site.port, host_failures=6, per_host_connections=2, timeout_s=0.3, resolve=ALL_HERE
    )
    results = list(fetch([*bad, *good], limits))
    outcomes = Counter(result.outcome for result in results if "bad.test" in result.url)
    assert 6 <= 300 - outcomes[Outcome.HOST_PAUSED] <= 8
    paused = next(result for result in results if result.outcome is Outcome.HOST_PAUSED)
    assert (paused.attempts, paused.final_url) == (0, None)
    assert f"http://bad.test:{site.port} failed 6 times in a row" in (paused.detail or "")
    assert outcomes[Outcome.OK] == 0
    assert sum(result.outcome is Outcome.OK for result in results) == 30


def test_failures_that_are_not_in_a_row_pause_nothing(site: "Site", fetch_options: Options) -> None:
    urls = [site.url(f"{'500' if n % 3 else '404'}/{n}") for n in range(60)]
    limits = fetch_options(site.port, host_failures=3, per_host_connections=1)
    outcomes = Counter(result.outcome for result in fetch(urls, limits))
    assert outcomes == {Outcome.HTTP_5XX: 40, Outcome.HTTP_4XX: 20}


def test_another_port_of_a_failing_host_is_another_site(
    site: "Site", fetch_options: Options
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        refusing = server.getsockname()[1]
    urls = [f"http://127.0.0.1:{refusing}/{n}" for n in range(9)]
    limits = fetch_options(site.port, refusing, host_failures=3, per_host_connections=1)
    outcomes = Counter(result.outcome for result in fetch([*urls, site.url("ok")], limits))
    assert outcomes == {Outcome.REFUSED: 3, Outcome.HOST_PAUSED: 6, Outcome.OK: 1}


def test_a_redirect_to_a_host_that_is_left_alone_ends_there(
    site: "Site", fetch_options: Options
) -> None:
    def later(connection: "Connection") -> None:
        with site.changed:  # when the other host has failed as often as it may
            site.changed.wait_for(lambda: sum("/500/" in path for path in site.paths()) == 2, 10)
        site.closing.wait(0.3)
        connection.sock.sendall(
            site.whole(b"", "302 Found", f"Location: http://bad.test:{site.port}/ok")
        )

    site.behaviours["later"] = later
    bad = [f"http://bad.test:{site.port}/500/{n}" for n in range(2)]
    limits = fetch_options(site.port, host_failures=2, resolve=ALL_HERE)
    results = {result.url: result for result in fetch([*bad, site.url("later")], limits)}
    ended = results[site.url("later")]
    assert (ended.outcome, ended.attempts) == (Outcome.HOST_PAUSED, 1)
    assert "/ok" not in site.paths()


def test_a_name_is_answered_from_the_recipe_and_an_address_is_not(
    site: "Site", fetch_one: FetchOne
) -> None:
    for name in ("one.test", "two.test"):
        url = f"http://{name}:{site.port}/ok"
        assert fetch_one(url, site.port, resolve=ALL_HERE).outcome is Outcome.OK
    assert f"Host: two.test:{site.port}" in site.heads[1]
    refused = fetch_one(f"http://127.0.0.2:{site.port}/ok", site.port, resolve=ALL_HERE)
    assert refused.outcome is Outcome.REFUSED  # nobody listens there


def test_a_name_that_resolves_to_a_refused_address_later_is_refused_then(
    site: "Site", fetch_options: Options
) -> None:
    def last(connection: "Connection") -> None:
        connection.sock.sendall(site.whole(b"x", "200 OK", "Connection: close"))

    site.behaviours["last"] = last
    limits = fetch_options(
        site.port,
        allow_networks=(IPv4Network("127.0.0.1/32"),),
        resolve={"rebind.test": ("127.0.0.1",)},
        concurrency=1,
        per_host_per_s=10,
    )
    results = fetch([f"http://rebind.test:{site.port}/last/{n}" for n in range(2)], limits)
    assert next(results).outcome is Outcome.OK
    limits.resolve["rebind.test"] = (IPv4Address("127.0.0.2"),)  # the name's owner changes it
    second = next(results)
    assert second.outcome is Outcome.BLOCKED_ADDRESS
    assert "127.0.0.2 is not on the public web" in (second.detail or "")


def test_of_several_addresses_only_those_allowed_are_connected_to(
    site: "Site", fetch_one: FetchOne
) -> None:
    fetched = fetch_one(
        f"http://both.test:{site.port}/ok",
        site.port,
        allow_networks=(IPv4Network("127.0.0.1/32"),),
        resolve={"both.test": ("127.0.0.2", "169.254.169.254", "10.0.0.1", "127.0.0.1")},
    )
    assert fetched.outcome is Outcome.OK
    assert site.connections == 1
