from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.selections.sweep import Counts, parse, parse_values, sweep, what_if
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

PutUnits = Callable[[Store, list[dict[str, Any]], int], None]
ROWS: list[dict[str, Any]] = [
    {"sharpness": 0.2, "aspect_ratio": 1.0},
    {"sharpness": 0.5, "aspect_ratio": 1.0},
    {"sharpness": 0.5, "aspect_ratio": 2.0},
    {"sharpness": 0.7, "aspect_ratio": 3.0},
    {"sharpness": 0.9, "aspect_ratio": 4.0},
    {"sharpness": None, "aspect_ratio": 1.0},
    {"outcome": "dns"},
    {"outcome": "gated", "caption_unicode_words": 1},
]


def recipe(*keep: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "keep": keep})


@pytest.fixture
def store(tmp_path: Path, put_units: PutUnits) -> Store:
    """A selection of eight pairs in four units: sharp ones that are not long."""
    store = Store.at(tmp_path / "dataset")
    put_units(store, ROWS, 2)
    made = recipe({"sharpness": {"min_sharpness": 0.6}}, {"aspect_ratio": {"max_ratio": 3}})
    select.run(made, store, Serial(), "default")
    return store


def table(counts: Counts) -> list[tuple[float, int, list[int]]]:
    values = counts.axes[0].values
    return list(zip(values, counts.passing, counts.survivors, strict=True))


@pytest.mark.parametrize("units", [1, 2, 100])
def test_survivors_by_one_threshold(store: Store, units: int) -> None:
    counts = sweep(store, Serial(), "default", "sharpness", [0.9, 0.1, 0.5, 0.6], units)
    assert (counts.images, counts.others) == (6, 5)
    assert table(counts) == [(0.1, 5, [4]), (0.5, 4, [3]), (0.6, 2, [1]), (0.9, 1, [0])]


@pytest.mark.parametrize("units", [1, 100])
def test_without_values_the_grid_is_of_quantiles_and_the_value_as_it_is(
    store: Store, units: int
) -> None:
    counts = sweep(store, Serial(), "default", "aspect_ratio.max_ratio", units=units)
    assert table(counts) == [(1.0, 3, [0]), (2.0, 4, [0]), (3.0, 5, [1]), (4.0, 6, [2])]


@pytest.mark.parametrize("units", [1, 100])
def test_joint_counts_of_two_thresholds(store: Store, units: int) -> None:
    specs = [parse("sharpness.min_sharpness=0.5,0.7"), parse("aspect_ratio.max_ratio=1,2,4")]
    counts = what_if(store, Serial(), "default", specs, units)
    assert counts.survivors == [[1, 2, 4], [0, 0, 2]]
    assert counts.passing == [4, 2]
    assert counts.others == 6


def test_two_thresholds_of_one_rule(tmp_path: Path, put_units: PutUnits) -> None:
    store = Store.at(tmp_path / "dataset")
    put_units(store, [{"width": w, "height": w} for w in (100, 200, 300, 400)], 2)
    select.run(recipe({"size": {}}), store, Serial(), "default")
    specs = [("size.min_side_px", [100, 300]), ("size.max_side_px", [300, 400])]
    assert what_if(store, Serial(), "default", specs).survivors == [[3, 4], [1, 2]]


def test_json_has_plain_numbers(store: Store) -> None:
    counts = sweep(store, Serial(), "default", "sharpness", [0.5, 0.6])
    assert counts.to_json() == {
        "axes": [{"threshold": "sharpness.min_sharpness", "now": 0.6, "values": [0.5, 0.6]}],
        "images": 6,
        "others": 5,
        "passing": [4, 2],
        "survivors": [3, 1],
    }


def test_on_ray_the_same_is_counted(store: Store, ray: Engine) -> None:
    serial, spread = (
        sweep(store, engine, "default", "sharpness", units=1) for engine in (Serial(), ray)
    )
    assert spread == serial


def test_what_cannot_be_counted_is_refused(store: Store) -> None:
    refused: list[tuple[list[tuple[str, list[float]]], str]] = [
        ([("sharpness.min_sharpness", [0.1])] * 2, "sharpness.min_sharpness is given twice"),
        ([("sharpness", [0.1]), ("aspect_ratio", [1]), ("aspect_ratio", [1])], "given twice|two"),
        ([("sharpness", [n / 1000 for n in range(401)])], "at most two thresholds and 400"),
        ([("aspect_ratio", [0.5])], "max_ratio must be at least 1"),
    ]
    for specs, says in refused:
        with pytest.raises(BadOption, match=says):
            what_if(store, Serial(), "default", specs)
    with pytest.raises(BadOption, match="there is no selection `other`"):
        sweep(store, Serial(), "other", "sharpness")


@pytest.mark.parametrize("text", ["x", "0.1,true", "[1", ".nan", "0.1,,"])
def test_values_that_are_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(BadOption, match=r"--at: "):
        parse_values("--at", text)


KEEP: list[dict[str, Any]] = [
    {"caption_words": {"min_words": 2}, "gate": True},
    {"aspect_ratio": {"max_ratio": 3}, "gate": True},
    {"sharpness": {"min_sharpness": 0.5}},
    {"top_fraction": 0.5, "of": "low_information"},
    {"size": {"min_side_px": 50}},
]
PAIRS = st.lists(
    st.fixed_dictionaries(
        {
            "outcome": st.sampled_from(["ok", "ok", "ok", "gated", "dns"]),
            "caption_unicode_words": st.integers(1, 4),
            "aspect_ratio": st.sampled_from([None, 1.0, 2.0, 4.0]),
            "sharpness": st.sampled_from([None, 0.1, 0.5, 0.9]),
            "low_information": st.sampled_from([None, 0.1, 0.5, 0.9]),
            "width": st.sampled_from([10, 50, 90]),
        }
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=repeated(8, 25), deadline=None)
@given(
    rows=PAIRS,
    swept=st.sampled_from(
        [
            ("caption_words.min_words", "min_words", 0, [1, 2, 3]),
            ("aspect_ratio.max_ratio", "max_ratio", 1, [1.0, 2.0, 5.0]),
            ("sharpness.min_sharpness", "min_sharpness", 2, [0.2, 0.5]),
            ("size.min_side_px", "min_side_px", 4, [10, 60]),
        ]
    ),
    units=st.integers(1, 3),
)
def test_a_sweep_counts_what_selecting_with_each_value_keeps(
    tmp_path_factory: pytest.TempPathFactory,
    put_units: PutUnits,
    rows: list[dict[str, Any]],
    swept: tuple[str, str, int, list[float]],
    units: int,
) -> None:
    key, option, place, values = swept
    store = Store.at(tmp_path_factory.mktemp("pool") / "dataset")
    put_units(store, rows, 4)
    select.run(recipe(*KEEP), store, Serial(), "default")
    counts = sweep(store, Serial(), "default", key, values, units)
    expected = []
    for value in values:
        changed = [dict(entry) for entry in KEEP]
        changed[place][key.split(".")[0]] = {option: value}
        expected.append([select.run(recipe(*changed), store, Serial(), "other").counts["kept"]])
    assert counts.survivors == expected
