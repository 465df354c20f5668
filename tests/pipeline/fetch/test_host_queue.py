import math
from typing import Any

import pytest

from pairsieve.pipeline.fetch.host_queue import HostQueue
from pairsieve.schemas.recipe import Fetch


def taken(hosts: HostQueue[str], at_most: int, now: float = 1000.0) -> list[str]:
    jobs = (hosts.take(now) for _ in range(at_most))
    return [job for job in jobs if job is not None]


def test_hosts_take_turns_however_many_jobs_one_of_them_has() -> None:
    hosts: HostQueue[str] = HostQueue(per_host=100)
    for name in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
        hosts.add(name[0], name)
    assert taken(hosts, 7) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_a_host_at_its_limit_waits_and_the_others_do_not() -> None:
    hosts: HostQueue[str] = HostQueue(per_host=2)
    for name in ("a1", "a2", "a3", "b1"):
        hosts.add(name[0], name)
    assert taken(hosts, 9) == ["a1", "b1", "a2"]
    hosts.release("b")
    assert taken(hosts, 9) == []
    hosts.release("a")
    assert taken(hosts, 9) == ["a3"]


def test_a_job_added_first_goes_before_those_that_wait() -> None:
    hosts: HostQueue[str] = HostQueue(per_host=9)
    hosts.add("a", "second")
    hosts.add("a", "first", first=True)
    assert taken(hosts, 9) == ["first", "second"]


def test_a_host_that_is_done_can_come_again() -> None:
    hosts: HostQueue[str] = HostQueue(per_host=1)
    for job in ("one", "two"):
        hosts.add("a", job)
        assert taken(hosts, 9) == [job]
        hosts.release("a")


def test_two_places_given_back_at_once_let_two_jobs_start() -> None:
    hosts: HostQueue[str] = HostQueue(per_host=2)
    for job in ("1", "2", "3", "4"):
        hosts.add("a", job)
    assert taken(hosts, 9) == ["1", "2"]
    hosts.release("a")
    hosts.release("a")
    assert taken(hosts, 9) == ["3", "4"]


def times(hosts: HostQueue[str], jobs: int, start: float = 1000.0) -> list[float]:
    """Return when each of the jobs is taken by someone who looks every 10 ms."""
    starts: list[float] = []
    now = start
    while len(starts) < jobs:
        while hosts.take(now):
            starts.append(now)
        now += 0.01
    return starts


@pytest.mark.parametrize("per_s", [0.5, 1, 3, 10, 15, 25, 50, 200])
def test_no_second_sees_more_than_the_rate_and_the_rate_is_used(per_s: float) -> None:
    hosts: HostQueue[str] = HostQueue(1000, per_s)
    jobs = int(4 * per_s) + 2
    for number in range(jobs):
        hosts.add("a", str(number))
    starts = times(hosts, jobs)
    for start in starts:
        assert sum(start <= time < start + 1 - 1e-6 for time in starts) <= math.ceil(per_s)
    assert starts[-1] - starts[0] <= 1.2 * jobs / per_s


def test_a_rate_holds_up_its_host_alone_and_says_when_it_is_due() -> None:
    hosts: HostQueue[str] = HostQueue(9, per_s=2)
    for job in ("a1", "a2", "b1"):
        hosts.add(job[0], job)
    assert taken(hosts, 9) == ["a1", "b1"]
    assert hosts.next_due() == pytest.approx(1000.5)
    assert taken(hosts, 9, now=1000.49) == []
    assert taken(hosts, 9, now=1000.5) == ["a2"]


def test_a_host_on_hold_waits_whatever_else_it_has() -> None:
    hosts: HostQueue[str] = HostQueue(9)
    for job in ("a1", "a2", "b1"):
        hosts.add(job[0], job)
    hosts.back_off("a", 1007)
    hosts.back_off("a", 1003)  # the later one counts
    assert taken(hosts, 9) == ["b1"]
    assert taken(hosts, 9, now=1006.9) == []
    assert taken(hosts, 9, now=1007) == ["a1", "a2"]


def test_a_slower_pace_counts_from_the_last_request_and_is_never_a_faster_one() -> None:
    hosts: HostQueue[str] = HostQueue(9, per_s=1)
    for job in ("1", "2", "3"):
        hosts.add("a", job)
    assert taken(hosts, 9) == ["1"]
    hosts.slow_down("a", 5)
    hosts.slow_down("a", 0.1)
    assert taken(hosts, 9, now=1004.9) == []
    assert taken(hosts, 9, now=1005) == ["2"]
    assert taken(hosts, 9, now=1009.9) == []


def test_a_host_whose_time_has_come_goes_before_one_that_has_not_begun() -> None:
    hosts: HostQueue[str] = HostQueue(9, per_s=1)
    for job in ("a1", "a2", "b1", "c1"):
        hosts.add(job[0], job)
    assert taken(hosts, 1) == ["a1"]
    assert taken(hosts, 9, now=1001) == ["a2", "b1", "c1"]


def test_withdrawn_jobs_wait_no_more() -> None:
    hosts: HostQueue[str] = HostQueue(9)
    for job in ("1", "2", "3"):
        hosts.add("a", job)
    assert hosts.withdraw("a", lambda job: job != "2") == ["1", "3"]
    assert taken(hosts, 9) == ["2"]


def test_jobs_are_discarded_and_hosts_forgotten_of_which_nothing_need_be_known() -> None:
    hosts: HostQueue[str] = HostQueue(per_host=1)
    for name in ("a1", "a2", "b1", "c1"):
        hosts.add(name[0], name)
    hosts.back_off("d", 2000.0)
    assert taken(hosts, 9) == ["a1", "b1", "c1"]
    hosts.release("b")
    hosts.discard(lambda job: job == "a2", now=1001.0)
    assert set(hosts._hosts) == {"a", "c", "d"}  # under way, under way, backed off
    hosts.release("a")
    hosts.release("c")
    assert taken(hosts, 9) == []
    hosts.discard(lambda job: True, now=2001.0)
    assert not hosts._hosts


def options(**changes: Any) -> Fetch:
    pace = {"per_host_per_s": 4, "per_host_connections": 6}
    return Fetch(user_agent="me/1 (+mailto:me@example.org)", **pace | changes)


def test_a_host_with_a_pace_of_its_own_keeps_it_and_the_others_theirs() -> None:
    own = {"slow": {"per_s": 1}, "fast": {"per_s": 8}}
    for name, spacing in (("slow", 1.0), ("fast", 0.125), ("other", 0.25)):
        hosts: HostQueue[str] = HostQueue.of(options(hosts=own), 1)
        for number in range(4):
            hosts.add(name, str(number))
        starts = times(hosts, 4)
        assert starts[3] - starts[0] == pytest.approx(3 * spacing, abs=0.04)


def test_slots_of_its_own_are_shared_among_processes_and_a_key_left_out_is_as_for_all() -> None:
    fetch = options(hosts={"few": {"connections": 2}, "rate": {"per_s": 10}}, per_host_per_s=1000)
    for among, name, at_once in ((1, "few", 2), (2, "few", 1), (1, "other", 6), (3, "other", 2)):
        hosts: HostQueue[str] = HostQueue.of(fetch, among)
        for number in range(9):
            hosts.add(name, str(number))
        assert len(taken(hosts, 9)) == at_once


def test_a_crawl_delay_slows_down_a_host_that_has_a_higher_pace_of_its_own() -> None:
    hosts: HostQueue[str] = HostQueue.of(options(hosts={"a": {"per_s": 100}}), 1)
    hosts.add("a", "1")
    hosts.slow_down("a", 2.0)
    hosts.add("a", "2")
    assert times(hosts, 2)[1] >= 1002
