import duckdb
import pytest

from pairsieve.filters.caption_frequency import CaptionFrequency


def passes(filter_: CaptionFrequency, pairs: int | None) -> bool | None:
    query = f"SELECT {filter_.rule()} FROM (VALUES (?::BIGINT)) AS l(caption_count)"
    (row,) = duckdb.execute(query, [pairs]).fetchall()
    return row[0]  # type: ignore[no-any-return]


def test_ten_pairs_are_kept_and_eleven_dropped_as_align_does() -> None:
    assert passes(CaptionFrequency(), 10) is True
    assert passes(CaptionFrequency(), 11) is False


def test_another_bound_is_kept_itself() -> None:
    assert passes(CaptionFrequency(max_pairs=1), 1) is True
    assert passes(CaptionFrequency(max_pairs=1), 2) is False


def test_what_was_not_counted_is_unmeasured() -> None:
    assert passes(CaptionFrequency(), None) is None


def test_no_pair_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="max_pairs must be at least 1, got 0"):
        CaptionFrequency(max_pairs=0)
