import math

import duckdb
import pytest

from pairsieve.filters.semantic_duplicate import SemanticDuplicate


def test_what_shows_the_same_is_dropped_and_the_kept_one_and_the_only_one_stay() -> None:
    ledger = "(VALUES ('a', NULL), ('b', 'a'), ('c', NULL)) AS ledger(uid, semantic_of)"
    query = f"SELECT uid FROM {ledger} WHERE {SemanticDuplicate().rule()} ORDER BY uid"
    assert duckdb.execute(query).fetchall() == [("a",), ("c",)]


def test_rule_is_never_null() -> None:
    query = f"SELECT {SemanticDuplicate().rule()} FROM (SELECT NULL::VARCHAR AS semantic_of)"
    assert duckdb.execute(query).fetchall() == [(True,)]


def test_bounds_are_allowed() -> None:
    assert SemanticDuplicate(1, 1, 1).min_cosine == 1
    assert SemanticDuplicate(1e-9, 65_536, 4).clusters == 65_536


@pytest.mark.parametrize("cosine", [0, -0.5, 1.01, math.nan])
def test_refuses_what_is_no_cosine_of_likeness(cosine: float) -> None:
    with pytest.raises(ValueError, match=f"above 0, at most 1, got {cosine}"):
        SemanticDuplicate(min_cosine=cosine)


@pytest.mark.parametrize("clusters", [0, -1, 65_537, 2.5])
def test_refuses_impossible_numbers_of_clusters(clusters: int) -> None:
    with pytest.raises(ValueError, match=f"auto or 1 to 65536, got {clusters}"):
        SemanticDuplicate(clusters=clusters)


@pytest.mark.parametrize("probes", [0, 5])
def test_refuses_impossible_numbers_of_probes(probes: int) -> None:
    with pytest.raises(ValueError, match=f"probes must be 1 to 4, got {probes}"):
        SemanticDuplicate(probes=probes)
