import socket
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.fetch.client import Fetched, fetch
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

FetchOne = Callable[..., Fetched]
Options = Callable[..., Fetch]


def test_a_good_answer_comes_back_with_everything_known_about_it(
    site: "Site", fetch_one: FetchOne
) -> None:
    fetched = fetch_one(site.url("ok/a b.jpg?é#part"), site.port)
    assert (fetched.outcome, fetched.detail) == (Outcome.OK, None)
    assert fetched.body == site.jpeg
    assert fetched.url == site.url("ok/a b.jpg?é#part")
    assert fetched.final_url == site.url("ok/a%20b.jpg?%C3%A9")
    assert (fetched.http_status, fetched.content_type) == (200, "image/jpeg")
    assert fetched.attempts == 1
    assert fetched.fetch_ms is not None


def test_the_request_says_who_asks_and_carries_no_credentials(
    site: "Site", fetch_one: FetchOne
) -> None:
    url = site.url("ok").replace("//", "//user:secret@")
    fetched = fetch_one(url, site.port)
    assert fetched.final_url == site.url("ok")
    assert "User-Agent: test/1 (+mailto:a@example.org)\r\n" in site.heads[0]
    assert "Accept: image/*" in site.heads[0]
    assert "uthorization" not in site.heads[0]
    assert "secret" not in repr(fetched).replace(url, "")


@pytest.mark.parametrize(
    ("path", "outcome", "status"),
    [
        ("203", Outcome.OK, 203),
        ("early-hints", Outcome.OK, 200),
        ("gzip", Outcome.OK, 200),
        ("404", Outcome.HTTP_4XX, 404),
        ("endless-404", Outcome.HTTP_4XX, 404),
        ("500", Outcome.HTTP_5XX, 500),
        ("204", Outcome.HTTP_OTHER, 204),
        ("206", Outcome.HTTP_OTHER, 206),
        ("304", Outcome.HTTP_OTHER, 304),
        ("300", Outcome.HTTP_OTHER, 300),
        ("999", Outcome.HTTP_OTHER, 999),
        ("lost", Outcome.HTTP_OTHER, 302),
        ("empty", Outcome.EMPTY, 200),
        ("declared-large", Outcome.TOO_LARGE, 200),
        ("endless", Outcome.TOO_LARGE, 200),
        ("bomb", Outcome.TOO_LARGE, 200),
        ("brotli-bomb", Outcome.TOO_LARGE, 200),
        ("gzip-of-nothing", Outcome.TOO_LARGE, 200),
        ("gzip-chain", Outcome.BAD_RESPONSE, 200),
        ("two-lengths", Outcome.BAD_RESPONSE, 200),
        ("bad-length", Outcome.BAD_RESPONSE, 200),
        ("bad-chunk", Outcome.INTERRUPTED, 200),
        ("half-closed", Outcome.INTERRUPTED, 200),
        ("101", Outcome.HTTP_OTHER, 101),
        ("only-interim", Outcome.INTERRUPTED, 100),
        ("interim-flood", Outcome.TOO_LARGE, 103),
        ("many-lines", Outcome.OK, 200),
        ("long-header", Outcome.TOO_LARGE, 200),
        ("bytes-header", Outcome.OK, 200),
        ("short", Outcome.INTERRUPTED, 200),
        ("short-chunked", Outcome.INTERRUPTED, 200),
        ("reset", Outcome.INTERRUPTED, 200),
        ("hang-up", Outcome.INTERRUPTED, None),
        ("http-0.9", Outcome.BAD_RESPONSE, None),
        ("bad-gzip", Outcome.BAD_RESPONSE, 200),
        ("unknown-coding", Outcome.OK, 200),
        ("header-flood", Outcome.TOO_LARGE, 200),
        ("nul-header", Outcome.BAD_RESPONSE, 200),
        ("bad-redirect", Outcome.BAD_RESPONSE, 302),
    ],
)
def test_each_kind_of_answer_has_its_outcome(
    site: "Site", fetch_one: FetchOne, path: str, outcome: Outcome, status: int | None
) -> None:
    fetched = fetch_one(site.url(path), site.port)
    assert (fetched.outcome, fetched.http_status) == (outcome, status), fetched.detail
    assert fetched.body == (site.jpeg if outcome is Outcome.OK else b"")
    str(fetched).encode()


def test_a_body_longer_than_declared_ends_where_it_was_to(
    site: "Site", fetch_one: FetchOne
) -> None:
    fetched = fetch_one(site.url("declared-short"), site.port)
    assert (fetched.outcome, fetched.body) == (Outcome.OK, site.jpeg[:100])


def test_a_claimed_content_type_is_kept_as_text_of_bounded_length(
    site: "Site", fetch_one: FetchOne
) -> None:
    assert fetch_one(site.url("latin-1"), site.port).content_type == "image/é" + "x" * 193


def test_connections_that_cannot_be_made_say_why(fetch_one: FetchOne) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    broadcast = IPv4Network("255.255.255.255/32")
    assert fetch_one(f"http://127.0.0.1:{port}/", port).outcome is Outcome.REFUSED
    assert fetch_one("http://255.255.255.255/", allow_networks=(broadcast,)).outcome is (
        Outcome.UNREACHABLE
    )
    assert fetch_one("http://name.onion/").outcome is Outcome.DNS  # libcurl never resolves these


def test_many_urls_come_back_once_each(site: "Site", fetch_options: Options) -> None:
    urls = [site.url(f"ok/{number}") for number in range(2000)]
    results = list(fetch([*urls, *urls[:50]], fetch_options(site.port, concurrency=8)))
    assert Counter(result.url for result in results) == Counter(urls)
    assert {result.outcome for result in results} == {Outcome.OK}


def test_every_request_is_counted_by_host_and_second(site: "Site", fetch_options: Options) -> None:
    sent: Counter[tuple[str, int]] = Counter()
    site.behaviours["from"] = site.whole(b"", "302 Found", "Location: /500")
    limits = fetch_options(site.port, retries=1)
    before = int(time.time())
    list(fetch([site.url("from"), site.url("ok")], limits, sent=sent))
    assert sent.total() == len(site.heads) == 5
    assert {host for host, _ in sent} == {"127.0.0.1"}
    assert all(before <= second <= time.time() for _, second in sent)


@settings(
    max_examples=repeated(6, 15),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_behaviour_of_servers_gives_one_outcome_per_url(
    site: "Site", fetch_options: Options, data: st.DataObject
) -> None:
    """Also of a site's robots.txt, and where redirects lead to any other behaviour."""
    own = {"declared-large", "robots.txt", "hop-1", "hop-2"}
    names = sorted(site.behaviours.keys() - own)
    step = st.sampled_from(names)
    site.behaviours["robots.txt"] = site.behaviours[data.draw(step)]
    for hop in ("hop-1", "hop-2"):
        location = f"Location: http://{data.draw(st.sampled_from('abc'))}.test:{site.port}/"
        target = data.draw(st.sampled_from([*names, "hop-1", "hop-2"]))
        site.behaviours[hop] = site.whole(b"", "302 Found", location + target)
    steps = st.lists(st.sampled_from([*names, "hop-1", "hop-2"]), min_size=1, max_size=3)
    sequences = data.draw(st.lists(steps, max_size=12))
    paths = [",".join([*steps, steps[-1]]) + f"/{n}" for n, steps in enumerate(sequences)]
    limits = fetch_options(
        site.port,
        robots=data.draw(st.sampled_from(["obey", "ignore"])),
        retries=2,
        timeout_s=0.2,
        first_byte_timeout_s=0.1,
        host_failures=data.draw(st.sampled_from([2, 1000])),
        retry_after_max_s=0.1,
        per_host_connections=20,
        resolve={f"{name}.test": ("127.0.0.1",) for name in "abc"},
    )
    site.heads.clear()
    sent: Counter[tuple[str, int]] = Counter()
    results = list(fetch([site.url(path) for path in paths], limits, sent=sent))
    assert Counter(result.url for result in results) == Counter(map(site.url, paths))
    for result in results:
        assert result.attempts <= 3
        assert (result.attempts == 0) == (result.final_url is None) == (result.fetched_at is None)
        assert (result.outcome is Outcome.OK) == bool(result.body)
