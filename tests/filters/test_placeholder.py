import duckdb
import pytest

from pairsieve.filters.placeholder import Placeholder

COLUMNS = "placeholder_hosts, placeholder_captions, placeholder_unrelated, placeholder_repeated"


def passes(
    filter_: Placeholder, *counted: float | None, repeated: float = 1, flat: float | None = 0
) -> bool | None:
    values = "(?::INT, ?::INT, ?::DOUBLE, ?::DOUBLE, ?::DOUBLE)"
    query = f"SELECT {filter_.rule()} FROM (VALUES {values}) AS l({COLUMNS}, low_information)"
    (row,) = duckdb.execute(query, [*counted, repeated, flat]).fetchall()
    return row[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("counted", "kept"),
    [
        ((3, 4, 0.5), False),
        ((2, 4, 0.5), True),
        ((3, 3, 0.5), True),
        ((3, 4, 0.49), True),
        ((9, 9, 1.0), False),
    ],
)
def test_dropped_only_where_all_three_reach_their_bounds(
    counted: tuple[int, int, float], kept: bool
) -> None:
    assert passes(Placeholder(min_hosts=3, min_captions=4, min_unrelated=0.5), *counted) is kept


@pytest.mark.parametrize(
    ("repeated", "flat", "kept"),
    [(0.5, 0, False), (0.4, 0.75, False), (0.4, 0.7, True), (0.4, None, False)],
)
def test_it_must_be_repeated_by_its_hosts_or_be_empty(
    repeated: float, flat: float | None, kept: bool
) -> None:
    assert passes(Placeholder(), 9, 9, 1.0, repeated=repeated, flat=flat) is kept


def test_what_was_not_counted_is_unmeasured() -> None:
    assert passes(Placeholder(), None, None, None) is None


def test_an_image_without_copies_is_kept_by_default() -> None:
    assert passes(Placeholder(), 1, 1, 0) is True


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_hosts", 0),
        ("min_captions", 1),
        ("min_unrelated", -0.1),
        ("min_unrelated", 1.1),
        ("min_repeated", 2),
        ("min_flat", -1),
    ],
)
def test_option_out_of_range_is_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{option} must be .*, got {value}"):
        Placeholder(**{option: value})  # type: ignore[arg-type]
