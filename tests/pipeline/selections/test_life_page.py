"""The page of a pair's life: whole, escaped, and without pictures that nobody may see."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.selections import life, life_page
from pairsieve.schemas.recipe import Recipe

HOSTILE = "<script>alert(1)</script>\0 \u202e\"'>&"


@pytest.fixture
def store(tmp_path: Path, put_gathered: Callable[..., None]) -> Store:
    """One pair with a picture that a rule drops, one that failed."""
    dataset, sink = Store.at(tmp_path / "dataset"), io.BytesIO()
    Image.new("RGB", (900, 300), (200, 30, 30)).save(sink, "JPEG")
    body = sink.getvalue()
    dataset.write("gather/i.tar", body)
    at: dict[str, Any] = {"image_file": "gather/i.tar", "image_offset": 0}
    there = {**at, "image_bytes": len(body), "text": HOSTILE, "sharpness": 0.25}
    put_gathered(dataset, [there, {"outcome": "http_4xx", "detail": HOSTILE, "http_status": 404}])
    keep = [{"sharpness": {"min_sharpness": 0.5}}, {"where": "'<b>' <> ''"}]
    recipe = Recipe.model_validate({"input": {"path": "p"}, "keep": keep})
    select.run(recipe, dataset, Serial(), "default")
    return dataset


def lives(store: Store, row: int) -> list[life.Life]:
    return life.run(store, Serial(), "default", f"{row:032x}")


def page(store: Store, found: list[life.Life]) -> str:
    return life_page.page(store, found, "default", HOSTILE)


def test_it_tells_the_picture_the_rules_and_the_columns(store: Store) -> None:
    html = page(store, lives(store, 0))
    assert html.count('<img src="data:image/jpeg;base64,') == 1
    assert "dropped from default by sharpness" in html
    assert re.search(r'<td class="out">drops it</td><td><div>sharpness <bdi>0.25', html)
    assert re.search(r'<td class="in">passes</td>', html)
    assert "<code>width</code>" in html


def test_nothing_of_the_web_is_markup(store: Store) -> None:
    for row in (0, 1):
        html = page(store, lives(store, row))
        assert "<script" not in html
        assert "<b>" not in html
        assert "\0" not in html
        assert "&lt;script&gt;alert(1)" in html
        assert re.findall(r'(?:src|href)="(?!data:)', html) == []


def test_a_pair_that_failed_has_its_fetches_and_no_picture(store: Store) -> None:
    html = page(store, lives(store, 1))
    assert "<img" not in html
    assert "No image is stored." in html
    assert "HTTP 404" in html


@pytest.mark.parametrize("why", [{"blocked": "csam"}, {"failing": ["minor_safety"]}])
def test_what_nobody_may_see_is_not_shown(store: Store, why: dict[str, Any]) -> None:
    (one,) = lives(store, 0)
    html = page(store, [replace(one, pair=one.pair | why)])
    assert "<img" not in html
    assert "This picture is never shown" in html


def test_json_has_nothing_of_where_the_image_is(store: Store) -> None:
    (one,) = lives(store, 0)
    assert one.stored
    assert one.to_json().keys() == {"pair", "attempts", "verdicts", "copies"}
