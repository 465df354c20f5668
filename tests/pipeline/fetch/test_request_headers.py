"""Headers and cookies that a recipe adds: who sees them and, above all, who does not."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pairsieve.pipeline.fetch import curl_options
from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.fetch.client import Fetched, fetch
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

FetchOne = Callable[..., Fetched]
Options = Callable[..., Fetch]
ANYWHERE = {"resolve": {"*": ["127.0.0.1"]}}


def fields(head: str) -> dict[str, list[str]]:
    """Return the values of each header of a request, by its name in small letters."""
    found: dict[str, list[str]] = {}
    for line in head.split("\r\n")[1:]:
        name, colon, value = line.partition(": ")
        if colon:
            found.setdefault(name.lower(), []).append(value)
    return found


def seen(site: "Site", name: str) -> list[list[str]]:
    """Return the values of one header in each request, in order."""
    return [fields(head).get(name, []) for head in site.heads]


def leads(site: "Site", path: str, url: str, *lines: str) -> None:
    """Let `path` redirect to `url`, with further lines in the answer's header."""
    site.behaviours[path] = site.whole(b"", "302 Found", f"Location: {url}", *lines)


def at(site: "Site", host: str, path: str) -> str:
    return f"http://{host}:{site.port}/{path}"


def test_headers_go_with_every_request_and_replace_our_own(
    site: "Site", fetch_one: FetchOne
) -> None:
    leads(site, "from", "/ok")
    headers = {"Referer": "https://example.org/", "accept": "image/webp"}
    fetched = fetch_one(site.url("from"), site.port, headers=headers)
    assert fetched.outcome is Outcome.OK
    assert seen(site, "referer") == [["https://example.org/"]] * 2
    assert seen(site, "accept") == [["image/webp"]] * 2


def test_headers_of_a_host_go_to_no_other(site: "Site", fetch_one: FetchOne) -> None:
    leads(site, "from", at(site, "b.example", "back"))
    leads(site, "back", at(site, "a.example", "ok"))
    of_host = {f"a.example:{site.port}": {"Referer": "https://a.example/", "X-Token": "1"}}
    options = {"host_headers": of_host, "headers": {"referer": "https://all.example/"}}
    fetched = fetch_one(at(site, "a.example", "from"), site.port, **options, **ANYWHERE)
    assert fetched.outcome is Outcome.OK
    assert seen(site, "x-token") == [["1"], [], ["1"]]
    a, b = ["https://a.example/"], ["https://all.example/"]
    assert seen(site, "referer") == [a, b, a]


def test_another_port_of_the_host_is_another_host(site: "Site", fetch_one: FetchOne) -> None:
    options: dict[str, Any] = {"host_headers": {"a.example": {"X-Token": "1"}}}
    fetch_one(at(site, "a.example", "ok"), site.port, **options, **ANYWHERE)
    assert seen(site, "x-token") == [[]]


def test_a_robots_txt_sees_no_headers_of_the_host(site: "Site", fetch_one: FetchOne) -> None:
    of_host = {f"127.0.0.1:{site.port}": {"X-Token": "1"}}
    site.behaviours["robots.txt"] = site.whole(b"User-agent: *")
    fetch_one(site.url("ok"), site.port, host_headers=of_host, robots="obey")
    assert site.paths() == ["/robots.txt", "/ok"]
    assert seen(site, "x-token") == [[], ["1"]]


def test_what_is_secret_is_not_sent_in_the_clear(site: "Site", fetch_one: FetchOne) -> None:
    secret = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Open": "1"}
    fetch_one(site.url("ok"), site.port, host_headers={f"127.0.0.1:{site.port}": secret})
    names = ("authorization", "cookie", "x-open")
    assert [seen(site, name) for name in names] == [[[]], [[]], [["1"]]]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.example/x", True),
        ("https://a.example:443/x", True),
        ("https://A.example/x", True),
        ("https://a.example:444/x", False),
        ("https://b.a.example/x", False),
        ("http://a.example/x", False),
    ],
)
def test_what_is_secret_is_for_its_host_over_https(
    fetch_options: Options, url: str, sent: bool
) -> None:
    options = fetch_options(host_headers={"a.example": {"Authorization": "Bearer x"}})
    target = canonical(url)
    assert ("Authorization: Bearer x" in curl_options.request_headers(options, target)) is sent


@pytest.mark.parametrize(
    ("first", "second", "cookie", "sent"),
    [
        ("a.example.org", "a.example.org", "k=v", ["k=v"]),
        ("a.example.org", "b.example.org", "k=v", []),
        ("a.example.org", "b.example.org", "k=v; Domain=example.org", ["k=v"]),
        ("a.example.org", "b.example.org", "k=v; Domain=b.example.org", []),
        ("a.example.org", "example.org", "k=v; Domain=.example.org", ["k=v"]),
        ("a.example.org", "evil-example.org", "k=v; Domain=example.org", []),
        ("a.example.co.uk", "b.other.co.uk", "k=v; Domain=co.uk", []),  # public suffixes
        ("a.github.io", "b.github.io", "k=v; Domain=github.io", []),
        ("a.example.org", "b.example.com", "k=v; Domain=com", []),
        ("a.example.org", "a.example.org", "k=v; Secure", []),
        ("a.example.org", "a.example.org", "k=v; Path=/elsewhere", []),
        ("a.example.org", "a.example.org", "k=v; Path=/ok", ["k=v"]),
        ("a.example.org", "a.example.org", "k=v; Max-Age=0", []),
    ],
)
def test_a_cookie_follows_the_rules_of_domain_path_and_secure(
    site: "Site", fetch_one: FetchOne, first: str, second: str, cookie: str, sent: list[str]
) -> None:
    leads(site, "from", at(site, second, "ok"), f"Set-Cookie: {cookie}")
    fetch_one(at(site, first, "from"), site.port, cookies="chain", **ANYWHERE)
    assert seen(site, "cookie") == [[], sent]


def test_a_cookie_for_an_address_goes_to_that_address_alone(
    site: "Site", other_site: "Site", fetch_one: FetchOne
) -> None:
    leads(site, "from", other_site.url("ok"), "Set-Cookie: k=v; Domain=0.0.1", "Set-Cookie: l=w")
    fetch_one(site.url("from"), site.port, other_site.port, cookies="chain")
    assert seen(other_site, "cookie") == [[]]


def test_a_cookie_wall_is_passed_with_cookies_and_not_without(
    site: "Site", fetch_one: FetchOne
) -> None:
    leads(site, "wall", "/ok", "Set-Cookie: a=1", "Set-Cookie: b=2")
    fetch_one(site.url("wall"), site.port)
    assert seen(site, "cookie") == [[], []]
    site.heads.clear()
    fetch_one(site.url("wall"), site.port, cookies="chain")
    first, (both,) = seen(site, "cookie")
    assert (first, sorted(both.split("; "))) == ([], ["a=1", "b=2"])


def test_cookies_of_one_pair_are_never_seen_with_another(
    site: "Site", fetch_options: Options
) -> None:
    for number in range(20):
        leads(site, f"from{number}", f"/ok/{number}", f"Set-Cookie: k={number}")
    urls = [site.url(f"from{number}") for number in range(20)]
    options = fetch_options(site.port, cookies="chain", concurrency=3)
    assert {each.outcome for each in fetch(urls, options)} == {Outcome.OK}
    for head in site.heads:
        path = head.split(" ")[1]
        own = [f"k={path.removeprefix('/ok/')}"] if path.startswith("/ok/") else []
        assert fields(head).get("cookie", []) == own


def test_another_attempt_begins_without_cookies(site: "Site", fetch_one: FetchOne) -> None:
    leads(site, "from", "/500,ok", "Set-Cookie: k=v")
    fetched = fetch_one(site.url("from"), site.port, cookies="chain", retries=1)
    assert (fetched.outcome, fetched.attempts) == (Outcome.OK, 2)
    assert seen(site, "cookie") == [[], ["k=v"], [], ["k=v"]]


def test_a_libcurl_without_the_public_suffix_list_is_refused() -> None:
    curl_options.check_cookies("PycURL/7.45 libcurl/8.5.0 OpenSSL/3.0 libpsl/0.21.2")
    with pytest.raises(BadOption, match=r"needs a libcurl with the public suffix list"):
        curl_options.check_cookies("PycURL/7.45 libcurl/8.5.0 OpenSSL/3.0")
