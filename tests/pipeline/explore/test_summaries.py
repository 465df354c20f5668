from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.pipeline.explore.dataset import Finished

from pairsieve.pipeline.explore import summaries
from pairsieve.pipeline.explore.database import Database, opened


@pytest.fixture(scope="module", params=["of the statistics", "of the ledger"])
def database(finished: Finished, request: pytest.FixtureRequest) -> Iterator[Database]:
    with opened(finished.store) as opened_:
        assert opened_.counted
        yield replace(opened_, counted=request.param == "of the statistics")


def test_the_largest_clusters_come_first_and_keepers_before_copies(database: Database) -> None:
    found = summaries.clusters(database, 3)
    assert [(row["cluster"], row["pairs"], row["farthest"]) for row in found] == [
        (0, 4, 3),
        (1, 4, 3),
        (2, 4, 3),
    ]
    assert [
        (row["row"], row["keeper"], row["duplicate_distance"])
        for row in summaries.members(database, 1, 3)
    ] == [(1, True, None), (11, False, 3), (21, False, 3)]


def test_what_many_hosts_show_under_unrelated_captions_is_likely_a_placeholder(
    database: Database,
) -> None:
    (found,) = summaries.placeholders(database, 5)
    assert (found["cluster"], found["pairs"], found["hosts"], found["captions"]) == (2, 4, 6, 7)


def test_hosts_that_share_pictures_are_those_of_the_clusters(database: Database) -> None:
    counted = database.rows(
        "SELECT a.host, b.host AS other, count(DISTINCT cluster) AS pictures FROM ledger AS a "
        "JOIN ledger AS b USING (cluster) WHERE a.host < b.host GROUP BY ALL ORDER BY ALL"
    )
    found = summaries.hosts_sharing(database, 100)
    told = sorted(({k: row[k] for k in ("host", "other", "pictures")} for row in found), key=repr)
    assert told == (sorted(counted, key=repr) if database.counted else [])
    assert counted


def test_outcomes_say_what_they_mean(database: Database) -> None:
    ok, failed = summaries.outcomes(database)
    assert (ok["outcome"], ok["pairs"]) == ("ok", 540)
    assert (failed["outcome"], failed["pairs"], failed["may_pass"]) == ("http_4xx", 60, False)
    assert failed["example"] == "not found"
    assert failed["meaning"].startswith("The server answered 4xx")


def test_hosts_that_fail_most_come_first(database: Database) -> None:
    hosts = summaries.failing_hosts(database, 5)
    assert hosts[0] == {"host": "b.example", "failed": 60, "pairs": 288, "most_often": "http_4xx"}
    assert len(hosts) == 1


def test_failures_over_time_are_in_steps_that_suit_the_span(database: Database) -> None:
    """Ten minutes in at most sixty steps: of ten seconds there are sixty and a bit, so thirty."""
    found = summaries.over_time(database)
    starts = sorted({row["start"] for row in found})
    steps = {(b - a).total_seconds() for a, b in zip(starts, starts[1:], strict=False)}
    assert len(steps) == 1
    assert sum(row["pairs"] for row in found) == 600
    assert str(starts[0]) <= "2026-01-02 03:04:00"
    assert len(starts) <= summaries.STEPS
