import socket
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pairsieve.pipeline.fetch.client import Fetched, Shared, fetch
from pairsieve.pipeline.rights.robots import RulesCache
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

Options = Callable[..., Fetch]
RULES = b"User-agent: *\nDisallow: /no/\n"


@pytest.fixture
def obey(fetch_options: Options) -> Callable[..., dict[str, Fetched]]:
    """Return a function that fetches URLs under robots.txt and gives what each path gave."""

    def several(
        site: "Site", *paths: str, shared: Shared | None = None, **changes: Any
    ) -> dict[str, Fetched]:
        urls = {site.url(path): path for path in paths}
        options = fetch_options(site.port, robots="obey", **changes)
        return {urls[fetched.url]: fetched for fetched in fetch(urls, options, shared)}

    return several


Obey = Callable[..., dict[str, Fetched]]


def requests_of_robots(site: "Site") -> int:
    return site.paths().count("/robots.txt")


def test_what_a_site_forbids_is_not_requested(site: "Site", obey: Obey) -> None:
    site.behaviours |= {"robots.txt": site.whole(RULES), "no": site.whole()}
    results = obey(site, "no/1", "no/2", "ok/1", "ok/2")
    assert {path: fetched.outcome for path, fetched in results.items()} == {
        "no/1": Outcome.ROBOTS,
        "no/2": Outcome.ROBOTS,
        "ok/1": Outcome.OK,
        "ok/2": Outcome.OK,
    }
    assert (results["no/1"].attempts, results["no/1"].final_url) == (0, None)
    assert site.paths()[0] == "/robots.txt"
    assert Counter(site.paths()) == Counter(["/robots.txt", "/ok/1", "/ok/2"])


@pytest.mark.parametrize(
    "path",
    [
        "ok/../no/1",
        "ok/%2E%2e/no/1",
        "./no/1",
        "no\\1",
        "n\to/1",
        "%6eo/1",
        "no/1#",
        "no/?/../..",
    ],
)
def test_no_spelling_gets_round_what_a_site_forbids(site: "Site", obey: Obey, path: str) -> None:
    site.behaviours |= {"robots.txt": site.whole(RULES), "%6eo": site.whole()}
    site.behaviours["from"] = site.whole(b"", "302 Found", "Location: \\ok\\..\\no\\1")
    results = obey(site, path, "from")
    assert [fetched.outcome for fetched in results.values()] == [Outcome.ROBOTS] * 2
    assert site.paths() == ["/robots.txt", "/from"]


def test_a_recipe_may_ignore_robots_txt_which_is_not_requested_then(
    site: "Site", fetch_options: Options
) -> None:
    site.behaviours |= {"robots.txt": site.whole(RULES), "no": site.whole()}
    (fetched,) = fetch([site.url("no/1")], fetch_options(site.port, robots="ignore"))
    assert fetched.outcome is Outcome.OK
    assert requests_of_robots(site) == 0


def test_a_robots_txt_is_requested_once_in_a_day_also_for_other_units(
    site: "Site", obey: Obey
) -> None:
    site.behaviours["robots.txt"] = site.whole(RULES)
    shared = Shared()
    for number in range(3):
        obey(site, f"ok/{number}", shared=shared)
    assert requests_of_robots(site) == 1
    obey(site, "ok/4", shared=Shared(rules_cache=RulesCache(fresh_s=-1)))  # stale at once
    assert requests_of_robots(site) >= 2


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("404", Outcome.OK),
        ("204", Outcome.OK),
        ("empty", Outcome.OK),
        ("loop", Outcome.OK),
        ("bad-redirect", Outcome.OK),
        ("500", Outcome.HTTP_5XX),
        ("429", Outcome.HTTP_4XX),
        ("999", Outcome.HTTP_OTHER),
        ("reset", Outcome.INTERRUPTED),
        ("short", Outcome.INTERRUPTED),
        ("hang-up", Outcome.INTERRUPTED),
        ("silent", Outcome.TIMEOUT_FIRST_BYTE),
        ("slow-body", Outcome.TIMEOUT_TOTAL),
        ("http-0.9", Outcome.BAD_RESPONSE),
        ("header-flood", Outcome.TOO_LARGE),
    ],
)
def test_no_file_allows_everything_and_an_unreachable_one_nothing(
    site: "Site", obey: Obey, path: str, outcome: Outcome
) -> None:
    site.behaviours |= {"429": site.whole(b"", "429 Later")}
    site.behaviours["robots.txt"] = site.behaviours[path]
    results = obey(site, "ok/1", "ok/2", timeout_s=0.6, first_byte_timeout_s=0.3)
    assert [fetched.outcome for fetched in results.values()] == [outcome] * 2
    if outcome is not Outcome.OK:
        assert all((fetched.detail or "").startswith("robots.txt") for fetched in results.values())
        assert "/ok/1" not in site.paths()


def test_asking_for_robots_txt_is_tried_again(site: "Site", obey: Obey) -> None:
    site.behaviours["robots.txt"] = site.whole(b"", "302 Found", "Location: /500,rules/x")
    site.behaviours["rules"] = site.whole(RULES)
    results = obey(site, "no/1", "ok/1", retries=1)
    assert [fetched.outcome for fetched in results.values()] == [Outcome.ROBOTS, Outcome.OK]


def test_a_site_that_refuses_connections_is_told_as_that(fetch_options: Options) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = fetch_options(port, robots="obey")
    (fetched,) = fetch([f"http://127.0.0.1:{port}/a"], options)
    assert (fetched.outcome, fetched.attempts) == (Outcome.REFUSED, 0)


def test_a_redirect_obeys_the_robots_txt_of_the_site_it_leads_to(site: "Site", obey: Obey) -> None:
    other = f"http://other.test:{site.port}"
    site.behaviours["robots.txt"] = site.whole(RULES)
    site.behaviours["away"] = site.whole(b"", "302 Found", f"Location: {other}/no/1")
    site.behaviours["fine"] = site.whole(b"", "302 Found", f"Location: {other}/ok/1")
    results = obey(site, "away", "fine", resolve={"other.test": ("127.0.0.1",)})
    assert results["away"].outcome is Outcome.ROBOTS
    assert results["away"].detail == f"{other}/robots.txt"
    assert results["fine"].outcome is Outcome.OK
    assert requests_of_robots(site) == 2


def test_only_so_much_of_a_large_file_is_read(site: "Site", obey: Obey) -> None:
    rest = b"# filling\n" * 60_000
    site.behaviours["robots.txt"] = site.whole(RULES + rest + b"Disallow: /ok/\n")
    results = obey(site, "no/1", "ok/1", max_bytes=10_000)
    assert [fetched.outcome for fetched in results.values()] == [Outcome.ROBOTS, Outcome.OK]


def test_a_crawl_delay_spaces_the_requests_up_to_a_cap(site: "Site", obey: Obey) -> None:
    site.behaviours["robots.txt"] = site.whole(b"User-agent: *\nCrawl-delay: 3600\n")
    results = obey(site, "ok/1", "ok/2", "ok/3", crawl_delay_max_s=0.3)
    ends = sorted(fetched.fetched_at or 0 for fetched in results.values())
    assert ends[2] - ends[0] >= 590  # ms
    for fetched in obey(site, "ok/4", "ok/5", crawl_delay_max_s=0.3).values():  # another unit
        ends.append(fetched.fetched_at or 0)
    assert max(ends) - min(ends[3:]) >= 290


def test_asking_for_robots_txt_is_counted(site: "Site", fetch_options: Options) -> None:
    sent: Counter[tuple[str, int]] = Counter()
    site.behaviours["robots.txt"] = site.whole(b"", "302 Found", "Location: /404")
    list(fetch([site.url("ok/1")], fetch_options(site.port, robots="obey"), sent=sent))
    assert sent.total() == len(site.heads) == 3
