import duckdb

from pairsieve.filters.known import Known


def test_what_is_known_is_dropped_and_the_rest_stays() -> None:
    ledger = "(VALUES ('a', 'older'), ('b', NULL)) AS ledger(uid, known_in)"
    query = f"SELECT uid FROM {ledger} WHERE {Known().rule()}"
    assert duckdb.execute(query).fetchall() == [("b",)]


def test_rule_is_never_null() -> None:
    query = f"SELECT {Known().rule()} FROM (SELECT NULL::VARCHAR AS known_in)"
    assert duckdb.execute(query).fetchall() == [(True,)]
