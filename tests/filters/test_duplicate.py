import duckdb
import pytest

from pairsieve.filters.duplicate import Duplicate


def test_a_copy_is_dropped_and_the_kept_one_and_the_only_one_stay() -> None:
    ledger = "(VALUES ('a', NULL), ('b', 'a'), ('c', NULL)) AS ledger(uid, duplicate_of)"
    query = f"SELECT uid FROM {ledger} WHERE {Duplicate().rule()} ORDER BY uid"
    assert duckdb.execute(query).fetchall() == [("a",), ("c",)]


def test_rule_is_never_null() -> None:
    query = f"SELECT {Duplicate().rule()} FROM (SELECT NULL::VARCHAR AS duplicate_of)"
    assert duckdb.execute(query).fetchall() == [(True,)]


@pytest.mark.parametrize("distance", [0, 10])
def test_bounds_are_allowed(distance: int) -> None:
    assert Duplicate(distance).max_distance == distance


@pytest.mark.parametrize("distance", [-1, 11, 4.5])
def test_distance_out_of_range_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"max_distance must be 0 to 10, got {distance}"):
        Duplicate(distance)


def test_default_distance_is_four() -> None:
    assert Duplicate().max_distance == 4
