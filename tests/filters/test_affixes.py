import pytest

from pairsieve.filters.affixes import affixes, without


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Red dress | The Shop", ("Red dress | ", " | The Shop")),
        ("Photo: a dog - page 2 - Site", ("Photo: ", " - Site")),
        ("红裙子｜商店", ("红裙子｜", "｜商店")),
        ("Title|Site", ("Title|", "|Site")),
        ("a well-known dog, 3:4", ("", "")),
        ("| The Shop", ("", "| The Shop")),
        ("Red dress |", ("Red dress |", "")),
        ("|", ("", "")),
        ("", ("", "")),
    ],
)
def test_affixes_are_what_separators_part(text: str, found: tuple[str, str]) -> None:
    assert affixes(text) == found


def test_what_is_left_is_cleaned_and_without_either() -> None:
    assert without("Photo:&nbsp;a dog <b>runs</b> |  Site", "Photo: ", " | Site") == "a dog runs"
    assert without("a dog", "", "") == "a dog"


def test_a_caption_that_is_boiler_plate_alone_stays() -> None:
    assert without("Home | Site", "", " | Site") == "Home"
    assert without("| Site", "", "| Site") == "| Site"
