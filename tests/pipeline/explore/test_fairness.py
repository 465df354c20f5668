import pytest
from tests.pipeline.explore.dataset import SQL_HOST, Finished

from pairsieve.pipeline.explore.database import opened
from pairsieve.pipeline.explore.fairness import columns, unlike


def test_the_rule_that_treats_languages_most_unlike_is_on_top(finished: Finished) -> None:
    """Thai pictures are half as sharp, which is all by which languages differ."""
    with opened(finished.store) as database:
        found = unlike(finished.store, database, "language")
        counted = {
            row["language"]: (row["n"], row["sharp"])
            for batch in database.ask(
                "SELECT language, count(*) AS n, count(*) FILTER (sharpness >= 0.3) AS sharp "
                "FROM ledger WHERE outcome = 'ok' GROUP BY language"
            )[1]
            for row in batch.to_pylist()
        }
    top = found[0]
    assert (top.rule, top.lowest.group) == ("sharpness", "th")
    assert top.certain > 0.1
    assert {rate.group: (rate.pairs, rate.passed) for rate in top.rates} == counted
    assert max(one.certain for one in found[1:]) < 0.1


def test_small_groups_are_left_out(finished: Finished) -> None:
    with opened(finished.store) as database:
        found = unlike(finished.store, database, "host")
        assert SQL_HOST not in {rate.group for one in found for rate in one.rates}
        small = unlike(finished.store, database, "host", least=5)
    assert SQL_HOST in {rate.group for one in small for rate in one.rates}


@pytest.mark.parametrize("least", [1, 10_000])
def test_rules_that_drop_nothing_are_left_out(finished: Finished, least: int) -> None:
    with opened(finished.store) as database:
        found = unlike(finished.store, database, "language", least)
    assert "worded" not in {one.rule for one in found}
    assert bool(found) == (least == 1)


def test_pairs_can_be_grouped_by_what_the_input_says(finished: Finished) -> None:
    with opened(finished.store) as database:
        assert columns(database) == ["language", "host", "tag"]
