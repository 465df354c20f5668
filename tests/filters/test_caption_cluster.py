import duckdb
import pytest

from pairsieve.filters.caption_cluster import CaptionCluster


def passes(filter_: CaptionCluster, pairs: int | None) -> bool | None:
    query = f"SELECT {filter_.rule()} FROM (VALUES (?::BIGINT)) AS l(caption_cluster_pairs)"
    (row,) = duckdb.execute(query, [pairs]).fetchall()
    return row[0]  # type: ignore[no-any-return]


def test_ten_pairs_are_kept_and_eleven_dropped() -> None:
    assert passes(CaptionCluster(), 10) is True
    assert passes(CaptionCluster(), 11) is False


def test_another_bound_is_kept_itself() -> None:
    assert passes(CaptionCluster(max_pairs=1), 1) is True
    assert passes(CaptionCluster(max_pairs=1), 2) is False


def test_what_was_not_counted_is_unmeasured() -> None:
    assert passes(CaptionCluster(), None) is None


def test_no_pair_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="max_pairs must be at least 1, got 0"):
        CaptionCluster(max_pairs=0)
