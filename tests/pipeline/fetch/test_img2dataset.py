"""img2dataset's downloader as engine: run for real in its own environment, against loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import pairsieve
from pairsieve.jobs.bench.alternate import img2dataset_python
from pairsieve.pipeline.fetch.img2dataset import outcome_of
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

PROGRAM = """
import json, sys
requested = []
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        requested.append(str(arguments[1][0] if event == "socket.connect" else arguments[0]))
sys.addaudithook(note)
from pairsieve.pipeline.fetch.img2dataset import fetch
from pairsieve.schemas.recipe import Fetch
job = json.load(sys.stdin)
results = list(fetch(job["urls"], Fetch(**job["options"])))
keys = ("url", "outcome", "detail", "http_status", "attempts")
rows = [{key: getattr(each, key) for key in keys} | {"bytes": len(each.body)} for each in results]
print(json.dumps({"rows": rows, "requested": requested}))
"""
AGENT = "test/1 (+mailto:a@example.org)"
SOURCE = Path(pairsieve.__file__).parents[1]


def fetched(urls: list[str], *ports: int, **changes: Any) -> dict[str, Any]:
    """Run the engine in img2dataset's environment; return its rows and every address requested."""
    options = {
        "engine": "img2dataset",
        "robots": "ignore",
        "user_agent": AGENT,
        "allow_networks": ["127.0.0.1/32"],
        "ports": ports,
        "retries": 0,
        "timeout_s": 2,
        "concurrency": 4,
    }
    done = subprocess.run(
        [str(img2dataset_python(None)), "-c", PROGRAM],
        input=json.dumps({"urls": urls, "options": options | changes}),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_every_url_gets_one_outcome_and_only_the_server_saw_requests(site: Any) -> None:
    expected = {
        "ok": "ok",
        "203": "ok",
        "404": "http_4xx",
        "500": "http_5xx",
        "304": "http_other",
        "204": "empty",
        "empty": "empty",
        "loop": "too_many_redirects",
        "short": "interrupted",
        "hang-up": "interrupted",
        "silent": "timeout_total",
        "http-0.9": "bad_response",
    }
    urls = [site.url(path) for path in expected]
    found = fetched([*urls, urls[0], "ftp://127.0.0.1/x", "no url"], site.port)
    outcomes = [(row["url"], row["outcome"]) for row in found["rows"]]
    expected_rows = {site.url(path): outcome for path, outcome in expected.items()}
    expected_rows |= {"ftp://127.0.0.1/x": "blocked_scheme", "no url": "no_url"}
    assert sorted(outcomes) == sorted(expected_rows.items())
    assert set(found["requested"]) == {"127.0.0.1"}
    assert [row["http_status"] for row in found["rows"] if row["outcome"] == "http_4xx"] == [404]
    assert [row["bytes"] for row in found["rows"] if row["url"] == urls[0]] == [len(site.jpeg)]


def test_an_address_that_is_not_allowed_is_never_connected_to(site: Any) -> None:
    urls = [
        site.url("ok"),
        f"http://localhost:{site.port}/ok",
        f"http://2130706433:{site.port}/ok",
        f"http://[::ffff:127.0.0.1]:{site.port}/ok",
    ]
    rows = fetched(urls, site.port, allow_networks=[])["rows"]
    assert [row["outcome"] for row in rows] == ["blocked_address"] * 4
    assert all("not on the public web" in row["detail"] for row in rows)
    assert site.connections == 0


def test_a_redirect_leads_to_allowed_addresses_ports_and_schemes_only(site: Any) -> None:
    for name, location in (
        ("address", f"http://127.0.0.2:{site.port}/ok"),
        ("port", "http://127.0.0.1:1/ok"),
        ("ftp", "ftp://127.0.0.1/ok"),
        ("gopher", "gopher://127.0.0.1/ok"),
    ):
        site.behaviours[name] = site.whole(b"", "302 Found", f"Location: {location}")
    names = ("address", "port", "ftp", "gopher")
    rows = fetched([site.url(name) for name in names], site.port)["rows"]
    found = {row["url"]: row["outcome"] for row in rows}
    assert [found[site.url(name)] for name in names] == [
        "blocked_address",
        "blocked_address",
        "blocked_scheme",
        "blocked_scheme",
    ]


def test_the_environments_proxy_is_not_asked(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    (row,) = fetched([site.url("ok")], site.port)["rows"]
    assert row["outcome"] == "ok"


def test_an_opt_out_is_obeyed(site: Any) -> None:
    site.behaviours["noai"] = site.whole(site.jpeg, "200 OK", "X-Robots-Tag: noai")
    (row,) = fetched([site.url("noai")], site.port)["rows"]
    assert (row["outcome"], row["bytes"]) == ("opt_out", 0)


def test_only_what_may_pass_is_tried_again(site: Any) -> None:
    rows = fetched([site.url("500,ok"), site.url("404")], site.port, retries=2)["rows"]
    tried = {row["url"]: (row["outcome"], row["attempts"]) for row in rows}
    assert tried == {site.url("500,ok"): ("ok", 2), site.url("404"): ("http_4xx", 1)}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("<urlopen error [Errno -2] Name or service not known>", Outcome.DNS),
        ("<urlopen error [Errno 111] Connection refused>", Outcome.REFUSED),
        ("<urlopen error [Errno 101] Network is unreachable>", Outcome.UNREACHABLE),
        ("<urlopen error timed out>", Outcome.TIMEOUT_CONNECT),
        ("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] x (_ssl.c:1006)>", Outcome.TLS),
        ("HTTP Error 404: <urlopen error blocked: no", Outcome.HTTP_4XX),
        ("[Errno 104] Connection reset by peer", Outcome.INTERRUPTED),
        ("what nobody has seen", Outcome.BAD_RESPONSE),
    ],
)
def test_an_error_is_read_by_its_text(error: str, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


def test_a_key_that_img2dataset_cannot_keep_is_refused() -> None:
    with pytest.raises(ValidationError, match="img2dataset cannot keep max_bytes, max_redirects;"):
        Fetch(user_agent=AGENT, engine="img2dataset", max_bytes=5, max_redirects=1)


def test_that_nobody_reads_robots_txt_must_be_agreed_to() -> None:
    with pytest.raises(ValidationError, match="say `robots: ignore` to agree"):
        Fetch(user_agent=AGENT, engine="img2dataset")


def test_without_img2dataset_nothing_is_begun_and_the_way_is_told(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "input: {path: p.csv}\n"
        f"fetch: {{user_agent: '{AGENT}', engine: img2dataset, robots: ignore}}\n"
    )
    (tmp_path / "p.csv").write_text("url,text\nhttp://127.0.0.1:1/a,b\n")
    program = (
        "import sys; sys.modules['img2dataset'] = None; import pairsieve.jobs.cli as c; c.main()"
    )
    for verb in ("gather", "run"):
        done = subprocess.run(
            [sys.executable, "-c", program, verb, recipe, "--dataset", tmp_path / "d"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert "pip install 'pairsieve[img2dataset]'" in done.stderr
        assert not (tmp_path / "d").exists()
