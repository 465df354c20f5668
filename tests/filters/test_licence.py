import duckdb
import pytest

from pairsieve.filters.licence import Licence

CC = "creativecommons.org"


def keeps(rule: Licence, value: str | None) -> bool:
    with duckdb.connect() as connection:
        query = f"SELECT {rule.rule()} FROM (SELECT ?::VARCHAR AS {rule.column})"
        ((kept,),) = connection.execute(query, [value]).fetchall()
    return bool(kept)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (f"https://{CC}/licenses/by/4.0/", True),
        (f"http://{CC}/licenses/by/2.0/de/deed.en", True),
        (f"HTTPS://www.{CC}/licenses/by/4.0", True),
        (f" https://{CC}/publicdomain/zero/1.0/ ", True),
        (f"https://{CC}/licenses/by-nc/4.0/", False),  # begins as `by` does
        (f"https://{CC}/licenses/by-sa/4.0/", False),
        (f"https://{CC}/publicdomain/mark/1.0/", False),
        (f"https://{CC}.example.org/licenses/by/4.0/", False),
        (f"https://example.org/?{CC}/licenses/by/4.0/", False),
        ("CC-BY-4.0", True),
        ("cc by 3.0", True),
        ("CC0", True),
        ("CC-BY-NC-4.0", False),
        ("© all rights reserved", False),
        ("", False),
        (None, False),
    ],
)
def test_a_kind_is_every_version_of_it_and_no_other(value: str | None, kept: bool) -> None:
    assert keeps(Licence(allow=("cc0", "cc-by")), value) is kept


def test_a_url_allows_what_begins_with_it() -> None:
    rule = Licence(allow=("https://a.org/terms?x=1.5",))
    assert keeps(rule, "http://a.org/terms?x=1.5&y")
    assert not keeps(rule, "https://a.org/terms?x=1y5")
    assert not keeps(rule, "https://aXorg/terms?x=1.5")


def test_unknown_licences_are_kept_only_if_that_is_said() -> None:
    rule = Licence(allow=("cc0",), unknown="keep")
    assert keeps(rule, None)
    assert keeps(rule, "")
    assert not keeps(rule, "all rights reserved")


def test_the_licence_may_be_in_another_column() -> None:
    assert '"page_licence"' in Licence(column="page_licence").rule()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"allow": "cc0"}, "must be a list"),
        ({"allow": ()}, "must be a list"),
        ({"allow": ("cc-bx",)}, "`cc-bx` is no licence .* did you mean `cc-by`"),
        ({"allow": ("https://a.org/'; DROP",)}, "is no licence"),
        ({"column": 'a"b'}, "name of a column"),
        ({"unknown": "maybe"}, "`drop` or `keep`"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Licence(**options)  # type: ignore[arg-type]


def test_no_pairs_give_no_answer() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE ledger (xmp_licence VARCHAR)")
        assert connection.execute(f"SELECT {Licence().rule()} FROM ledger").fetchall() == []
