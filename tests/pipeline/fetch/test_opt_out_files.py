import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pairsieve.pipeline.fetch.client import Fetched, Shared, fetch
from pairsieve.pipeline.rights.robots import RulesCache
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_opt_outs import Form, OptOuts

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

RESERVED = (
    b'[{"location": "/ok/no", "tdm-reservation": 1}, {"location": "/", "tdm-reservation": 0}]'
)
TDMREP = "/.well-known/tdmrep.json"


@pytest.fixture
def obey(fetch_options: Callable[..., Fetch]) -> Callable[..., dict[str, Fetched]]:
    """Return a function that fetches paths of a site and gives what each gave."""

    def several(
        site: "Site",
        *paths: str,
        opt_outs: OptOuts | None = None,
        shared: Shared | None = None,
        **changes: Any,
    ) -> dict[str, Fetched]:
        urls = {site.url(path): path for path in paths}
        options = fetch_options(site.port, **({"robots": "obey"} | changes))
        found = fetch(urls, options, shared, opt_outs=opt_outs or OptOuts())
        return {urls[fetched.url]: fetched for fetched in found}

    return several


Obey = Callable[..., dict[str, Fetched]]


def test_what_a_robots_txt_does_not_want_trained_on_is_not_requested(
    site: "Site", obey: Obey
) -> None:
    lines = b"User-agent: *\nContent-Usage: /ok/no train-ai=n\nAllow: /\n"
    site.behaviours["robots.txt"] = site.whole(lines)
    before = int(time.time() * 1000)
    results = obey(site, "ok/no", "ok/yes")
    assert {path: f.outcome for path, f in results.items()} == {
        "ok/no": Outcome.OPT_OUT,
        "ok/yes": Outcome.OK,
    }
    (found,) = results["ok/no"].opt_outs
    assert results["ok/no"].detail == found.evidence
    assert found.evidence == (
        f"Content-Usage: /ok/no train-ai=n (http://127.0.0.1:{site.port}/robots.txt)"
    )
    assert (found.read_at or 0) >= before
    assert site.paths() == ["/robots.txt", TDMREP, "/ok/yes"]


def test_a_tdmrep_json_is_requested_once_also_for_other_units(site: "Site", obey: Obey) -> None:
    site.behaviours |= {"robots.txt": site.whole(b""), ".well-known": site.whole(RESERVED)}
    shared = Shared()
    results = obey(site, "ok/no/1", "ok/2", shared=shared) | obey(site, "ok/no/3", shared=shared)
    assert {path: fetched.outcome for path, fetched in results.items()} == {
        "ok/no/1": Outcome.TDM_RESERVED,
        "ok/2": Outcome.OK,
        "ok/no/3": Outcome.TDM_RESERVED,
    }
    assert site.paths() == ["/robots.txt", TDMREP, "/ok/2"]


@pytest.mark.parametrize("behaviour", ["404", "500", "ok", "loop", "empty", "http-0.9"])
def test_a_tdmrep_json_that_cannot_be_had_reserves_nothing(
    site: "Site", obey: Obey, behaviour: str
) -> None:
    site.behaviours |= {"robots.txt": site.whole(b""), ".well-known": site.behaviours[behaviour]}
    assert obey(site, "ok/1")["ok/1"].outcome is Outcome.OK


def test_a_robots_txt_may_forbid_to_ask_for_a_tdmrep_json(site: "Site", obey: Obey) -> None:
    lines = b"User-agent: *\nDisallow: /.well-known/\n"
    site.behaviours |= {"robots.txt": site.whole(lines), ".well-known": site.whole(RESERVED)}
    assert obey(site, "ok/no")["ok/no"].outcome is Outcome.OK
    assert TDMREP not in site.paths()


def test_a_tdmrep_json_counts_without_robots_txt(site: "Site", obey: Obey) -> None:
    site.behaviours[".well-known"] = site.whole(RESERVED)
    results = obey(site, "ok/no", robots="ignore")
    assert results["ok/no"].outcome is Outcome.TDM_RESERVED
    assert site.paths() == [TDMREP]


def test_a_redirect_obeys_the_files_of_the_site_it_leads_to(site: "Site", obey: Obey) -> None:
    location = f"Location: http://other.test:{site.port}/ok/no"
    site.behaviours |= {"robots.txt": site.whole(b""), ".well-known": site.whole(RESERVED)}
    site.behaviours["away"] = site.whole(b"", "302 Found", location)
    results = obey(site, "away", resolve={"other.test": ("127.0.0.1",)})
    assert results["away"].outcome is Outcome.TDM_RESERVED
    assert f"http://other.test:{site.port}{TDMREP}" in (results["away"].detail or "")


def test_what_is_not_obeyed_is_kept_and_a_file_for_it_is_not_requested(
    site: "Site", obey: Obey
) -> None:
    lines = b"User-agent: *\nContent-Signal: ai-train=no\n"
    site.behaviours |= {"robots.txt": site.whole(lines), ".well-known": site.whole(RESERVED)}
    site.behaviours["out"] = site.whole(site.jpeg, "200 OK", "X-Robots-Tag: noai")
    opt_outs = OptOuts(obey=(Form.TDM_RESERVATION,))
    fetched = obey(site, "out", opt_outs=opt_outs)["out"]
    assert fetched.outcome is Outcome.OK
    assert [found.form for found in fetched.opt_outs] == [Form.CONTENT_SIGNAL, Form.X_ROBOTS_TAG]
    assert TDMREP not in site.paths()


def test_a_header_that_allows_takes_back_nothing(site: "Site", obey: Obey) -> None:
    site.behaviours["robots.txt"] = site.whole(b"User-agent: *\nContent-Usage: / train-ai=n\n")
    site.behaviours["out"] = site.whole(site.jpeg, "200 OK", "Content-Usage: train-ai=y")
    assert obey(site, "out")["out"].outcome is Outcome.OPT_OUT


def test_a_full_cache_makes_no_site_wait_for_ever(
    site: "Site", obey: Obey, fetch_options: Callable[..., Fetch]
) -> None:
    names = {f"{letter}.test": ("127.0.0.1",) for letter in "abcdef"}
    site.behaviours |= {"robots.txt": site.whole(b""), ".well-known": site.whole(RESERVED)}
    options = fetch_options(site.port, robots="obey", resolve=names)
    urls = [f"http://{name}:{site.port}/ok/{path}" for name in names for path in ("no", "yes")]
    shared = Shared(rules_cache=RulesCache(kept_bytes=1, fresh_s=-1))
    found = {
        fetched.url: fetched.outcome for fetched in fetch(urls, options, shared, opt_outs=OptOuts())
    }
    assert {url[-2:]: outcome for url, outcome in found.items()} == {
        "no": Outcome.TDM_RESERVED,
        "es": Outcome.OK,
    }
    assert len(found) == len(urls)
    assert site.paths().count(TDMREP) == site.paths().count("/robots.txt") == len(names)
