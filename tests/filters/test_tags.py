import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.tags import Tags
from pairsieve.schemas.columns import TAG, TAG_PROBABILITY

LEDGER = pa.table(
    {
        "tag": pa.array(["red", "blue", "it's", None], TAG.type),
        "tag_probability": pa.array([0.5, 0.9, 0.4, None], TAG_PROBABILITY.type),
    }
)


def kept(**options: object) -> list[bool | None]:
    rule = Tags(**options).rule()  # type: ignore[arg-type]
    return [row[0] for row in duckdb.from_arrow(LEDGER).project(rule).fetchall()]


def test_keeps_any_of_the_tags_listed() -> None:
    assert kept(any_of=["red", "it's"]) == [True, False, True, None]


def test_drops_any_of_the_tags_excluded() -> None:
    assert kept(none_of=["red"]) == [False, True, True, None]


def test_the_least_probability_is_kept_and_the_next_number_below_is_dropped() -> None:
    above = float(np.nextafter(np.float32(0.5), np.float32(1)))
    assert kept(min_probability=0.5)[0] is True
    assert kept(min_probability=above)[0] is False


@pytest.mark.parametrize("bound", [-0.1, 1.1, math.nan])
def test_refuses_what_is_no_probability(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"in \[0, 1\], got {bound}"):
        Tags(min_probability=bound)


def test_refuses_a_tag_that_is_no_list() -> None:
    with pytest.raises(ValueError, match="any_of must be a list of tags, got 'red'"):
        Tags(any_of="red")  # type: ignore[arg-type]
