import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.concept import Concept
from pairsieve.schemas.columns import CONCEPTS


def kept(rule: str, concepts: list[dict[str, float] | None]) -> list[bool | None]:
    maps = [None if one is None else list(one.items()) for one in concepts]
    ledger = pa.table({"concepts": pa.array(maps, CONCEPTS.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


@pytest.mark.parametrize("bound", [0.1, 0.5])
def test_the_highest_is_kept_and_the_next_number_is_dropped(bound: float) -> None:
    above = float(np.nextafter(np.float32(bound), np.float32(math.inf)))
    rule = Concept(name="cartoon", max_probability=bound).rule()
    assert kept(rule, [{"cartoon": bound}, {"cartoon": above}]) == [True, False]


def test_the_lowest_is_kept_and_the_next_number_below_is_dropped() -> None:
    below = float(np.nextafter(np.float32(0.7), np.float32(0)))
    rule = Concept(name="it's", min_probability=0.7).rule()
    assert kept(rule, [{"it's": 0.7}, {"it's": below}]) == [True, False]


def test_what_is_not_measured_is_not_kept() -> None:
    assert kept(Concept(name="cartoon").rule(), [None, {"map": 0.5}]) == [None, None]


@pytest.mark.parametrize(("low", "high"), [(-0.1, 1), (0, 1.1), (0.6, 0.5), (math.nan, 1)])
def test_refuses_what_are_no_probabilities_in_order(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=rf"in \[0, 1\] and in this order, got {low} and {high}"):
        Concept(name="cartoon", min_probability=low, max_probability=high)
