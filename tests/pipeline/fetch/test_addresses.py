from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsieve.pipeline.fetch.addresses import Addresses, Refused
from pairsieve.pipeline.fetch.canonical_url import MAX_URL_CHARS, CanonicalUrl
from pairsieve.schemas.outcomes import Outcome

PUBLIC = Addresses((), ())


def requested(url: str) -> str:
    target = PUBLIC.target(url)
    assert isinstance(target, CanonicalUrl), target
    return target.url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://Example.COM/A.jpg", "http://example.com/A.jpg"),
        ("  https://example.com/a.jpg\n", "https://example.com/a.jpg"),
        ("http://example.com/a b.jpg?q=c d", "http://example.com/a%20b.jpg?q=c%20d"),
        ("http://example.com/%41%20b", "http://example.com/%41%20b"),
        ("http://example.com/é?é=ü", "http://example.com/%C3%A9?%C3%A9=%C3%BC"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://例え.jp/", "http://xn--r8jz45g.jp/"),
        ("http://user:secret@example.com/a", "http://example.com/a"),
        ("http://a@b@example.com/", "http://example.com/"),
        ("http://example.com/a#part", "http://example.com/a"),
        ("http://example.com:80/", "http://example.com/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com?q", "http://example.com/?q"),
        ("http://example.com/a\\b<c>", "http://example.com/a/b%3Cc%3E"),
        ("http://my_host.example/", "http://my_host.example/"),
        ("http://example.com/a?b=1&amp;c=2", "http://example.com/a?b=1&c=2"),
        ("http://example.com/a?b=1&amp;amp;c&#38;d&#x26;e", "http://example.com/a?b=1&c&d&e"),
        ("http://example.com/a?b&copy=2&lt;", "http://example.com/a?b&copy=2%3C"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://0177.0.0.01/", "http://127.0.0.1/"),
        ("http://10.1/", "http://10.0.0.1/"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/"),
        ("http://-a.example/", "http://-a.example/"),
    ],
)
def test_a_url_is_requested_in_its_canonical_form(url: str, expected: str) -> None:
    assert requested(url) == expected


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("", Outcome.NO_URL),
        ("   ", Outcome.NO_URL),
        ("example.com/a.jpg", Outcome.NO_URL),
        ("http:", Outcome.NO_URL),
        ("http://exa mple.com/", Outcome.NO_URL),
        ("http://\ud800.com/", Outcome.NO_URL),
        ("http://[::1", Outcome.NO_URL),
        ("http://256.0.0.1/", Outcome.NO_URL),
        ("http://1.2.3.4.5/", Outcome.NO_URL),
        ("http://a.0xg1.1/", Outcome.NO_URL),
        ("http://[fe80::1%25eth0]/", Outcome.NO_URL),
        ("http://[:::::]/", Outcome.NO_URL),
        ("http://example.com:65536/", Outcome.NO_URL),
        ("http://a$b.example/", Outcome.NO_URL),
        ("http://./", Outcome.NO_URL),
        ("http://a..b\u00fccher/", Outcome.NO_URL),
        ("http://a.example../", Outcome.NO_URL),
        ("http://example.com/" + "\u00e9" * (MAX_URL_CHARS // 4), Outcome.NO_URL),
        ("http://example.com:８０/x", Outcome.NO_URL),
        ("http://example.com:8a/", Outcome.NO_URL),
        ("http://" + "a" * 255 + "/", Outcome.NO_URL),
        ("http://example.com/" + "a" * MAX_URL_CHARS, Outcome.NO_URL),
        ("file:///etc/passwd", Outcome.BLOCKED_SCHEME),
        ("ftp://example.com/a.jpg", Outcome.BLOCKED_SCHEME),
        ("data:image/png;base64,AAAA", Outcome.BLOCKED_SCHEME),
        ("fi\nle://[", Outcome.BLOCKED_SCHEME),
        ("http://example.com:22/", Outcome.BLOCKED_ADDRESS),
        ("http://example.com:0/", Outcome.BLOCKED_ADDRESS),
    ],
)
def test_what_cannot_or_may_not_be_asked_for_says_why(url: str, outcome: Outcome) -> None:
    refused = PUBLIC.target(url)
    assert isinstance(refused, Refused)
    assert refused.outcome is outcome
    assert refused.detail


def test_a_listed_port_is_allowed_in_the_url_and_at_the_socket() -> None:
    addresses = Addresses((), (8123,))
    assert isinstance(addresses.target("http://example.com:8123/"), CanonicalUrl)
    assert addresses.refusal("93.184.215.14", 8123) is None
    assert PUBLIC.refusal("93.184.215.14", 8123) is not None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1",
        "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
        "2002:7f00:1::1", "2002:a00:1::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12::1",
        "fe80::1", "fe80::1%1", "fec0::1", "ff02::1",
        "2001:0:808:808::f5ff:fffe",  # Teredo: server 8.8.8.8, client 10.0.0.1
    ],
)  # fmt: skip
def test_an_address_that_is_not_on_the_public_web_is_refused(address: str) -> None:
    refusal = PUBLIC.refusal(address, 80)
    assert refusal is not None
    assert address in refusal


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
        "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
        "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
        "2002:101:101::1",
    ],
)  # fmt: skip
def test_an_address_on_the_public_web_is_allowed(address: str) -> None:
    assert PUBLIC.refusal(address, 443) is None


def test_a_listed_network_is_allowed_also_as_ipv4_mapped_and_its_neighbours_are_not() -> None:
    addresses = Addresses((IPv4Network("10.1.0.0/16"), IPv6Network("fd00::/8")), ())
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert addresses.refusal(address, 80) is None
    for address in ("10.2.0.0", "::ffff:10.2.0.0", "64:ff9b::10.1.2.3", "fc00::1"):
        assert addresses.refusal(address, 80) is not None


@given(st.text() | st.text().map("http://{}".format) | st.text().map("http://a.b/{}".format))
def test_any_text_gives_an_ascii_url_or_a_reason(text: str) -> None:
    target = PUBLIC.target(text)
    if isinstance(target, CanonicalUrl):
        assert target.url.isascii()
        assert PUBLIC.target(target.url) == target
    else:
        assert target.outcome in (
            Outcome.NO_URL,
            Outcome.BLOCKED_SCHEME,
            Outcome.BLOCKED_ADDRESS,
        )


@given(st.from_regex(r"https?://[a-z0-9.-]{1,20}/[ -~]{0,30}", fullmatch=True))
def test_a_plain_url_has_one_origin_and_comes_out_the_same_again(url: str) -> None:
    target = PUBLIC.target(url)
    if isinstance(target, CanonicalUrl):
        assert target.url.startswith(f"{target.origin}/")
        assert target.host in target.origin
        assert PUBLIC.target(target.url) == target


@pytest.mark.parametrize("url", ["admin:hunter2@example.com/a", "hunter2:x@example.com"])
def test_a_refusal_repeats_no_credentials(url: str) -> None:
    assert "admin" not in repr(PUBLIC.target(url))
    assert "hunter2" not in repr(PUBLIC.target(url))
