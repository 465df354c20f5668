import duckdb
import pytest

from pairsieve.filters.concept_balance import ConceptBalance

COLUMNS = "concept_matches, concept_rank, concept_tail"


def passes(filter_: ConceptBalance, *found: float | None) -> bool | None:
    query = f"SELECT {filter_.rule()} FROM (VALUES (?::INT, ?::DOUBLE, ?::DOUBLE)) AS l({COLUMNS})"
    (row,) = duckdb.execute(query, list(found)).fetchall()
    return row[0]  # type: ignore[no-any-return]


def test_a_pair_is_kept_if_an_entry_draws_it_below_t() -> None:
    assert passes(ConceptBalance(max_pairs=10), 2, 9.99, 0.9) is True
    assert passes(ConceptBalance(max_pairs=10), 2, 10.0, 0.0) is False


def test_the_share_of_the_tail_takes_the_place_of_t() -> None:
    assert passes(ConceptBalance(max_pairs=10, max_tail=0.5), 2, 99.0, 0.49) is True
    assert passes(ConceptBalance(max_pairs=10, max_tail=0.5), 2, 1.0, 0.5) is False


def test_captions_without_an_entry_are_dropped_unless_wanted() -> None:
    assert passes(ConceptBalance(), 0, None, None) is False
    assert passes(ConceptBalance(keep_unmatched=True), 0, None, None) is True


def test_what_was_not_matched_is_unmeasured() -> None:
    assert passes(ConceptBalance(), None, None, None) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_pairs": 0}, "max_pairs must be at least 1, got 0"),
        ({"max_tail": 0}, "max_tail must be above 0 and at most 1, got 0"),
        ({"max_tail": 1.1}, "max_tail must be above 0 and at most 1, got 1.1"),
    ],
)
def test_option_out_of_range_is_refused(options: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ConceptBalance(**options)  # type: ignore[arg-type]
