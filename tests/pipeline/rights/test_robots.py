import pickle

import pytest

from pairsieve.pipeline.rights import robots
from pairsieve.pipeline.rights.robots import RulesCache, parse_rules, product_token

A = "https://example.org/a.jpg"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("My-Lab/1.0 (+https://example.org)", "my-lab"),
        ("my_lab2 (a@b.example)", "my_lab2"),
        ("Mozilla/5.0 (compatible; My-Lab/1.0; +https://example.org)", "my-lab"),
        ("Mozilla/5.0 (+https://example.org)", "mozilla"),
    ],
)
def test_the_product_token_is_the_name_of_the_user_agent(user_agent: str, name: str) -> None:
    assert product_token(user_agent) == name


@pytest.mark.parametrize(
    ("file", "allowed"),
    [
        (b"", True),
        (b"User-agent: *\nDisallow: /\n", False),
        (b"\xef\xbb\xbfUser-agent: *\rDisallow: /a\r", False),
        (b"User-agent: *\nDisallow: /\nUser-agent: lab\nDisallow: /b\n", True),
        (b"User-agent: LAB/2.0 # us\nDisallow: /\n", False),
        (b"user agent lab\ndisallow /\n", False),
        (b"User-agent: laboratory\nDisallow: /\n", True),
        (b"User-agent: la\nDisallow: /\n", True),
        (b"User-agent: *lab\nDisallow: /\n", True),
        (b"User-agent: other\nUser-agent: lab\nDisallow: /a\nAllow: /a.jpg$\n", True),
        (b"User-agent: *\nDisallow: /*.jpg$\n", False),
        (b"<html><body>Not found</body></html>", True),
        (bytes(range(256)), True),
    ],
)
def test_the_group_of_our_name_counts_or_else_that_of_everybody(file: bytes, allowed: bool) -> None:
    assert parse_rules(file, "lab").allow(A) is allowed


def test_a_line_that_the_cap_cuts_in_two_does_not_count() -> None:
    head = b"User-agent: *\n"
    filling = b"#" * (robots.MAX_BYTES - len(head) - len(b"\nDisallow: /")) + b"\n"
    assert parse_rules(head + filling + b"Disallow: /b.jpg", "lab").allow(A)


@pytest.mark.parametrize(
    "file",
    [
        b"".join(b"User-agent: a%d\n" % n for n in range(15_000)) + b"Disallow: /\n" * 9_000,
        b"User-agent: *\n" + b"".join(b"Disallow: /%d\n" % n for n in range(20_000)),
        b"User-agent: *\n" + b"Disallow: /*a*a*a*b$\n" * 5_000,
    ],
)
def test_a_file_that_would_cost_too_much_allows_nothing(file: bytes) -> None:
    assert not parse_rules(file, "lab").allow(A)


def test_thousands_of_names_before_thousands_of_rules_cost_no_product_of_both() -> None:
    names = b"".join(b"User-agent: a%d\n" % number for number in range(4_500))
    rules = parse_rules(
        names + b"User-agent: lab\n" + b"Disallow: /b\n" * 4_500 + b"Disallow: /a\n", "lab"
    )
    assert not rules.allow(A)
    assert rules.allow("https://example.org/c.jpg")


@pytest.mark.parametrize(
    ("line", "delay_s"),
    [(b"2.5", 2.5), (b"-1", 0), (b"nan", 0), (b"inf", 0), (b"soon", 0), (b"1e9", 1e9)],
)
def test_a_crawl_delay_is_a_number_of_seconds_or_nothing(line: bytes, delay_s: float) -> None:
    assert parse_rules(b"User-agent: *\nCrawl-delay: " + line, "lab").delay_s == delay_s


def test_what_was_not_used_for_longest_goes_first_when_there_is_no_room() -> None:
    cache = RulesCache(kept_bytes=2_500)
    nothing = robots.nothing_forbidden("lab")
    for origin in ("a", "b"):
        cache.put(origin, "lab", nothing, 1_000)
    assert cache.get("a", "lab")
    cache.put("c", "lab", nothing, 1_000)
    assert [bool(cache.get(origin, "lab")) for origin in "abc"] == [True, False, True]


def test_rules_are_those_of_one_robot_and_end_after_their_time() -> None:
    cache, nothing = RulesCache(fresh_s=-1), robots.nothing_forbidden("lab")
    cache.put("a", "lab", nothing, 0)
    assert cache.get("a", "lab") is None
    other = RulesCache()
    other.put("a", "lab", nothing, 0)
    assert other.get("a", "else") is None


def test_a_cache_sent_to_another_process_begins_empty_with_the_same_limits() -> None:
    cache = RulesCache(kept_bytes=2_500)
    cache.put("a", "lab", robots.nothing_forbidden("lab"), 1_000)
    copy = pickle.loads(pickle.dumps(cache))
    assert copy.get("a", "lab") is None
    for origin in "abc":
        copy.put(origin, "lab", robots.nothing_forbidden("lab"), 1_000)
    assert [bool(copy.get(origin, "lab")) for origin in "abc"] == [False, True, True]
