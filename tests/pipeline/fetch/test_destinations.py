from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch.client import Fetched, fetch
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

FetchOne = Callable[..., Fetched]
Options = Callable[..., Fetch]


def test_redirects_are_followed_and_the_last_url_is_told(site: "Site", fetch_one: FetchOne) -> None:
    site.behaviours["a"] = site.whole(b"", "301 Moved", "Location: /b/x y")
    site.behaviours["b"] = site.whole(b"", "307 Moved", "Location: ../c")
    site.behaviours["c"] = site.whole(
        b"", "302 Moved", f"Location: http://u:p@127.0.0.1:{site.port}/ok"
    )
    fetched = fetch_one(site.url("a"), site.port, max_redirects=3)
    assert (fetched.outcome, fetched.body, fetched.attempts) == (Outcome.OK, site.jpeg, 1)
    assert fetched.final_url == site.url("ok")
    fetched = fetch_one(site.url("a"), site.port, max_redirects=2)
    assert fetched.outcome is Outcome.TOO_MANY_REDIRECTS


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("\\b\\c", "/b/c"),
        ("?x=1&amp;y=%7e%2f#z", "/from/a?x=1&y=%7e%2f"),
        ("../b/%2E%2E/c/.", "/c/"),
        ("/\u00e9'?'", "/%C3%A9'?%27"),
        ("/\xff", "/%FF"),
        ("//2130706433:{port}/b", "/b"),
        ("  http:/b  ", "/b"),
    ],
)
def test_a_redirect_is_resolved_by_the_url_standard(
    site: "Site", fetch_one: FetchOne, location: str, target: str
) -> None:
    encoding = "utf-8" if "\u00e9" in location else "latin-1"
    line = b"Location: " + location.format(port=site.port).encode(encoding)
    site.behaviours["from"] = site.whole(b"", "302 Found", "X: y").replace(b"X: y", line)
    site.behaviours.setdefault(target.split("/")[1], site.whole())
    fetched = fetch_one(site.url("from/a"), site.port, max_redirects=1)
    assert fetched.final_url == site.url(target[1:])
    assert site.paths()[:2] == ["/from/a", target]


def test_a_redirect_without_a_place_leads_nowhere(site: "Site", fetch_one: FetchOne) -> None:
    site.behaviours["from"] = site.whole(b"", "302 Found", "Location: ")
    assert fetch_one(site.url("from"), site.port).outcome is Outcome.HTTP_OTHER


def test_a_redirect_loop_ends_after_as_many_requests_as_allowed(
    site: "Site", fetch_one: FetchOne
) -> None:
    fetched = fetch_one(site.url("loop"), site.port, max_redirects=5)
    assert (fetched.outcome, fetched.http_status) == (Outcome.TOO_MANY_REDIRECTS, 302)
    assert len(site.heads) == 6


def test_what_never_got_a_socket_is_not_counted_as_a_request(
    site: "Site", fetch_options: Options
) -> None:
    site.behaviours["away"] = site.whole(b"", "302 Found", "Location: http://[::1]/")
    sent: Counter[tuple[str, int]] = Counter()
    list(fetch([site.url("away")], fetch_options(site.port), sent=sent))
    assert {host for host, _ in sent} == {"127.0.0.1"}
    assert sent.total() == len(site.heads) == 1


@pytest.mark.parametrize(
    ("location", "outcome"),
    [
        ("file:///etc/passwd", Outcome.BLOCKED_SCHEME),
        ("ftp://127.0.0.1/a.jpg", Outcome.BLOCKED_SCHEME),
        ("gopher://127.0.0.1/", Outcome.BLOCKED_SCHEME),
        ("http://169.254.169.254/latest/meta-data", Outcome.BLOCKED_ADDRESS),
        ("http://[::1]/", Outcome.BLOCKED_ADDRESS),
        ("http://[::ffff:10.0.0.1]/", Outcome.BLOCKED_ADDRESS),
        ("http://0.0.0.0/", Outcome.BLOCKED_ADDRESS),
        ("http://0xa.1/", Outcome.BLOCKED_ADDRESS),
        ("//127.0.0.1:22/", Outcome.BLOCKED_ADDRESS),
    ],
)
def test_a_redirect_cannot_lead_where_the_pair_could_not(
    site: "Site", fetch_one: FetchOne, location: str, outcome: Outcome
) -> None:
    site.behaviours["away"] = site.whole(b"", "302 Found", f"Location: {location}")
    fetched = fetch_one(site.url("away"), site.port, retries=2)
    assert (fetched.outcome, fetched.attempts) == (outcome, 1)
    assert fetched.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_loopback_is_blocked_before_a_connection_unless_listed(
    site: "Site", fetch_one: FetchOne, host: str
) -> None:
    url = f"http://{host}:{site.port}/ok"
    assert fetch_one(url, site.port, allow_networks=()).outcome is Outcome.BLOCKED_ADDRESS
    assert site.connections == 0


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f000001", "017700000001", "2130706433", "[::ffff:127.0.0.1]"],
)
def test_a_redirect_to_loopback_is_blocked_where_another_network_is_listed(
    other_site: "Site", fetch_one: FetchOne, host: str
) -> None:
    away = f"Location: http://user:secret@{host}:{other_site.port}/ok"
    other_site.behaviours["in"] = other_site.whole(b"", "302 Found", away)
    listed = (IPv4Network("127.0.0.2/32"),)
    fetched = fetch_one(other_site.url("in"), other_site.port, allow_networks=listed)
    assert fetched.outcome is Outcome.BLOCKED_ADDRESS
    assert other_site.paths() == ["/in"]
    assert "secret" not in repr(fetched)


def test_no_detail_of_any_failure_repeats_credentials(site: "Site", fetch_options: Options) -> None:
    for number, location in enumerate(
        ("ftp://", "http://no such/", "//[::1]:1/", "http://x.test/")
    ):
        there = location.replace("//", "//user:secret@", 1)
        site.behaviours[f"to{number}"] = site.whole(b"", "302 Found", f"Location: {there}")
    paths = [*(f"to{number}" for number in range(4)), "reset", "404", "loop", "http-0.9", "bomb"]
    urls = [site.url(path).replace("//", "//user:secret@") for path in paths]
    limits = fetch_options(site.port, resolve={"x.test": ("127.0.0.1",)})
    for fetched in fetch(urls, limits):
        assert "secret" not in repr(fetched).replace(fetched.url, "")


def test_a_port_that_is_not_listed_is_blocked_before_a_connection(
    site: "Site", fetch_one: FetchOne
) -> None:
    assert fetch_one(site.url("ok")).outcome is Outcome.BLOCKED_ADDRESS
    assert site.connections == 0


def test_urls_that_cannot_be_asked_for_cost_no_request(fetch_options: Options) -> None:
    urls = ["", "\0", "http://a b/", "http://a/" + "x" * 10_000_000, "mailto:a@b", "data:,"]
    outcomes = [fetched.outcome for fetched in fetch(urls, fetch_options())]
    assert outcomes == [Outcome.NO_URL] * 4 + [Outcome.BLOCKED_SCHEME] * 2


def test_proxies_of_the_environment_are_not_used(
    site: "Site", fetch_one: FetchOne, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch_one(site.url("ok"), site.port).outcome is Outcome.OK
