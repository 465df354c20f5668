"""Which address is the widest; a srcset is read by the algorithm of the HTML standard."""

import pytest

from pairsieve.pipeline.pages.image_urls import MAX_CANDIDATES, addresses, candidates


@pytest.mark.parametrize(
    ("srcset", "urls"),
    [
        ("a.jpg", ["a.jpg"]),
        (" , a.jpg , b.jpg 2x", ["a.jpg", "b.jpg"]),
        ("a.jpg 100w,b.jpg 200w 50h", ["a.jpg", "b.jpg"]),
        ("a,b.jpg 1x", ["a,b.jpg"]),  # a comma without a space is of the URL
        ("a.jpg, b.jpg", ["a.jpg", "b.jpg"]),
        ("data:image/png;base64,AA== 1x, b.jpg 2x", ["data:image/png;base64,AA==", "b.jpg"]),
        ("a.jpg 0w, b.jpg -1x, c.jpg 1x 2w, d.jpg 1z, e.jpg 2h, f.jpg", ["f.jpg"]),
        ("a.jpg x(1,2), b.jpg", ["b.jpg"]),
        ("a.jpg 1e1x, b.jpg .5x, c.jpg +1x", ["a.jpg", "b.jpg"]),
        ("", []),
    ],
)
def test_a_srcset_is_read_as_the_standard_says(srcset: str, urls: list[str]) -> None:
    assert [each.url for each in candidates(srcset, "srcset")] == urls


def test_a_srcset_without_end_ends() -> None:
    assert len(candidates("a.jpg 1x, " * 10_000, "srcset")) == MAX_CANDIDATES
    assert candidates("a(" * 100_000, "srcset")


def first(**attributes: str) -> str:
    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    return addresses(named)[0].url


def test_the_widest_candidate_wins_before_src() -> None:
    assert first(src="s", srcset="a 300w, b 900w, c 600w") == "b"
    assert first(src="s", srcset="a 1.5x, b 3x") == "b"


def test_src_wins_before_a_candidate_of_its_own_size() -> None:
    assert first(src="s", srcset="a 1x") == "s"


def test_a_lazy_attribute_wins_before_src_which_is_a_placeholder_then() -> None:
    assert first(src="placeholder.gif", data_src="real.jpg") == "real.jpg"
    assert first(src="p.gif", data_srcset="a.jpg 10w, b.jpg 20w") == "b.jpg"


def test_sources_of_a_picture_count_and_its_own_srcset_wins_a_tie() -> None:
    own = {"srcset": "own 900w"}
    assert addresses(own, ["other 900w"])[0].url == "own"
    assert addresses(own, ["other 901w"])[0].url == "other"


def test_any_data_attribute_that_names_an_image_file_comes_last() -> None:
    found = addresses({"src": "data:,x", "data-foo": "/big.jpg?x=1", "data-bar": "not a file.jpg"})
    assert [each.url for each in found] == ["data:,x", "/big.jpg?x=1"]


def test_an_element_without_an_address_offers_none() -> None:
    assert addresses({"src": "  ", "alt": "x"}) == []
