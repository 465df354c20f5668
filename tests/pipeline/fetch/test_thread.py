import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch import memory_budget
from pairsieve.pipeline.fetch.client import Fetched, fetch
from pairsieve.pipeline.fetch.request import Transfer
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

FetchOne = Callable[..., Fetched]
Options = Callable[..., Fetch]


def fetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fetch"]


def test_a_consumer_that_waits_bounds_what_is_fetched(
    site: "Site", fetch_options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_budget, "BACKLOG_BYTES", 1_000_000)
    site.behaviours["big"] = site.whole(bytes(200_000))
    urls = [site.url(f"big/{number}") for number in range(60)]
    with closing(fetch(urls, fetch_options(site.port, concurrency=4))) as results:
        next(results)
        most = 1 + 5 + 4  # taken, backlog, under way
        with site.changed:
            assert site.changed.wait_for(lambda: len(site.heads) >= 6, 10)
            assert not site.changed.wait_for(lambda: len(site.heads) > most, 0.5)
        assert sum(1 for _ in results) == 59


def test_closing_early_ends_the_thread_and_every_connection(
    site: "Site", fetch_options: Options
) -> None:
    urls = [site.url("ok"), *(site.url(f"slow-body/{number}") for number in range(6))]
    results = fetch(urls, fetch_options(site.port, concurrency=3, timeout_s=1.5))
    assert next(results).outcome is Outcome.OK
    assert fetch_threads()
    results.close()
    assert not fetch_threads()
    assert len(site.heads) <= 4  # the other transfers were not started to end the thread
    with site.changed:
        assert site.changed.wait_for(lambda: not site.open, 5)


def test_an_error_in_the_loop_is_raised_to_the_consumer(
    site: "Site", fetch_one: FetchOne, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Transfer, "answer", broken)
    with pytest.raises(ZeroDivisionError):
        fetch_one(site.url("ok"), site.port)
    assert not fetch_threads()


def test_running_out_of_sockets_stops_the_work_and_is_no_outcome(site: "Site") -> None:
    silent_url = site.url("silent")
    script = f"""
import resource
from ipaddress import IPv4Network
from pairsieve.pipeline.fetch.client import fetch
from pairsieve.schemas.recipe import Fetch
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
options = Fetch(user_agent="t (a@b.example)", robots="ignore", ports=({site.port},),
                allow_networks=(IPv4Network("127.0.0.0/8"),),
                per_host_per_s=1000, per_host_connections=64)
for fetched in fetch(["{silent_url}/" + str(n) for n in range(64)], options):
    print(fetched)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "Stopped: no socket for a transfer: Too many open files; raise the limit" in ran.stderr
    assert ran.stdout == ""
