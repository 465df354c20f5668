"""The canonical form, and what the web sees of it, against the URL standard's own test data.

The data of web-platform-tests is no part of the repository: `../shared/wpt` beside the checkout.
"""

import json
import threading
from collections.abc import Callable, Iterator
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline.fetch.addresses import Refused, target_of
from pairsieve.pipeline.fetch.canonical_url import (
    CanonicalUrl,
    canonical,
    canonical_or_given,
    parsed,
)
from pairsieve.pipeline.fetch.client import fetch
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

WPT = Path(__file__).parents[4] / "shared/wpt"
Options = Callable[..., Fetch]


def standard(name: str) -> list[dict[str, Any]]:
    """Return the cases of one file of the standard's data; skip where it is absent."""
    if not (WPT / name).is_file():
        pytest.skip("no test data of the URL standard beside the checkout (../shared/wpt)")
    return [case for case in json.loads((WPT / name).read_text()) if isinstance(case, dict)]


def form(text: str, base: str | None = None) -> CanonicalUrl:
    start = canonical(base) if base else None
    assert start or not base
    url = canonical(text, start)
    assert url, text
    return url


def without_credentials_and_fragment(case: dict[str, Any]) -> str:
    """Return the `href` of a case as far as it is sent."""
    credentials = ":".join(filter(None, (case["username"], case["password"])))
    if case["password"] and not case["username"]:
        credentials = f":{credentials}"
    href: str = case["href"].partition("#")[0]
    return href.replace(f"{credentials}@", "", 1) if credentials else href


def test_every_url_is_what_the_standard_makes_of_it() -> None:
    cases = [case for case in standard("urltestdata.json") if not case.get("failure")]
    wrong = [
        (case["input"], case["base"], url.url, url.host)
        for case in cases
        for url in [form(case["input"], case["base"])]
        if (url.url, url.host) != (without_credentials_and_fragment(case), case["hostname"])
    ]
    assert len(cases) > 500
    assert wrong == []


def test_what_the_standard_refuses_has_no_form() -> None:
    cases = [case for case in standard("urltestdata.json") if case.get("failure")]
    given = [
        (case["input"], case["base"])
        for case in cases
        if case["base"] or not case["input"].startswith(("//", "\\\\"))  # these take https
    ]
    assert len(given) > 200
    assert [text for text, base in given if canonical(text, form(base) if base else None)] == []


def test_every_host_is_encoded_as_the_standard_says() -> None:
    cases = standard("toascii.json")
    hosts = [url.host if (url := canonical(f"https://{c['input']}/x")) else None for c in cases]
    assert hosts == [case["output"] for case in cases]


class _Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: set[tuple[str, str]]

    def do_GET(self) -> None:
        self.seen.add((self.headers["Host"], self.requestline.split(" ")[1]))
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 1000  # as many as come at once


@pytest.fixture
def recorder() -> Iterator[tuple[int, set[tuple[str, str]]]]:
    """Start a server; give its port and the (Host, request target) that it has seen."""
    seen: set[tuple[str, str]] = set()
    handler = type("Recorder", (_Recorder,), {"seen": seen})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, seen
        server.shutdown()


def test_a_server_sees_the_host_and_the_target_that_the_standard_says(
    recorder: tuple[int, set[tuple[str, str]]], fetch_options: Options
) -> None:
    port, seen = recorder
    urls, expected = [], set()
    for case in standard("urltestdata.json"):
        if case.get("protocol") not in ("http:", "https:"):
            continue
        url = form(case["input"], case["base"])
        if url.is_address or isinstance(target_of(url.url), Refused):
            continue  # another machine's address, or a name that nobody can own
        # Scheme and port are those of the server here.
        urls.append(f"http://{url.host}:{port}{url.target}")
        href = without_credentials_and_fragment(case)
        origin = f"{case['protocol']}//{case['host']}"
        expected.add((f"{case['hostname']}:{port}", href.removeprefix(origin)))
    limits = fetch_options(port, resolve={"*": ("127.0.0.1",)})
    outcomes = {fetched.outcome for fetched in fetch(urls, limits)}
    assert len(expected) > 100
    assert (seen, outcomes) == (expected, {Outcome.OK})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h.example/open/../private/p", "http://h.example/private/p"),
        ("http://h.example/a/%2E%2e/b/.", "http://h.example/b/"),
        ("http:\\\\h.example\\a", "http://h.example/a"),
        ("//h.example/a", "https://h.example/a"),
        ("\n\\\t/h.example/a", "https://h.example/a"),
        ("http://fa\u00df.example/", "http://xn--fa-hia.example/"),
        ("http://H.EXAMPLE./A", "http://h.example./A"),
        ("http://%68.example/", "http://h.example/"),
        ("http://0x7f000001:80/", "http://127.0.0.1/"),
        ("http://0177.1./", "http://127.0.0.1/"),
        ("http://[0:0::1]:443/", "http://[::1]:443/"),
        ("https://h.example:443/", "https://h.example/"),
        ("http://u:p%40@h.example/a@b#c", "http://h.example/a@b"),
        ("http://h.example/%2f%7e", "http://h.example/%2f%7e"),
        ("http://h.example/?'#", "http://h.example/?%27"),
        ("http://h.example?#", "http://h.example/?"),
        ("\x00 http://h.ex\tample/a\r\nb\x1f", "http://h.example/ab"),
        ("http://h.example/?a&am\tp;b&#3\n8;c", "http://h.example/?a&b&c"),
        ("http://h.example/\ud800", "http://h.example/%EF%BF%BD"),
        ("mailto:a@b", "mailto:a@b"),
    ],
)
def test_every_spelling_has_one_form(text: str, expected: str) -> None:
    assert form(text).url == expected


@pytest.mark.parametrize(
    "text", ["", "h.example/a", "/a", "http://", "http://a b/", "http://1.2.3.256/", "\u00a0http:x"]
)
def test_what_is_no_url_stays_as_it_came(text: str) -> None:
    assert canonical(text) is None
    assert canonical_or_given(text) == text


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("b", "https://h.example/x/b"),
        ("?b", "https://h.example/x/y?b"),
        ("\\b", "https://h.example/b"),
        ("//i.example:444", "https://i.example:444/"),
        ("..//b", "https://h.example//b"),
        ("https:b", "https://h.example/x/b"),
        ("http:b", "http://b/"),
    ],
)
def test_a_relative_one_goes_by_its_base(location: str, expected: str) -> None:
    assert form(location, "https://u:p@h.example/x/y?a#f").url == expected


def test_the_parts_of_a_form() -> None:
    url = form("HTTPS://u@H.example.:444/a?b#c")
    assert (url.scheme, url.host, url.port) == ("https", "h.example.", 444)
    assert (url.host_name, url.origin, url.target) == (
        "h.example",
        "https://h.example.:444",
        "/a?b",
    )
    assert url.hash == int.from_bytes(
        blake2b(b"https://h.example.:444/a?b", digest_size=8).digest(), "big"
    )
    assert form("http://[::1]/").is_address
    assert form("http://2130706433/").is_address
    assert not url.is_address


def test_a_default_port_makes_no_other_origin() -> None:
    urls = ("https://example.com:443/a", "https://example.com/b", "HTTPS://EXAMPLE.com/c?d")
    assert {form(url).origin for url in urls} == {"https://example.com"}


ENDS = st.text(":/?#@[]%\\&;.apm38#\t\n aZ09-\u00e9\u00df\u3002", max_size=20)


PIECES = st.sampled_from(
    """
    http https :// :/ : / // a.b example.org xn-- xn--bcher-kva _x 1 0x1 A -- - . .. %2e %2E %20 %
    & &amp &AMP; &copy &copy; &#38 &# ; ? # @ \\ ' ~ | , + = $ ! * ( ) a b
    """.split()  # noqa: SIM905 - one a line would hide what they are
)


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["", "http://", "https://a.b/"]))
@settings(max_examples=repeated(250, 1000), deadline=None)
def test_what_is_taken_for_its_own_form_is_what_the_parser_makes_of_it(
    text: str, start: str
) -> None:
    assert canonical(start + text) == parsed(start + text)


@pytest.mark.parametrize(
    "text",
    [
        "https://cdn1.example.co.uk/a/b-c_d/2019/00~1_large(2)-photo.JPG",
        "http://example.org/a/;v=1/@2x.png?w=600&h=400&url=https://x.example/%20/?",
    ],
)
def test_most_urls_are_their_own_form(text: str) -> None:
    assert canonical(text) == parsed(text)
    assert form(text).url == text


@given(st.text() | ENDS.map("http://a.b/{}".format) | ENDS.map("http://{}".format))
def test_the_form_of_a_form_is_itself(text: str) -> None:
    url = target_of(text)
    if isinstance(url, CanonicalUrl):
        assert url.url.isascii()
        assert canonical(url.url) == url


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("a=1&#38b=2", "a=1&b=2"),  # was cut at the `#`
        ("a=1&#38;b=2", "a=1&b=2"),
        ("a=1&#x26b=2", "a=1%C9%AB=2"),
        ("a=1&#X26;b=2", "a=1&b=2"),
        ("a=1&#0038;b", "a=1&b"),
        ("a=1&#389", "a=1%C6%85"),
        ("a=1&amp;amp;b", "a=1&b"),
        ("a=1&#38;amp;b", "a=1&b"),
        ("a=1&amp", "a=1&"),
        ("a=1&amp&b", "a=1&&b"),
        ("a=1&ampere=2", "a=1&ampere=2"),
        ("a=1&amp=2", "a=1&amp=2"),
        ("a=1&quot;b&lt;", "a=1%22b%3C"),
        ("a=&eacute;&#233&#xe9;", "a=%C3%A9%C3%A9%C3%A9"),
        ("a=1&copy=2&reg&para", "a=1&copy=2&reg&para"),
        ("a=1&nonesuch;b", "a=1&nonesuch;b"),
        ("a=1&amp;copy;", "a=1&copy;"),
        ("a=1&#section", "a=1&"),
        ("a=1&#", "a=1&"),
        ("a=1&#35;b", "a=1"),
        ("a=1&#0;&#xd800;", "a=1%EF%BF%BD%EF%BF%BD"),
        ("a=1&#9;b&#10;", "a=1b"),
    ],
)
def test_entities_are_read_as_in_the_attribute_that_a_url_was_copied_from(
    query: str, read: str
) -> None:
    assert form(f"http://a.example/x?{query}").url == f"http://a.example/x?{read}"


def test_an_entity_of_many_digits_is_no_trap() -> None:
    for digits in ("9" * 10_000, "0" * 10_000 + "38", "x" + "f" * 10_000):
        assert canonical(f"http://a.example/x?a&#{digits};b") is not None
