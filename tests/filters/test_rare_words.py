import duckdb
import pytest

from pairsieve.filters.rare_words import RareWords


def passes(filter_: RareWords, rank: int | None, times: int | None = 1) -> bool | None:
    columns = "FROM (VALUES (?::BIGINT, ?::BIGINT)) AS l(rarest_word_rank, rarest_word_times)"
    (row,) = duckdb.execute(f"SELECT {filter_.rule()} {columns}", [rank, times]).fetchall()
    return row[0]  # type: ignore[no-any-return]


def test_the_hundred_millionth_is_kept_and_the_next_dropped_as_align_does() -> None:
    assert passes(RareWords(), 100_000_000) is True
    assert passes(RareWords(), 100_000_001) is False


def test_the_bound_of_times_is_kept_itself() -> None:
    assert passes(RareWords(min_times=20), 1, 20) is True
    assert passes(RareWords(min_times=20), 1, 19) is False


def test_a_caption_without_words_is_unmeasured() -> None:
    assert passes(RareWords(), None, None) is None


@pytest.mark.parametrize("option", ["max_rank", "min_times"])
def test_none_at_all_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        RareWords(**{option: 0})
