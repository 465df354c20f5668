"""`profile` against servers on loopback: what it asks, what it tells, and what it proposes."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.jobs.conftest import command
from tests.pipeline.conftest import JPEG, Site, whole

from pairsieve.jobs.estimate.paces_file import with_paces
from pairsieve.jobs.profile.asking import Answers
from pairsieve.jobs.profile.paces import as_recipe, propose
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Fetch, Recipe

FETCH = Fetch(user_agent="test (+mailto:test@example.org)")
SLOW = b"User-agent: *\nCrawl-delay: 0.1\nDisallow: /404/\n"
OPTED_OUT = whole(JPEG, "200 OK", "X-Robots-Tag: noai")


def answers(**changes: Any) -> Answers:
    plain = Answers("a.example", 8_640_000, {}, {}, 0, {}, 0.05, 9, {}, {}, 0)
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("changes", "most", "per_s", "because", "is_new"),
    [
        ({}, None, 10, "recipe", False),
        ({"latency_s": None}, None, 10, "recipe", False),
        ({}, 50.0, 20, "latency", True),  # one request of 50 ms under way
        ({"latency_s": 0.3}, None, 3.3, "latency", True),
        ({"delay_s": 30.0}, 50.0, 0.033, "crawl delay", True),
        ({"busy": 1}, 50.0, 5, "asked too much", True),
        ({"latency_s": 0.001}, 50.0, 50, "limit", True),
        ({"delay_s": 1e6}, None, 0.001, "crawl delay", True),
    ],
)
def test_the_slowest_bound_is_the_pace(
    changes: dict[str, Any], most: float | None, per_s: float, because: str, is_new: bool
) -> None:
    pace = propose(answers(**changes), FETCH, most)
    assert (pace.per_s, pace.because, pace.is_new) == (per_s, because, is_new)


def test_days_are_those_of_all_pairs_of_the_host() -> None:
    assert propose(answers(), FETCH).days == 10  # 8,640,000 pairs at 10 per second


def test_the_pace_of_a_recipe_is_shown_as_it_is() -> None:
    pace = propose(answers(), FETCH.model_copy(update={"per_host_per_s": 1.25}))
    assert (pace.per_s, pace.because) == (1.25, "recipe")


def test_only_new_paces_are_written_and_a_recipe_takes_them() -> None:
    paces = [propose(answers(), FETCH), propose(answers(host="[::1]", delay_s=4.0), FETCH)]
    assert as_recipe(paces) == {"fetch": {"hosts": {"[::1]": {"per_s": 0.25}}}}
    assert as_recipe(paces[:1]) == {}


@pytest.fixture
def sites() -> Iterator[list[Site]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Site(f"127.0.0.{n}"))) for n in (1, 2, 3)]


@pytest.fixture
def recipe(tmp_path: Path, sites: list[Site]) -> Path:
    """Write a recipe of a host with a Crawl-delay, one that opts out and one that is overrun."""
    slow, opted_out, busy = sites
    slow.behaviours["robots.txt"] = whole(SLOW)
    opted_out.behaviours |= {"robots.txt": whole(b""), "png": OPTED_OUT}
    busy.behaviours |= {"robots.txt": whole(b""), "busy": whole(b"", "429 Too Many")}
    urls = [slow.url(f"ok/{n}") for n in range(4)] + [slow.url("404/1")] * 5
    urls += [opted_out.url(f"png/{n}") for n in range(5)] + [busy.url(f"busy/{n}") for n in "ab"]
    table = {"url": [*urls, "nonsense", None], "text": ["t"] * (len(urls) + 2)}
    pq.write_table(pa.table(table), tmp_path / "pairs.parquet")
    fetch = {
        "user_agent": "test (+mailto:test@example.org)",
        "per_host_per_s": 50,
        "allow_networks": ["127.0.0.0/8"],
        "ports": [site.port for site in sites],
    }
    content = {"input": {"path": str(tmp_path / "pairs.parquet")}, "fetch": fetch}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_hosts_are_asked_as_the_recipe_says_and_told_of(
    recipe: Path, sites: list[Site], tmp_path: Path
) -> None:
    asked = ("--requests", "5", "--hosts", "3", "--json", "--out", str(tmp_path / "paces.yaml"))
    done = command("profile", recipe, *asked)
    assert done.returncode == 0, done.stderr
    slow, opted_out, busy = json.loads(done.stdout)
    assert [one["pairs"] for one in (slow, opted_out, busy)] == [9, 5, 2]
    assert slow["outcomes"] == {"ok": 4, "robots": 1}
    assert (slow["delay_s"], slow["per_s"], slow["because"]) == (0.1, 10, "crawl delay")
    assert (slow["kinds"], slow["http_versions"]) == ({"jpeg": 4}, {"1.1": 4})
    assert (slow["size_bytes"], slow["statuses"]) == (len(JPEG), {"200": 4})
    assert opted_out["opt_outs"] == {"x_robots_tag": 5}
    assert (busy["busy"], busy["statuses"], busy["per_s"]) == (2, {"429": 2}, 25)
    assert Counter(path.split("/")[1] for path in sites[0].paths()) == {
        "robots.txt": 1,
        ".well-known": 1,
        "ok": 4,
    }
    assert len(sites[2].paths()) == 4  # no second attempt
    written = yaml.safe_load((tmp_path / "paces.yaml").read_text())
    assert written["fetch"]["hosts"]["127.0.0.1"] == {"per_s": 10.0}


def test_the_table_fits_and_ends_with_what_the_recipe_may_have(recipe: Path) -> None:
    done = command("profile", recipe, "--requests", "1", "--hosts", "3")
    assert done.returncode == 0, done.stderr
    assert "asked too much" in " ".join(done.stdout.split())
    proposed = yaml.safe_load(done.stdout.partition("Paces for the recipe:")[2])
    assert proposed["fetch"]["hosts"]["127.0.0.3"] == {"per_s": 25.0}


def test_a_host_has_the_name_that_a_recipe_gives_it(recipe: Path) -> None:
    urls = ["http://Bücher.example./a", "http://b\u00fccher.example./b"]
    pq.write_table(pa.table({"url": urls, "text": ["a", "b"]}), recipe.parent / "pairs.parquet")
    content = yaml.safe_load(recipe.read_text())
    content["fetch"]["resolve"] = {"xn--bcher-kva.example": ["127.0.0.9"]}
    recipe.write_text(yaml.safe_dump(content))
    (told,) = json.loads(command("profile", recipe, "--json").stdout)
    assert (told["host"], told["pairs"]) == ("xn--bcher-kva.example", 2)


def test_what_is_on_the_blocklist_is_not_requested(recipe: Path, sites: list[Site]) -> None:
    listed = recipe.parent / "blocked.txt"
    listed.write_text("host 127.0.0.1\n")
    content = yaml.safe_load(recipe.read_text()) | {"blocklist": {"files": [str(listed)]}}
    recipe.write_text(yaml.safe_dump(content))
    told = json.loads(command("profile", recipe, "--hosts", "1", "--json").stdout)
    assert told[0]["outcomes"] == {"blocklist": 5}
    assert sites[0].heads == []


def test_addresses_that_the_recipe_does_not_allow_are_not_reached(
    recipe: Path, sites: list[Site]
) -> None:
    content = yaml.safe_load(recipe.read_text())
    del content["fetch"]["allow_networks"]
    recipe.write_text(yaml.safe_dump(content))
    told = json.loads(command("profile", recipe, "--hosts", "3", "--json").stdout)
    assert {name for one in told for name in one["outcomes"]} == {"blocked_address"}
    assert not any(site.connections for site in sites)


def test_wrong_uses_are_refused(recipe: Path, tmp_path: Path, sites: list[Site]) -> None:
    content = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump({"input": content["input"]}))
    assert "fetch: missing" in command("profile", recipe).stderr
    pq.write_table(pa.table({"url": ["", "x"], "text": ["a", "b"]}), tmp_path / "pairs.parquet")
    recipe.write_text(yaml.safe_dump(content))
    assert "no URL that could be asked for" in command("profile", recipe).stderr
    (tmp_path / "there.yaml").touch()
    done = command("profile", recipe, "--out", tmp_path / "there.yaml")
    assert "--out" in done.stderr
    assert not any(site.connections for site in sites)


def test_estimate_takes_the_paces_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "paces.yaml"
    path.write_text("fetch: {hosts: {a.example: {per_s: 2}, b.example: {per_s: 3}}}")
    content = {
        "input": {"path": "p"},
        "fetch": FETCH.model_dump() | {"hosts": {"a.example": {"per_s": 9}}},
    }
    changed = with_paces(Recipe.model_validate(content), path)
    assert changed.fetch
    assert {host: pace.per_s for host, pace in changed.fetch.hosts.items()} == {
        "a.example": 2,
        "b.example": 3,
    }
    path.write_text("{}\n")
    assert with_paces(Recipe.model_validate(content), path) == Recipe.model_validate(content)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fetch: [", "cannot be read"),
        ("[1]", "more or else than"),
        ("fetch: {user_agent: x}", "more or else than"),
        ("fetch: {hosts: {A.example: {per_s: 2}}}", "fetch.hosts: .*'A.example' is no host name"),
        ("fetch: {hosts: {a.example: {per_s: 0}}}", "fetch.hosts.a.example.per_s: .*0.001"),
    ],
)
def test_a_file_without_paces_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "paces.yaml").write_text(text)
    recipe = Recipe.model_validate({"input": {"path": "p"}, "fetch": FETCH.model_dump()})
    with pytest.raises(BadOption, match=f"--paces: .*{says}"):
        with_paces(recipe, tmp_path / "paces.yaml")
    with pytest.raises(BadOption, match="the recipe has no `fetch`"):
        with_paces(recipe.model_copy(update={"fetch": None}), tmp_path / "paces.yaml")
