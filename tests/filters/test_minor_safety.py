import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.base import Prompted
from pairsieve.filters.minor_safety import MinorSafety
from pairsieve.schemas.columns import MINOR_SAFETY

# By hand: the probability of the third class is 1/2 (e^ln2 = 2 against 1 + 1), 1/3, and 3/5.
LOGITS = np.log(np.array([[1, 1, 2], [1, 1, 1], [1, 1, 3]], np.float32))


def measured(nsfw: list[float], logits: np.ndarray, texts: list[str]) -> list[float]:
    values = MinorSafety().measure(
        nsfw=np.array(nsfw, np.float32), prompt_logits=logits, text=np.array(texts, object)
    )
    assert values.dtype == np.float32
    return list(values.tolist())


def kept(rule: str, scores: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"minor_safety": pa.array(scores, MINOR_SAFETY.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def test_is_nsfw_where_prompts_find_a_minor_likelier_than_not_and_else_0() -> None:
    assert measured([0.25, 0.25, 0.5], LOGITS, ["", "a lamp", "a lamp"]) == [0.25, 0, 0.5]
    assert isinstance(MinorSafety(), Prompted)


@pytest.mark.parametrize("text", ["A child.", "two KIDS", "baby", "teenagers", "schoolgirl"])
def test_is_nsfw_where_the_text_names_a_minor(text: str) -> None:
    assert measured([0.25], LOGITS[1:2], [text]) == [0.25]


@pytest.mark.parametrize("text", ["kidney beans", "Rothschild", "canteen", "babylon", "a woman"])
def test_a_part_of_another_word_names_nobody(text: str) -> None:
    assert measured([0.25], LOGITS[1:2], [text]) == [0]


def test_the_bound_is_kept_and_the_next_number_is_dropped() -> None:
    above = float(np.nextafter(np.float32(0.05), np.float32(1)))
    assert kept(MinorSafety().rule(), [0, 0.05, above, None]) == [True, True, False, None]


@pytest.mark.parametrize("bound", [0.06, 1, -0.1, math.nan])
def test_a_limit_may_only_be_made_stricter(bound: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 0.05\], the limit that always holds; got"):
        MinorSafety(max_probability=bound)


def test_no_pairs_give_no_scores_and_order_and_batches_do_not_matter() -> None:
    assert measured([], LOGITS[:0], []) == []
    texts, nsfw = ["a", "a child", "b"], [0.25, 0.5, 0.75]
    whole = measured(nsfw, LOGITS, texts)
    assert (
        measured(nsfw[:1], LOGITS[:1], texts[:1]) + measured(nsfw[1:], LOGITS[1:], texts[1:])
        == whole
    )
    assert measured(nsfw[::-1], LOGITS[::-1], texts[::-1]) == whole[::-1]
