from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.filters.printed_cards import box_area, card

from pairsieve.filters import text_reader
from pairsieve.filters.printed_text import PrintedText
from pairsieve.schemas.recipe import Recipe

LINES = ("Summer sale", "free shipping")


def planes(*each: NDArray[np.uint8]) -> NDArray[np.object_]:
    array = np.empty(len(each), object)
    array[:] = each
    return array


def test_the_lines_of_a_card_are_read_and_a_card_without_any_is_empty() -> None:
    areas, texts = PrintedText().measure(planes(card(*LINES), card()))
    assert texts.tolist() == ["Summer sale\nfree shipping", ""]
    assert areas[1] == 0
    # The detector's boxes are a little wider than the ink, by about half a letter around it.
    ink = sum(map(box_area, LINES))
    assert ink < areas[0] < 3 * ink


def test_a_line_that_runs_upwards_is_read() -> None:
    (area,), (text,) = PrintedText().measure(planes(np.rot90(card("Summer sale")).copy()))
    assert text == "Summer sale"
    assert area > 0


def test_of_a_page_the_largest_lines_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reader, "MAX_LINES", 1)
    page = card("tiny words")
    page = np.vstack([page[:120], card("LARGE", size=60)[20:200]])
    _, (text,) = PrintedText().measure(planes(page))
    assert text == "LARGE"


def test_photographs_have_no_text_and_a_sign_has(real: Path) -> None:
    def luma(name: str) -> NDArray[np.uint8]:
        with Image.open(real / "www/unsplash" / name) as image:
            return np.asarray(image.convert("L").reduce(2))

    _, (portrait, board) = PrintedText().measure(
        planes(luma("image_85.jpg"), luma("image_109.jpg"))
    )
    assert portrait == ""
    assert board.splitlines()[:3] == ["TRAVEL IS", "GOOD FOR", "THE SOUL"]


def test_it_is_measured_only_where_the_recipe_says_so() -> None:
    content = {"input": {"path": "p"}}
    assert PrintedText().configured(Recipe.model_validate(content)) is None
    asked = Recipe.model_validate(content | {"image": {"read_text": True}})
    assert PrintedText().configured(asked) == PrintedText()


def test_no_pictures_have_no_text() -> None:
    areas, texts = PrintedText().measure(np.empty(0, object))
    assert len(areas) == len(texts) == 0


@pytest.mark.parametrize("bound", [-0.1, 1.1, float("nan")])
def test_a_bound_outside_of_0_and_1_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="max_area must be in"):
        PrintedText(max_area=bound)
