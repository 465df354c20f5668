import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.personal_data import PersonalData, PersonalDataFinder
from pairsieve.filters.personal_data_kinds import find, masked
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import PERSONAL_DATA

US = ("US",)
# Numbers are those that standards and their makers publish as examples, or worked out by hand.
MASKED = [
    ("mail john.doe@example.org now", "mail [email] now"),
    ("john.doe+x@mail.example.co.uk.", "[email]."),
    ("john (at) example.com", "[email]"),
    ("call +49 30 123456 today", "call [phone] today"),
    ("(212) 736-5000", "[phone]"),
    ("IP 8.8.8.8", "IP [ip]"),
    ("2001:4860:4860::8888", "[ip]"),
    ("DE89 3704 0044 0532 0130 00", "[iban]"),
    ("GB82WEST12345698765432", "[iban]"),
    ("4111 1111 1111 1111", "[card]"),
    ("378282246310005", "[card]"),
    ("078-05-1120", "[id]"),
    ("529.982.247-25", "[id]"),
    ("12345678Z", "[id]"),
    ("11010519491231002X", "[id]"),
    ("a@b.example, c@d.example", "[email], [email]"),
]
FINE = [
    "", "a dog", "@home", "a@b", "v1.2.3.4", "192.168.0.1", "999.1.1.1", "12:30:45", "::",
    "DE88 3704 0044 0532 0130 00",  # each with a wrong check digit
    "4111 1111 1111 1112", "529.982.247-26", "12345678A", "110105194912310021",
    "0000 0000 0000 0000", "000-12-3456", "4006381333931", "978-0-670-01940-3", "2125550123",
    "Pirelli 110/90-19 - 2000", "2012-06-01 10:22", "111.111.111-11", "$1,200.00 - $2,400.00",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_personal_data_is_found_and_masked(text: str, expected: str) -> None:
    assert masked(text, US) == expected


@pytest.mark.parametrize("text", FINE)
def test_other_numbers_are_not_personal_data(text: str) -> None:
    assert find(text, US) == []


def test_a_number_without_a_plus_is_known_in_its_own_country() -> None:
    number = "01 42 68 53 00"
    assert find(number, US) == []
    assert masked(number, ("US", "FR")) == "[phone]"


def recipe(**text: object) -> Recipe:
    return Recipe.model_validate({"input": {"path": "p"}, "text": text})


def test_the_recipe_says_which_countries() -> None:
    configured = PersonalData().configured(recipe(phone_regions=["FR"]))
    assert configured == PersonalDataFinder(("FR",))
    assert PersonalData().configured(recipe(personal_data=False)) is None
    assert PersonalData().configured(Recipe.model_validate({"input": {"path": "p"}})) is None


def test_kinds_are_counted_and_nothing_of_them_is_kept() -> None:
    texts = np.array(["a@b.example 8.8.8.8 c@d.example", "a dog"], object)
    assert PersonalData().measure(texts).tolist() == [[("email", 2), ("ip", 1)], []]


def test_a_rule_drops_the_kinds_it_names() -> None:
    column = pa.array([[("email", 2)], [("ip", 1)], [], None], PERSONAL_DATA.type)
    ledger = pa.table({"personal_data": column})
    rules = (PersonalData().rule(), PersonalData(kinds=("ip",)).rule())
    rows = [[row[0] for row in duckdb.from_arrow(ledger).project(r).fetchall()] for r in rules]
    assert rows == [[False, False, True, None], [True, False, True, None]]


@pytest.mark.parametrize("kinds", [(), "email", ("name",)])
def test_refuses_other_kinds(kinds: object) -> None:
    with pytest.raises(ValueError, match="kinds must be a list of email, phone, ip, iban"):
        PersonalData(kinds=kinds)  # type: ignore[arg-type]


def test_order_and_batches_do_not_matter() -> None:
    texts = np.array([text for text, _ in MASKED] + FINE, object)
    back = PersonalData().measure(texts[::-1]).tolist()[::-1]
    assert PersonalData().measure(texts).tolist() == back
    assert PersonalData().measure(texts[:0]).shape == (0,)


@pytest.mark.parametrize("part", ["1 ", "a@", "a.", "1.1.1.", "+1 212 ", "DE89 ", ":", "(at)"])
def test_a_megabyte_is_looked_through(part: str) -> None:
    assert find(part * (1_000_000 // len(part)), US) == []
