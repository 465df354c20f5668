import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.aesthetic import Aesthetic
from pairsieve.schemas.columns import AESTHETIC


def kept(rule: str, scores: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"aesthetic": pa.array(scores, AESTHETIC.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


@pytest.mark.parametrize("bound", [4.5, 5.0, 6.25])
def test_the_bound_is_kept_and_the_next_number_below_is_dropped(bound: float) -> None:
    below = float(np.nextafter(np.float32(bound), np.float32(-math.inf)))
    assert kept(Aesthetic(min_score=bound).rule(), [bound, below, None]) == [True, False, None]


@pytest.mark.parametrize("bound", [math.nan, math.inf])
def test_refuses_what_is_no_number(bound: float) -> None:
    with pytest.raises(ValueError, match=f"must be a finite number, got {bound}"):
        Aesthetic(min_score=bound)
