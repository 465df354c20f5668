import math

import pyarrow as pa

from pairsieve.pipeline.stats.counted_bins import counted
from pairsieve.pipeline.stats.histogram_bins import Bins
from pairsieve.schemas.column import Column

NUMBER = Column("n", pa.float32(), "px", "A number.")


def test_end_bins_hold_what_lies_beyond_and_null_and_no_number_are_not_counted() -> None:
    values = [-7.0, 0.0, 1.5, 1.999, 2.0, 90.0, None, math.nan, math.inf]
    keep = [True, False, True, None, True, True, True, True, True]
    table = pa.table({"n": pa.array(values, pa.float32()), "keep": keep})
    assert counted(table, [(NUMBER, Bins(1.0, 0, 3))]).to_pylist() == [
        {"name": "n", "bin": 0, "pairs": 2, "kept": 1, "lowest": -7.0, "highest": 1.0},
        {"name": "n", "bin": 1, "pairs": 2, "kept": 1, "lowest": 1.0, "highest": 2.0},
        {"name": "n", "bin": 2, "pairs": 1, "kept": 1, "lowest": 2.0, "highest": 3.0},
        {"name": "n", "bin": 3, "pairs": 1, "kept": 1, "lowest": 3.0, "highest": 90.0},
    ]


def test_without_bins_each_value_is_counted_by_itself() -> None:
    table = pa.table({"n": pa.array([3.0, 1.0, 3.0], pa.float32()), "keep": [True, True, False]})
    assert counted(table, [(NUMBER, None)]).to_pylist() == [
        {"name": "n", "bin": None, "pairs": 1, "kept": 1, "lowest": 1.0, "highest": 1.0},
        {"name": "n", "bin": None, "pairs": 2, "kept": 1, "lowest": 3.0, "highest": 3.0},
    ]


def test_a_number_that_nothing_has_leaves_nothing() -> None:
    table = pa.table({"n": pa.nulls(2, pa.float32()), "keep": [True, True]})
    assert counted(table, [(NUMBER, Bins(1.0, 0, 3))]).num_rows == 0


def test_bins_of_tiny_and_of_large_numbers_have_edges_of_their_own() -> None:
    assert [Bins(1e-12, 0, 3).edge(index) for index in range(4)] == [0.0, 1e-12, 2e-12, 3e-12]
    assert Bins(0.1, 0, 9).edge(3) == 0.3
    assert Bins(1.0, 10**12, 10**12 + 3).edge(10**12 + 1) == 10**12 + 1
