"""What is opted out of after it was fetched is listed, and `forget` takes it out."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from pairsieve.jobs.cli import app
from pairsieve.jobs.recheck import recheck as command
from pairsieve.pipeline import gather, plan, recheck
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

PATHS = ("a/1", "b/2", "c/3", "missing/4", "moved/5")


def sections(folder: Path, site: "Site") -> dict[str, Any]:
    """Return a recipe over five pairs, of which one has no image and one is redirected."""
    sink = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(sink, "JPEG")
    site.behaviours |= dict.fromkeys("abc", site.whole(sink.getvalue()))
    site.behaviours |= {
        "robots.txt": site.whole(b""),
        "missing": site.behaviours["404"],
        "moved": site.whole(b"", "302 Found", "Location: /c/moved"),
    }
    table = {"url": [site.url(path) for path in PATHS], "text": list("abcde")}
    pq.write_table(pa.table(table), folder / "pairs.parquet")
    return {
        "input": {"path": str(folder / "pairs.parquet"), "unit_pairs": 2},
        "fetch": {
            "user_agent": "test (+mailto:test@example.org)",
            "per_host_per_s": 10_000,
            "allow_networks": ["127.0.0.0/8"],
            "ports": [site.port],
            "retries": 0,
        },
    }


@pytest.fixture
def made(tmp_path: Path, site: "Site") -> tuple[Recipe, Store]:
    """Gather the pairs; return the recipe and the dataset. The site has seen no request since."""
    content = sections(tmp_path, site)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    recipe, store = Recipe.model_validate(content), Store.at(tmp_path / "dataset")
    for _ in gather.run(recipe, store, plan.run(recipe, store), Serial()):
        continue
    site.heads.clear()
    return recipe, store


def listed(made: tuple[Recipe, Store], **options: Any) -> tuple[recheck.Found, list[str]]:
    sink = io.BytesIO()
    found = recheck.run(*made, Serial(), sink, **options)
    return found, sink.getvalue().decode().splitlines()


def rows(store: Store) -> dict[str, tuple[str, str]]:
    with connect(store) as connection:
        attach(connection, store)
        query = "SELECT text, uid, outcome FROM gathered"
        return {text: (uid, outcome) for text, uid, outcome in connection.execute(query).fetchall()}


def test_nothing_is_listed_while_nothing_has_changed(
    made: tuple[Recipe, Store], site: "Site"
) -> None:
    found, lines = listed(made)
    assert (found.pairs, found.urls, lines) == (4, 5, [])
    assert set(site.paths()) == {"/robots.txt", "/.well-known/tdmrep.json"}


def test_later_terms_of_a_site_are_found_also_behind_a_redirect(
    made: tuple[Recipe, Store], site: "Site"
) -> None:
    rules = [{"location": "/c/", "tdm-reservation": 1}]
    lines = b"User-agent: *\nDisallow: /a/\nContent-Usage: /b/ train-ai=n\n"
    site.behaviours["robots.txt"] = site.whole(lines)
    site.behaviours[".well-known"] = site.whole(json.dumps(rules).encode())
    found, written = listed(made, units=1)
    uids = {text: uid for text, (uid, _) in rows(made[1]).items()}
    assert [line for line in written if line[0] != "#"] == [f"uid {uids[t]}" for t in "abce"]
    assert found.forbidden == {"robots": 1, "opt_out": 1, "tdm_reserved": 2}
    assert written[2] == (
        f"# opt_out: Content-Usage: /b/ train-ai=n (http://127.0.0.1:{site.port}/robots.txt)"
    )


def test_later_headers_are_found_if_asked_for_and_no_body_is_requested(
    made: tuple[Recipe, Store], site: "Site"
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\nX-Robots-Tag: noai\r\n\r\n"
    site.behaviours["b"] = lambda connection: connection.sock.sendall(head)
    site.behaviours["a"] = lambda connection: connection.sock.sendall(head.replace(b"noai", b"all"))
    site.behaviours["c"] = site.behaviours["500"]
    found, written = listed(made, headers=True)
    assert (found.forbidden, found.unanswered) == ({"opt_out": 1}, {"http_5xx": 3})
    assert written[0] == "# opt_out: X-Robots-Tag: noai"
    images = [head for head in site.heads if "robots.txt" not in head and "tdmrep" not in head]
    assert {head.split(" ")[0] for head in images} == {"HEAD"}


def test_an_unreachable_site_has_opted_out_of_nothing(
    made: tuple[Recipe, Store], site: "Site"
) -> None:
    site.behaviours["robots.txt"] = site.behaviours["500"]
    found, written = listed(made)
    assert (found.unanswered, written) == ({"http_5xx": 5}, [])


def test_the_command_takes_out_what_it_has_listed(
    made: tuple[Recipe, Store], site: "Site", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.behaviours["robots.txt"] = site.whole(b"User-agent: *\nContent-Signal: ai-train=no\n")
    words = ["recheck", tmp_path / "recipe.yaml", "--dataset", tmp_path / "dataset", "--opt-outs"]
    words += ["--out", tmp_path / "list.txt", "--engine", "serial", "--forget"]
    app([str(word) for word in words], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "opted out of by now: 4 pairs  opt_out 4" in printed
    assert "took out 4 pairs" in printed
    outcomes = {text: outcome for text, (_, outcome) in rows(made[1]).items() if text}
    assert outcomes == {"d": "http_4xx"}


def test_wrong_uses_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    recipe, out = tmp_path / "none.yaml", tmp_path / "list.txt"
    with pytest.raises(BadOption, match="say what: --opt-outs"):
        command(recipe, str(tmp_path), out)
    with pytest.raises(BadOption, match="is no folder"):
        command(recipe, str(tmp_path), tmp_path / "no" / "list.txt", opt_outs=True)
    out.write_text("")
    with pytest.raises(BadOption, match="exists already"):
        command(recipe, str(tmp_path), out, opt_outs=True)


def test_a_recipe_that_obeys_no_file_of_a_site_is_refused(tmp_path: Path, site: "Site") -> None:
    content = sections(tmp_path, site) | {"opt_outs": {"obey": ["xmp"]}}
    content["fetch"]["robots"] = "ignore"
    recipe = Recipe.model_validate(content)
    with pytest.raises(BadOption, match="so nothing would be asked"):
        recheck.run(recipe, Store.at(tmp_path / "dataset"), Serial(), io.BytesIO())
