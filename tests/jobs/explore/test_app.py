"""The pages as streamlit runs them, without a browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button
from tests.pipeline.explore.dataset import SCRIPT, Finished, make

from pairsieve.jobs.explore import app, loaded, serve
from pairsieve.jobs.explore.settings import VARIABLE, Settings
from pairsieve.jobs.explore.thresholds_page import chart, grid
from pairsieve.jobs.explore.tiles import plain
from pairsieve.jobs.explore.vector_pages import FOUND
from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore.effect import Bar
from pairsieve.pipeline.learning import label_files
from pairsieve.pipeline.selections import overrides
from pairsieve.pipeline.selections.sweep import sweep

SHARP = "bound:default:sharpness.min_sharpness"
Visit = Callable[..., AppTest]


@pytest.fixture
def visit(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """Return a function that opens a page of a dataset."""
    monkeypatch.setenv(VARIABLE, "")

    def open_(
        page: str, made: Finished = finished, token: str | None = None, saves: bool = False
    ) -> AppTest:
        for cached in (loaded.names, loaded.state):
            cached.clear()
        Settings(made.store.url, str(made.file) if saves else None, None, token).put()
        shown = AppTest.from_file(str(serve.PAGE), default_timeout=60)
        shown.session_state["page"] = page
        return shown.run()

    return open_


def _button(shown: AppTest, label: str) -> Button:
    [button] = [one for one in shown.button if one.label == label]
    return button


def _texts(shown: AppTest) -> str:
    return "\n".join(one.value for one in shown.text)


@pytest.mark.parametrize("page", app.PAGES)
def test_every_page_is_shown(page: str, visit: Visit) -> None:
    shown = visit(page)
    assert not shown.exception
    assert not shown.error
    assert [one.value for one in shown.header] == [page]


def test_a_moved_slider_shows_what_sweep_counts(finished: Finished, visit: Visit) -> None:
    shown = visit("Thresholds")
    marker = finished.store.marker(select_marker("default"))
    assert marker
    assert shown.metric[0].value == f"{marker.counts['kept']:,}"
    shown.slider(key=SHARP).set_value(0.5).run()
    counted = sweep(finished.store, Serial(), "default", "sharpness", [0.5])
    assert shown.metric[0].value == f"{counted.survivors[0][0]:,}"
    assert "--set sharpness.min_sharpness=0.5" in shown.code[0].value
    _button(shown, "Back to the selection's own values").click().run()
    assert shown.metric[0].value == f"{marker.counts['kept']:,}"


def test_saved_from_the_page_it_is_what_select_makes(tmp_path: Path, visit: Visit) -> None:
    made = make(tmp_path)
    shown = visit("Thresholds", made, saves=True)
    shown.slider(key=SHARP).set_value(0.5).run()
    survivors = shown.metric[0].value
    shown.text_input[0].set_value("sharper").run()
    _button(shown, "Save as selection").click().run()
    marker = made.store.marker(select_marker("sharper"))
    assert marker
    assert f"{marker.counts['kept']:,}" == survivors
    assert marker.extra["made_by"]["set"] == ["sharpness.min_sharpness=0.5"]
    assert "sharper: " in shown.success[0].value
    compared = visit("Selections", made)
    assert compared.metric[1].value == survivors
    assert compared.metric[3].value == "0"
    again = overrides.load(made.file, ["sharpness.min_sharpness=0.7"])
    kept = select.run(again, made.store, Serial(), "sharper").counts["kept"]
    assert visit("Selections", made).metric[1].value == f"{kept:,}"


def test_a_name_that_is_none_is_told(tmp_path: Path, visit: Visit) -> None:
    shown = visit("Thresholds", saves=True)
    shown.text_input[0].set_value("../x").run()
    _button(shown, "Save as selection").click().run()
    assert "a selection cannot be called" in shown.error[0].value.replace("\\", "")


def test_captions_stand_on_the_page_as_text(visit: Visit) -> None:
    shown = visit("Pair")
    shown.text_input[0].set_value(f"{7:032x}").run()
    assert not shown.exception
    assert SCRIPT in _texts(shown)
    assert not [one for one in shown.markdown if "script" in one.value]


def test_a_pair_that_is_not_there_is_told(visit: Visit) -> None:
    shown = visit("Pair")
    shown.text_input[0].set_value("http://nowhere/<b>").run()
    assert "no pair has the url" in shown.error[0].value.replace("\\", "")


def test_pictures_at_the_bound_are_turned_and_unblurred(visit: Visit) -> None:
    shown = visit("At the bound")
    assert "page 1 of" in _texts(shown)
    _button(shown, "Next").click().run()
    assert "page 2 of" in _texts(shown)
    blurred = [one for one in shown.button if one.label == "Show it"]
    while not blurred:
        _button(shown, "Next").click().run()
        blurred = [one for one in shown.button if one.label == "Show it"]
    before = len(blurred)
    blurred[0].click().run()
    assert len([one for one in shown.button if one.label == "Show it"]) == before - 1


def test_labels_are_kept_in_the_dataset_and_taken_back(tmp_path: Path, visit: Visit) -> None:
    made = make(tmp_path)
    shown = visit("Label", made)
    assert "precision" not in _texts(shown)
    _button(shown, "Good").click().run()
    _button(shown, "Bad").click().run()
    given = label_files.read_all(made.store)
    assert sorted(label.good for label in given.values()) == [False, True]  # type: ignore[type-var]
    assert {label.threshold for label in given.values()} == {"sharpness.min_sharpness"}
    assert {f"{row:032x}" for row in given} == set(label_files.by_uid(made.store))
    assert [one.value for one in shown.metric] == ["2", "1"]
    assert "precision" in _texts(shown)
    _button(shown, "Undo").click().run()
    assert [label.good for label in label_files.read_all(made.store).values()] == [True]
    assert [one.value for one in visit("Label", made).metric] == ["1", "1"]


def test_without_vectors_search_and_map_say_how_to_make_them(visit: Visit) -> None:
    for page in ("Search", "Map"):
        assert "pairsieve embed" in visit(page).info[0].value


def test_search_finds_pictures_like_that_of_a_pair(embedded: Finished, visit: Visit) -> None:
    shown = visit("Search", embedded)
    shown.number_input[0].set_value(31).run()
    assert not shown.exception
    rows = [int(one) for one in re.findall(r"row (\d+)", _texts(shown))]
    assert len(rows) == FOUND
    assert {row % 3 for row in rows} == {31 % 3}  # all have the colour of its picture
    shown = visit("Search", embedded)
    shown.text_input[0].set_value("a red square").run()
    assert len(re.findall(r"cosine", _texts(shown))) == FOUND


def test_the_map_shows_every_pair_with_vectors(embedded: Finished, visit: Visit) -> None:
    shown = visit("Map", embedded)
    assert not shown.exception
    assert "All 540 pairs" in shown.caption[0].value.replace("\\", "")
    shown.selectbox(key="map-colour").set_value("sharpness").run()
    assert not shown.exception


def test_who_has_no_token_sees_nothing(visit: Visit) -> None:
    shown = visit("Thresholds", token="secret-token")
    assert [one.label for one in shown.text_input] == ["Token"]
    assert not shown.metric
    shown.text_input[0].set_value("wrong").run()
    assert not shown.metric
    shown.text_input[0].set_value("secret-token").run()
    assert shown.metric


def test_a_running_dataset_without_a_selection_shows_its_failures(
    tmp_path: Path, visit: Visit, put_gathered: Callable[..., None]
) -> None:
    store = Store.at(tmp_path / "running")
    put_gathered(store, [{"outcome": "ok"}, {"outcome": "robots"}])
    made = Finished(store, tmp_path / "none.yaml", None)  # type: ignore[arg-type]
    assert "No selection was made yet" in visit("Thresholds", made).info[0].value
    shown = visit("Failures", made)
    assert not shown.exception
    assert set(shown.dataframe[0].value["outcome"]) == {"ok", "robots"}


def test_text_that_looks_like_markdown_stands_as_it_is() -> None:
    assert plain("**a** <b> [x](y) `c` :red[d] $e$") == (
        r"\*\*a\*\* \<b\> \[x\]\(y\) \`c\` \:red\[d\] \$e\$"
    )


@pytest.mark.parametrize(
    ("ends", "whole", "grid_"),
    [
        ((0.003, 0.999), False, (0.0, 1.0, 0.005)),
        ((-0.31, 0.42), False, (-0.31, 0.42, 0.005)),
        ((4228, 430_028), True, (0.0, 435_000.0, 5000.0)),
        ((2, 28), True, (2.0, 28.0, 1.0)),
    ],
)
def test_sliders_stand_on_round_values(
    ends: tuple[float, float], whole: bool, grid_: tuple[float, float, float]
) -> None:
    assert grid(*ends, whole) == grid_


def test_a_histogram_is_as_wide_as_its_slider_and_says_how_high_it_is() -> None:
    bars = [Bar(0.11, 0.2, 30, 4), Bar(0.2, 0.29, 7, 0)]
    drawn = chart(bars, 0.15, (0.1, 0.3)).to_dict()
    domains = [layer["encoding"]["x"]["scale"]["domain"] for layer in drawn["layer"]]
    assert domains == [[0.1, 0.3], [0.1, 0.3]]
    assert drawn["title"]["text"] == "34 pairs"
