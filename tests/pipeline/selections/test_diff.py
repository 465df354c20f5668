import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.selections import diff
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PutUnits = Callable[[Store, list[dict[str, Any]], int], None]
# (sharpness, aspect_ratio, outcome), and what each selection makes of it
ROWS: list[dict[str, Any]] = [
    {"sharpness": 0.9, "aspect_ratio": 1.0},  # both keep it
    {"sharpness": 0.5, "aspect_ratio": 1.0},  # gained: only sharpness dropped it
    {"sharpness": 0.5, "aspect_ratio": 2.5},  # a: sharpness, b: aspect_ratio
    {"sharpness": 0.9, "aspect_ratio": 2.5},  # lost by aspect_ratio
    {"sharpness": 0.9, "aspect_ratio": 2.9},  # lost by aspect_ratio
    {"sharpness": 0.45, "aspect_ratio": 1.5},  # gained
    {"sharpness": 0.1, "aspect_ratio": 9.0},  # neither keeps it
    {"outcome": "dns"},
    {"sharpness": 0.95, "aspect_ratio": 2.0, "width": 90},  # lost by size and aspect_ratio
]


def recipe(sharpness: float, ratio: float, side: int) -> Recipe:
    keep = [
        {"sharpness": {"min_sharpness": sharpness}},
        {"size": {"min_side_px": side}},
        {"aspect_ratio": {"max_ratio": ratio}},
    ]
    return Recipe.model_validate({"input": {"path": "p"}, "keep": keep})


@pytest.fixture
def store(tmp_path: Path, put_units: PutUnits) -> Store:
    """Two selections of nine pairs in five units."""
    store = Store.at(tmp_path / "dataset")
    put_units(store, ROWS, 2)
    select.run(recipe(0.6, 3, 50), store, Serial(), "a", 2)
    select.run(recipe(0.4, 1.9, 100), store, Serial(), "b", 3)
    return store


def counts(changes: list[diff.Change]) -> list[tuple[str, int, int]]:
    return [(change.rule, change.pairs, change.only) for change in changes]


@pytest.mark.parametrize("units", [1, 2, 100])
def test_gained_and_lost_pairs_are_counted_by_rule(store: Store, units: int) -> None:
    found = diff.run(store, Serial(), ("a", "b"), 3, units)
    assert (found.pairs, found.kept_a, found.kept_b, found.both) == (9, 4, 3, 1)
    assert counts(found.gained) == [("sharpness", 2, 2)]
    assert counts(found.lost) == [("size", 1, 0), ("aspect_ratio", 2, 2)]


def test_the_other_way_round_gained_and_lost_are_exchanged(store: Store) -> None:
    there, back = (
        diff.run(store, Serial(), names, 3).to_json() for names in (("a", "b"), ("b", "a"))
    )
    assert (back["gained"], back["lost"]) == (there["lost"], there["gained"])


def test_examples_show_what_the_rule_has_read(store: Store) -> None:
    found = diff.run(store, Serial(), ("a", "b"), 1, 1).to_json()
    (sharpness,) = found["gained"]
    (example,) = sharpness["examples"]
    scores = example.pop("scores")
    assert example == {"uid": f"{1:032x}", "url": "http://a/1", "text": "pair 1"}
    assert scores == {"sharpness": pytest.approx(0.5)}
    assert found["lost"][0]["examples"][0]["scores"] == {"height": 480, "width": 90}


@pytest.mark.parametrize("units", [1, 2, 100])
def test_the_examples_are_the_first_by_uid_whatever_the_blocks(store: Store, units: int) -> None:
    _, ratio = diff.run(store, Serial(), ("a", "b"), 1, units).lost
    assert [example["row"] for example in ratio.examples] == [3]


def test_on_ray_the_same_is_found(store: Store, ray: Engine) -> None:
    serial, spread = (diff.run(store, engine, ("a", "b"), 2, 1) for engine in (Serial(), ray))
    assert spread.to_json() == serial.to_json()


def test_pairs_gathered_since_are_told_apart(tmp_path: Path, put_units: PutUnits) -> None:
    store = Store.at(tmp_path / "growing")
    put_units(store, ROWS[:4], 2)
    select.run(recipe(0.6, 3, 50), store, Serial(), "a")
    put_units(store, [*ROWS[:4], {"sharpness": 0.9, "aspect_ratio": 1.0}], 2)
    select.run(recipe(0.6, 3, 50), store, Serial(), "new")
    assert counts(diff.run(store, Serial(), ("a", "new"), 1).gained) == [("not judged", 1, 0)]


def test_selections_that_are_not_two_are_refused(store: Store) -> None:
    with pytest.raises(BadOption, match="both selections are `a`"):
        diff.run(store, Serial(), ("a", "a"), 1)
    with pytest.raises(BadOption, match="there is no selection `c`; known: a, b"):
        diff.run(store, Serial(), ("a", "c"), 1)


def test_the_page_shows_pictures_but_not_of_what_is_blocked_or_of_minors(
    tmp_path: Path, put_units: PutUnits
) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 10, 10)).save(sink, "JPEG")
    body = sink.getvalue()
    stored = {
        "image_file": "gather/i.tar",
        "image_offset": 0,
        "image_bytes": len(body),
        "image_checksum": checksums.of_image(body),
        "text": "<b>bold</b>",
    }
    store = Store.at(tmp_path / "pictured")
    store.write("gather/i.tar", body)
    put_units(store, [stored | {"sharpness": 0.5}, stored | {"sharpness": 0.5}], 2)
    for name, bound in (("a", 0.6), ("b", 0.4)):
        minor = {"where": "row <> 1", "name": "odd"}
        keep = [minor, {"sharpness": {"min_sharpness": bound}}]
        made = Recipe.model_validate({"input": {"path": "p"}, "keep": keep})
        select.run(made, store, Serial(), name)
    page = diff.page(store, diff.run(store, Serial(), ("a", "b"), 3))
    assert page.count("data:image/jpeg") == 1
    assert "&lt;b&gt;bold" in page
    assert "Gained 1: <bdi>sharpness</bdi>" in page


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, True),
        ({"blocked": "url"}, False),
        ({"failing_bits_a": 4}, False),
        ({"failing_bits_b": 6}, False),
        ({"failing_bits_b": 3}, True),
        ({"image_file": None}, False),
    ],
)
def test_a_picture_is_withheld_where_either_selection_protects(
    changes: dict[str, Any], shown: bool
) -> None:
    pair = {"image_file": "i", "blocked": None, "failing_bits_a": 1, "failing_bits_b": None}
    assert diff._may_be_shown(pair | changes, [4, 4]) is shown
