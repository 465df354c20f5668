"""Curves made by hand, each with the one sentence that it should give."""

from typing import Any

import pytest

from pairsieve.pipeline.unit.fetch_diagnosis import FetchCounts, answer, diagnose, step_s, worst

START = 1_700_000_000  # 2023-11-14 22:13:20 UTC


def over_time(*steps: dict[str, int], hosts: Any = None) -> FetchCounts:
    """Return counts whose sum is that of the steps, one a minute."""
    answers: dict[str, int] = {}
    for step in steps:
        for name, pairs in step.items():
            answers[name] = answers.get(name, 0) + pairs
    listed = [(START + 60 * index, step) for index, step in enumerate(steps)]
    return FetchCounts(answers, hosts or {}, listed)


def test_all_well_says_nothing() -> None:
    well = {"ok": 98, "http_4xx 404": 1, "timeout_total": 1}
    assert diagnose(over_time(well, well, well)) == []


def test_few_pairs_say_nothing() -> None:
    assert diagnose(FetchCounts({"dns": 49})) == []


def test_what_was_never_asked_for_does_not_count() -> None:
    # 40 requested, whatever the rest.
    assert diagnose(FetchCounts({"gated": 900, "no_url": 50, "blocklist": 10, "dns": 40})) == []


def test_dead_links_are_flat_over_time() -> None:
    step = {"ok": 80, "http_4xx 404": 10, "http_4xx 410": 2, "dns": 8}
    assert diagnose(over_time(step, step, step, step)) == [
        "20% are dead links (404, 410, unknown hosts), as many at the end as at first: lists of "
        "links age, and there is nothing to mend."
    ]


def test_dead_links_without_known_times() -> None:
    (said,) = diagnose(FetchCounts({"ok": 90, "http_4xx 404": 10}))
    assert said.startswith("10% are dead links")


def test_names_of_living_hosts_fail_when_the_resolver_is_overloaded() -> None:
    hosts = {
        "a": {"ok": 5, "dns": 6},
        "b": {"dns": 7},
        "c": {"dns": 7},
    }  # 6 of 20 at a host that answers
    (said,) = diagnose(FetchCounts({"ok": 80, "dns": 20}, hosts))
    assert said.startswith("20% of the host names could not be resolved, 30% of these at hosts")
    assert "resolver is overloaded" in said


def test_ever_more_unknown_names_are_the_resolver_too() -> None:
    early, late = {"ok": 95, "dns": 5}, {"ok": 80, "dns": 20}
    (said,) = diagnose(over_time(early, early, late, late))
    assert "rising with time: your resolver is overloaded" in said


def test_rising_refusals_are_blocking() -> None:
    hosts = {name: {"ok": 50, "http_4xx 403": 10} for name in "abc"}
    early, late = {"ok": 98, "http_4xx 403": 2}, {"ok": 70, "http_4xx 429": 20, "http_4xx 403": 10}
    assert diagnose(over_time(early, early, late, late, hosts=hosts)) == [
        "3 hosts turn you away (403, 429) more and more, from 2% to 30%: you are being blocked; "
        "send fewer requests and see that `fetch.user_agent` says how to reach you."
    ]


def test_flat_refusals_are_hosts_that_let_nobody_in() -> None:
    step = {"ok": 90, "http_4xx 403": 10}
    (said,) = diagnose(over_time(step, step))
    assert said.startswith("10% were turned away (403, 429) by hosts, no more at the end")


def test_an_outage_is_one_stretch_of_time_with_calm_around_it() -> None:
    calm, gone = {"ok": 98, "dns": 2}, {"ok": 10, "dns": 60, "timeout_connect": 30}
    assert diagnose(over_time(calm, calm, gone, gone, calm, calm, calm)) == [
        "From 2023-11-14 22:15:20 to 2023-11-14 22:17:20 (UTC) up to 90% of the fetches found no "
        "network, against 2% in the median: this machine's network or resolver was down; fetch "
        "what failed then again (`gather --retry transient`)."
    ]


def test_a_step_with_few_fetches_is_no_outage() -> None:
    calm = {"ok": 100}
    assert diagnose(over_time(calm, calm, {"unreachable": 9}, calm)) == []


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ({f"h{n}": {"timeout_total": 1} for n in range(20)}, "at many hosts: your line is full"),
        ({"a": {"timeout_total": 12}, "b": {"timeout_total": 8}}, "three hosts or fewer"),
    ],
)
def test_timeouts_at_many_hosts_or_few(hosts: dict[str, dict[str, int]], expected: str) -> None:
    said = diagnose(FetchCounts({"ok": 80, "timeout_total": 20}, hosts))
    assert expected in said[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("http_5xx 503", "10% met failing servers"), ("tls", "10% failed in TLS")],
)
def test_servers_and_certificates(name: str, expected: str) -> None:
    (said,) = diagnose(FetchCounts({"ok": 90, name: 10}))
    assert said.startswith(expected)


def test_one_host_that_makes_most_of_the_failures_is_named() -> None:
    hosts = {"a": {"refused": 30, "ok": 5}, "b": {"refused": 4}}
    assert diagnose(FetchCounts({"ok": 65, "refused": 35}, hosts)) == [
        "a alone makes 86% of the failures (30 of its 35 pairs, most often `refused`)."
    ]


def test_the_worst_hosts_come_first_with_their_commonest_failure() -> None:
    hosts = {
        "few.example": {"ok": 10, "dns": 1},
        "fine.example": {"ok": 9, "gated": 3},
        "many.example": {"http_4xx 404": 3, "http_4xx 403": 2, "gated": 50, "ok": 1},
    }
    assert worst(hosts, 9) == [
        ("many.example", 5, 6, "http_4xx 404"),
        ("few.example", 1, 11, "dns"),
    ]
    assert worst(hosts, 1) == worst(hosts, 9)[:1]


def test_an_answer_has_the_status_where_it_tells_more() -> None:
    assert answer("http_4xx", 404) == "http_4xx 404"
    assert answer("not_an_image", 200) == "not_an_image"
    assert answer("dns", None) == "dns"


@pytest.mark.parametrize(
    ("span_s", "most", "step"), [(0, 60, 1), (59, 60, 1), (60, 60, 5), (86_400, 24, 10_800)]
)
def test_steps_of_time_are_round_and_few(span_s: int, most: int, step: int) -> None:
    assert step_s(span_s, most) == step
