import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.caption_chars import CaptionChars
from pairsieve.schemas.columns import CAPTION_CHARS

TEXTS = ["", "dog", "犬", "e\u0301", "\U0001f415", "a\nb", "x" * 1_000_000]
CHARS = [0, 3, 1, 2, 1, 3, 1_000_000]


def kept(rule: str, chars: list[int | None]) -> list[bool | None]:
    ledger = pa.table({"caption_chars": pa.array(chars, CAPTION_CHARS.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def test_counts_code_points() -> None:
    assert CaptionChars().measure(text=np.array(TEXTS, object)).tolist() == CHARS


def test_bounds_are_kept_and_their_neighbours_are_dropped() -> None:
    rule = CaptionChars(min_chars=6, max_chars=9).rule()
    assert kept(rule, [5, 6, 9, 10]) == [False, True, True, False]


def test_a_null_score_is_not_kept() -> None:
    assert kept(CaptionChars().rule(), [None]) == [None]


@pytest.mark.parametrize(("least", "most"), [(-1, 5), (6, 5)])
def test_refuses_bounds_that_cannot_hold(least: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"got min_chars {least} and max_chars {most}"):
        CaptionChars(min_chars=least, max_chars=most)


def test_no_texts_give_no_counts() -> None:
    counts = CaptionChars().measure(text=np.array([], object))
    assert counts.shape == (0,)
    assert counts.dtype == np.int32


def test_order_and_batches_do_not_matter() -> None:
    back = np.array(TEXTS[::-1], object)
    parts = [CaptionChars().measure(text=part) for part in (back[:3], back[3:])]
    assert np.concatenate(parts).tolist() == CHARS[::-1]
