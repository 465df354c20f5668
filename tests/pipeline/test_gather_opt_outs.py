"""What opt-outs of pages, sites and files become in the ledger."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import check, gather, plan
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from tests.pipeline.conftest import Site

XMP = (
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" '
    b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Credit="Ada" '
    b'plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"/></rdf:RDF>'
)


def _jpeg(xmp: bytes = b"") -> bytes:
    sink = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(sink, "JPEG", xmp=xmp)
    return sink.getvalue()


def _recipe(folder: Path, site: "Site", **opt_outs: Any) -> Recipe:
    """Return a recipe over pairs of which each is opted out of in another form."""
    site.behaviours |= {
        "robots.txt": site.whole(b"User-agent: *\nContent-Signal: ai-train=no\nAllow: /\n"),
        "fine": site.whole(_jpeg()),
        "header": site.whole(_jpeg(), "200 OK", "X-Robots-Tag: noml"),
        "xmp": site.whole(_jpeg(XMP)),
    }
    paths = ["fine", "header", "xmp", "fine"]
    pages = [None, "noindex", "all", "nofollow, noai"]
    table = {"url": [site.url(path) for path in paths], "text": list("abcd"), "metas": pages}
    pq.write_table(pa.table(table), folder / "pairs.parquet")
    fetch = {
        "user_agent": "test (+mailto:test@example.org)",
        "per_host_per_s": 10_000,
        "allow_networks": ["127.0.0.0/8"],
        "ports": [site.port],
    }
    sections = {"input": {"path": str(folder / "pairs.parquet")}, "fetch": fetch}
    return Recipe.model_validate(sections | {"opt_outs": opt_outs})


def _gathered(folder: Path, recipe: Recipe) -> list[dict[str, Any]]:
    store = Store.at(folder / "dataset")
    ((_, marker),) = gather.run(recipe, store, plan.run(recipe, store), Serial())
    with store.reader(marker.file(".parquet")) as source:
        rows: list[dict[str, Any]] = pq.read_table(source).to_pylist()
    return rows


def test_what_is_not_obeyed_is_stored_and_its_evidence_is_kept(
    tmp_path: Path, site: "Site"
) -> None:
    fine, header, xmp, page = _gathered(
        tmp_path, _recipe(tmp_path, site, obey=["xmp"], page="metas")
    )
    assert fine["outcome"] == page["outcome"] == header["outcome"] == "ok"
    assert fine["opt_outs"] == ["content_signal"]
    assert header["opt_outs"] == ["content_signal", "x_robots_tag"]
    assert header["opt_out_evidence"][1] == "X-Robots-Tag: noml"
    assert header["opt_out_at"] >= header["fetched_at"]
    assert page["opt_outs"] == ["page", "content_signal"]
    assert (xmp["outcome"], xmp["detail"]) == ("opt_out", "plus:DataMining DMI-PROHIBITED")
    assert (xmp["opt_outs"], xmp["file_credit"]) == (["content_signal", "xmp"], "Ada")
    assert xmp["image_file"] is None


def test_what_is_obeyed_first_ends_the_pair(tmp_path: Path, site: "Site") -> None:
    rows = _gathered(tmp_path, _recipe(tmp_path, site, page="metas"))
    assert [row["outcome"] for row in rows] == ["opt_out"] * 4
    assert rows[3]["detail"] == "meta robots: noai"
    assert [row["opt_outs"] for row in rows] == [["content_signal"]] * 3 + [["page"]]
    assert set(site.paths()) == {"/robots.txt", "/.well-known/tdmrep.json"}


def test_a_column_of_pages_that_the_input_lacks_is_refused(tmp_path: Path, site: "Site") -> None:
    recipe = _recipe(tmp_path, site, page="other")
    with pytest.raises(BadOption, match="other"):
        check.check_input(recipe, plan.run(recipe, Store.at(tmp_path / "dataset")))


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"obey": ["page"]}, "needs `opt_outs.page`"),
        ({"obey": ["noai"]}, "opt_outs"),
        (
            {"fetch": {"user_agent": "t/1 (+mailto:a@b.c)", "opt_outs": "obey"}},
            "section of its own",
        ),
    ],
)
def test_a_wrong_policy_is_refused(section: dict[str, Any], why: str) -> None:
    fetch = section.pop("fetch", None)
    with pytest.raises(ValueError, match=why):
        Recipe.model_validate({"input": {"path": "a"}, "opt_outs": section, "fetch": fetch})


def test_img2dataset_cannot_be_asked_for_forms_that_it_does_not_see() -> None:
    fetch = {"user_agent": "t/1 (+mailto:a@b.c)", "engine": "img2dataset", "robots": "ignore"}
    content = {"input": {"path": "a"}, "fetch": fetch, "opt_outs": {"obey": ["tdmrep", "xmp"]}}
    with pytest.raises(BadOption, match="engine img2dataset cannot see tdmrep: remove"):
        check.check(Recipe.model_validate(content), verbs=["gather"])


def test_who_lists_forms_of_a_robots_txt_that_is_not_read_is_warned() -> None:
    fetch = {"user_agent": "t/1 (+mailto:a@b.c)", "robots": "ignore"}
    content = {"input": {"path": "a"}, "fetch": fetch, "opt_outs": {"obey": ["content_signal"]}}
    (warning,) = check.check(Recipe.model_validate(content), verbs=["gather"])
    assert "of content_signal only headers are seen" in warning
