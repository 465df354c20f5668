import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.base import Prompted
from pairsieve.filters.nsfw import Nsfw
from pairsieve.schemas.columns import NSFW

# By hand: e^0 / (e^0 + e^0); odds of 3 to 1 either way; a difference that float32's exp overflows.
LOGITS = np.array([[20, 20], [0, math.log(3)], [math.log(3), 0], [0, 200], [200, 0]], np.float32)
PROBABILITIES = [0.5, 0.75, 0.25, 1.0, 0.0]


def kept(rule: str, probabilities: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"nsfw": pa.array(probabilities, NSFW.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def test_measures_the_softmax_of_the_second_class() -> None:
    values = Nsfw().measure(prompt_logits=LOGITS)
    assert values.tolist() == pytest.approx(PROBABILITIES, abs=1e-7)
    assert values.dtype == np.float32


def test_offers_several_prompts_for_each_of_two_classes() -> None:
    assert isinstance(Nsfw(), Prompted)
    assert list(Nsfw.prompts) == ["safe", "unsafe"]
    assert all(len(set(texts)) >= 5 for texts in Nsfw.prompts.values())


@pytest.mark.parametrize("bound", [0, 0.1, 0.3, 0.7])
def test_the_bound_is_kept_and_the_next_number_is_dropped(bound: float) -> None:
    above = float(np.nextafter(np.float32(bound), np.float32(math.inf)))
    assert kept(Nsfw(max_probability=bound).rule(), [bound, above]) == [True, False]


def test_a_null_score_is_not_kept() -> None:
    assert kept(Nsfw().rule(), [None]) == [None]


@pytest.mark.parametrize("bound", [-0.1, 1.1, math.nan])
def test_refuses_what_is_no_probability(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"in \[0, 1\], got {bound}"):
        Nsfw(max_probability=bound)


def test_no_images_give_no_scores() -> None:
    assert Nsfw().measure(prompt_logits=np.zeros((0, 2), np.float32)).tolist() == []


def test_order_and_batches_do_not_matter() -> None:
    parts = [Nsfw().measure(prompt_logits=LOGITS[::-1][i]) for i in (slice(2), slice(2, 5))]
    whole = Nsfw().measure(prompt_logits=LOGITS)
    assert np.concatenate(parts).tolist() == whole.tolist()[::-1]
