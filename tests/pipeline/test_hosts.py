from pairsieve.pipeline.hosts import Hosts


def taken(hosts: Hosts[str], at_most: int, now: float = 1000.0) -> list[str]:
    jobs = (hosts.take(now) for _ in range(at_most))
    return [job for job in jobs if job is not None]


def test_hosts_take_turns_however_many_jobs_one_of_them_has() -> None:
    hosts: Hosts[str] = Hosts(per_host=100)
    for name in ("a1", "a2", "a3", "a4", "b1", "c1", "c2"):
        hosts.add(name[0], name)
    assert taken(hosts, 7) == ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]


def test_a_host_at_its_limit_waits_and_the_others_do_not() -> None:
    hosts: Hosts[str] = Hosts(per_host=2)
    for name in ("a1", "a2", "a3", "b1"):
        hosts.add(name[0], name)
    assert taken(hosts, 9) == ["a1", "b1", "a2"]
    hosts.leave("b")
    assert taken(hosts, 9) == []
    hosts.leave("a")
    assert taken(hosts, 9) == ["a3"]


def test_a_job_added_first_goes_before_those_that_wait() -> None:
    hosts: Hosts[str] = Hosts(per_host=9)
    hosts.add("a", "second")
    hosts.add("a", "first", first=True)
    assert taken(hosts, 9) == ["first", "second"]


def test_a_host_that_is_done_can_come_again() -> None:
    hosts: Hosts[str] = Hosts(per_host=1)
    for job in ("one", "two"):
        hosts.add("a", job)
        assert taken(hosts, 9) == [job]
        hosts.leave("a")


def test_two_places_given_back_at_once_let_two_jobs_start() -> None:
    hosts: Hosts[str] = Hosts(per_host=2)
    for job in ("1", "2", "3", "4"):
        hosts.add("a", job)
    assert taken(hosts, 9) == ["1", "2"]
    hosts.leave("a")
    hosts.leave("a")
    assert taken(hosts, 9) == ["3", "4"]
