"""Which pairs are taken of a page, and what is counted of the rest."""

from collections import Counter

import pytest

from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.pages.image_urls import Address
from pairsieve.pipeline.pages.page import Image, Page, Pair, is_boilerplate, pairs, side_of
from pairsieve.schemas.recipe_pages import Pages

URL = canonical("https://a.example/b/c.html")
assert URL


def image(url: str, sides: tuple[int | None, int | None] = (None, None), **texts: str) -> Image:
    named = {name.replace("_", "-"): text for name, text in (texts or {"alt": "x"}).items()}
    return Image([Address(url, "src")], named, sides)


def taken(*images: Image, **options: object) -> tuple[list[Pair], Counter[str]]:
    assert URL
    left_out: Counter[str] = Counter()
    page = Page(URL, URL, list(images))
    return list(pairs(page, Pages.model_validate(options), left_out)), left_out


def test_urls_are_made_absolute_and_positions_count_every_image() -> None:
    found, left_out = taken(Image([], {}), image("../d.jpg"), image("//e.example/f.jpg"))
    assert [(pair.url, pair.position) for pair in found] == [
        ("https://a.example/d.jpg", 1),
        ("https://e.example/f.jpg", 2),
    ]
    assert left_out == {"no_text": 1}


def test_the_first_address_of_the_web_is_taken() -> None:
    offered = Image([Address("data:,x", "src"), Address("g.jpg", "data-src")], {"alt": "x"})
    ((found,), _) = taken(offered)
    assert (found.url, found.url_source) == ("https://a.example/b/g.jpg", "data-src")


def test_the_best_text_is_taken() -> None:
    ((found,), _) = taken(image("a.jpg", figcaption="third", title="second", aria_label="first"))
    assert (found.text, found.text_source) == ("first", "aria-label")


@pytest.mark.parametrize("url", ["data:image/png;base64,AA==", "", "javascript:x", "http://", "#x"])
def test_what_is_no_address_of_an_image_is_counted(url: str) -> None:
    assert taken(image(url)) == ([], {"no_url": 1})


def test_a_pair_stands_once_and_another_text_is_another_pair() -> None:
    found, left_out = taken(image("a.jpg"), image("a.jpg"), image("a.jpg", alt="y"))
    assert [pair.text for pair in found] == ["x", "y"]
    assert left_out == {"repeated": 1}


def test_the_limit_of_a_page_is_kept() -> None:
    images = [image(f"{number}.jpg") for number in range(3)]
    found, left_out = taken(*images, max_per_page=2)
    assert (len(found), left_out) == (2, {"over_limit": 1})


@pytest.mark.parametrize(("side", "kept"), [(31, 0), (32, 1), (None, 1)])
def test_a_side_below_the_bound_is_boilerplate(side: int | None, kept: int) -> None:
    assert len(taken(image("a.jpg", (side, 500)))[0]) == kept
    assert len(taken(image("a.jpg", (500, side)), boilerplate="keep")[0]) == 1


@pytest.mark.parametrize(
    "name", ["logo.png", "site-logo-2x.png", "Sprite_1.gif", "spacer.gif", "1x1.gif", "pixel.gif"]
)
def test_names_of_logos_pixels_and_sprites_are_told(name: str) -> None:
    assert is_boilerplate(f"https://a.example/x/{name}?v=1")
    assert taken(image(name)) == ([], {"boilerplate": 1})


@pytest.mark.parametrize(
    "name", ["google-pixel-7.jpg", "logotherapy.jpg", "iconic.jpg", "blanket.jpg", "polka-dot.jpg"]
)
def test_other_names_are_not(name: str) -> None:
    assert not is_boilerplate(f"https://logo.example/logo/{name}?logo=1")


@pytest.mark.parametrize(
    ("value", "side"),
    [
        ("12", 12),
        (" 12px ", 12),
        ("12.5", 12),
        ("100%", None),
        ("auto", None),
        ("", None),
        (None, None),
    ],
)
def test_sides_are_read_from_attributes(value: str | None, side: int | None) -> None:
    assert side_of(value) == side
