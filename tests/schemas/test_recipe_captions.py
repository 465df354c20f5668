from typing import Any

import pytest
from pydantic import ValidationError

from pairsieve.schemas.recipe_captions import Captions

GOOD = {"url": "http://localhost:8000/v1/", "model": "m", "prompt": "Describe. {text}"}


def refused(**changes: Any) -> str:
    with pytest.raises(ValidationError) as error:
        Captions.model_validate(GOOD | changes)
    return str(error.value.errors()[0]["msg"])


def test_a_section_needs_address_model_and_prompt_alone() -> None:
    captions = Captions.model_validate(GOOD)
    assert (captions.url, captions.columns) == ("http://localhost:8000/v1", ("recaption",))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("localhost:8000", "must be like http://localhost:8000/v1"),
        ("file:///etc/passwd", "must be like http://localhost:8000/v1"),
        ("https://me:secret@a.example/v1", "must hold no user name or password"),
        ("https://a.example/v1?key=secret", "must end with the path"),
        ("https://a.example/v 1", "must be printable ASCII without spaces"),
    ],
)
def test_what_is_no_endpoint_is_refused(url: str, why: str) -> None:
    assert why in refused(url=url)


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("{txt}", "no placeholder `{txt}`; known: text, url, language; did you mean `text`?"),
        ("{text.__class__}", "no placeholder `{text.__class__}`"),
        ("{text!r}", "no placeholder `{text}`"),
        ("{}", "no placeholder `{}`"),
        ("{text", "write `{{` for a brace"),
    ],
)
def test_a_template_with_other_placeholders_is_refused(prompt: str, why: str) -> None:
    assert why in refused(prompt=prompt)


def test_without_the_image_the_text_must_be_in_the_prompt() -> None:
    assert "must hold `{text}`" in refused(prompt="Describe. {{text}}", image=False)
    assert Captions.model_validate(GOOD | {"prompt": "{{{text}}}", "image": False})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"columns": ["recaptoin"]}, "did you mean `recaption`?"),
        ({"columns": ["recaption", "recaption"]}, "listed twice"),
        ({"parameters": {"stream": True}}, "`stream` is said by other keys, or is fixed"),
        ({"max_cost": 5}, "needs `price_in` or `price_out`"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], why: str) -> None:
    assert why in refused(**change)
