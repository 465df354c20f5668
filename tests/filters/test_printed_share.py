import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.printed_share import PrintedShare
from pairsieve.schemas.columns import PRINTED_SHARE


def share(caption: str, printed: str) -> float:
    texts = np.array([caption], object), np.array([printed], object)
    (value,) = PrintedShare().measure(*texts)
    return float(value)


@pytest.mark.parametrize(
    ("caption", "printed", "expected"),
    [
        ("Summer Sale: free shipping", "SUMMER SALE\nFREE SHIPPING", 1.0),
        ("Summer sale at the shop", "Summer sale", 0.4),
        ("a red dress", "", 0.0),
        ("", "Summer sale", 0.0),
        ("!?", "!?", 0.0),
        ("summer sale", "SUMMERSALE", 1.0),  # the reader has not seen the space
        ("an end", "BANEND", 0.0),  # two and three letters stand inside of anything
        ("ｓａｌｅ", "sale", 1.0),  # full width
        ("東京駅の写真", "東京駅", 0.5),  # three of six characters
    ],
)
def test_share_of_the_words_that_are_printed(caption: str, printed: str, expected: float) -> None:
    assert share(caption, printed) == pytest.approx(expected)


def test_pairs_do_not_touch_each_other_and_none_are_none() -> None:
    texts = np.array(["red sale", "sale"], object), np.array(["sale", "dress"], object)
    assert PrintedShare().measure(*texts).tolist() == [0.5, 0.0]
    empty = np.empty(0, object)
    assert len(PrintedShare().measure(empty, empty)) == 0


def test_the_bound_is_kept_and_above_is_dropped() -> None:
    rule = PrintedShare(max_share=0.4).rule()
    values = pa.array([0.4, 0.41, None], PRINTED_SHARE.type)
    with duckdb.connect() as connection:
        connection.register("ledger", pa.table({"printed_share": values}))
        passes = connection.execute(f"SELECT {rule} FROM ledger").fetchall()
    assert passes == [(True,), (False,), (None,)]


def test_a_bound_outside_of_0_and_1_is_refused() -> None:
    with pytest.raises(ValueError, match="max_share must be in"):
        PrintedShare(max_share=1.5)
