from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pairsieve.pipeline.fetch.client import Fetched, fetch
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

FetchOne = Callable[..., Fetched]
Options = Callable[..., Fetch]


@pytest.mark.parametrize("first", ["500", "reset", "hang-up", "429", "408"])
def test_what_may_pass_is_tried_again(site: "Site", fetch_one: FetchOne, first: str) -> None:
    for status in ("429", "408"):
        site.behaviours[status] = site.whole(b"", f"{status} Later")
    fetched = fetch_one(site.url(f"{first},ok/x"), site.port, retries=1)
    assert (fetched.outcome, fetched.attempts, fetched.body) == (Outcome.OK, 2, site.jpeg)


def test_what_fails_again_and_again_is_given_up_after_the_retries(
    site: "Site", fetch_one: FetchOne
) -> None:
    fetched = fetch_one(site.url("500"), site.port, retries=2)
    assert (fetched.outcome, fetched.attempts) == (Outcome.HTTP_5XX, 3)
    assert len(site.heads) == 3


@pytest.mark.parametrize("path", ["404", "empty", "loop", "http-0.9", "declared-large"])
def test_what_will_not_change_is_not_tried_again(
    site: "Site", fetch_one: FetchOne, path: str
) -> None:
    assert fetch_one(site.url(path), site.port, retries=3).attempts == 1


def test_another_attempt_starts_from_the_url_of_the_pair(site: "Site", fetch_one: FetchOne) -> None:
    site.behaviours["from"] = site.whole(b"", "302 Found", "Location: /500,ok/x")
    fetched = fetch_one(site.url("from"), site.port, retries=1, max_redirects=1)
    assert (fetched.outcome, fetched.attempts) == (Outcome.OK, 2)
    assert site.paths() == ["/from", "/500,ok/x", "/from", "/500,ok/x"]


@pytest.mark.parametrize("status", ["429 Later", "503 Later", "500 Later"])
def test_retry_after_holds_up_its_host_and_no_other(
    site: "Site", fetch_options: Options, status: str
) -> None:
    site.behaviours["busy"] = site.whole(b"", status, "Retry-After: 1")
    other = f"http://other.test:{site.port}/ok/2"
    urls = [site.url("busy,ok/x"), site.url("ok/1"), other]
    limits = fetch_options(
        site.port, retries=1, concurrency=1, resolve={"other.test": ("127.0.0.1",)}
    )
    results = list(fetch(urls, limits))
    assert [result.outcome for result in results] == [Outcome.OK] * 3
    assert results[0].url == other
    assert site.paths()[:2] == ["/busy,ok/x", "/ok/2"]
    waited = next(result.fetch_ms for result in results if result.url == urls[0])
    assert waited is not None
    assert waited >= 1000


def test_a_busy_host_is_held_up_longer_each_time_it_says_so(
    site: "Site", fetch_one: FetchOne
) -> None:
    site.behaviours["busy"] = site.whole(b"", "429 Later")  # without Retry-After
    fetched = fetch_one(site.url("busy,busy,busy,busy,ok/x"), site.port, retries=4)
    assert (fetched.outcome, fetched.attempts) == (Outcome.OK, 5)
    assert fetched.fetch_ms is not None
    assert fetched.fetch_ms >= 20 + 40 + 80 + 160  # BACKOFF_S of these tests, doubled


def test_retry_after_is_respected_only_up_to_a_cap(site: "Site", fetch_one: FetchOne) -> None:
    site.behaviours["busy"] = site.whole(b"", "503 Later", "Retry-After: 3600")
    fetched = fetch_one(site.url("busy,ok/x"), site.port, retries=1, retry_after_max_s=0.1)
    assert fetched.outcome is Outcome.OK
