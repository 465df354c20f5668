import duckdb
import pytest

from pairsieve.filters.eval_overlap import EvalOverlap


def passes(filter_: EvalOverlap, distance: int | None, overlap: float | None) -> bool | None:
    query = (
        f"SELECT {filter_.rule()} FROM (SELECT ?::INT AS eval_distance, ?::FLOAT AS eval_overlap)"
    )
    (row,) = duckdb.execute(query, [distance, overlap]).fetchall()
    return row[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("distance", "kept"), [(None, True), (0, False), (4, False), (10, False)])
def test_what_is_near_by_hash_is_dropped(distance: int | None, kept: bool) -> None:
    assert passes(EvalOverlap(), distance, None) is kept


@pytest.mark.parametrize(("overlap", "kept"), [(0.5, False), (0.75, False), (0.25, True)])
def test_from_the_cosine_on_it_is_dropped(overlap: float, kept: bool) -> None:
    assert passes(EvalOverlap(min_cosine=0.5), None, overlap) is kept


def test_either_signal_is_enough() -> None:
    assert passes(EvalOverlap(min_cosine=0.5), 3, -0.5) is False
    assert passes(EvalOverlap(), 3, 0.9) is False


def test_a_missing_vector_is_unmeasured_only_when_vectors_count() -> None:
    assert passes(EvalOverlap(min_cosine=0.5), None, None) is None
    assert passes(EvalOverlap(), None, None) is True


@pytest.mark.parametrize("cosine", [-1, 1, None])
def test_bounds_are_allowed(cosine: float | None) -> None:
    assert EvalOverlap(cosine).min_cosine == cosine


@pytest.mark.parametrize("cosine", [-1.01, 1.01, float("nan")])
def test_cosine_out_of_range_is_refused(cosine: float) -> None:
    with pytest.raises(ValueError, match="min_cosine must be -1 to 1, got "):
        EvalOverlap(cosine)
