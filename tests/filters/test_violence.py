import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.base import Prompted
from pairsieve.filters.violence import Violence
from pairsieve.schemas.columns import VIOLENCE

# By hand: e^0 / (e^0 + e^0); odds of 3 to 1 either way.
LOGITS = np.array([[20, 20], [0, math.log(3)], [math.log(3), 0]], np.float32)


def kept(rule: str, probabilities: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"violence": pa.array(probabilities, VIOLENCE.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def test_measures_the_softmax_of_the_violent_class() -> None:
    values = Violence().measure(prompt_logits=LOGITS)
    assert values.tolist() == pytest.approx([0.5, 0.75, 0.25], abs=1e-7)
    assert isinstance(Violence(), Prompted)


@pytest.mark.parametrize("bound", [0, 0.1, 0.5])
def test_the_bound_is_kept_and_the_next_number_is_dropped(bound: float) -> None:
    above = float(np.nextafter(np.float32(bound), np.float32(math.inf)))
    rule = Violence(max_probability=bound).rule()
    assert kept(rule, [bound, above, None]) == [True, False, None]


@pytest.mark.parametrize("bound", [-0.1, 1.1, math.nan])
def test_refuses_what_is_no_probability(bound: float) -> None:
    with pytest.raises(ValueError, match=rf"in \[0, 1\], got {bound}"):
        Violence(max_probability=bound)


def test_no_images_give_no_scores_and_order_and_batches_do_not_matter() -> None:
    assert Violence().measure(prompt_logits=LOGITS[:0]).tolist() == []
    parts = [Violence().measure(prompt_logits=LOGITS[::-1][i]) for i in (slice(1), slice(1, 3))]
    whole = Violence().measure(prompt_logits=LOGITS)
    assert np.concatenate(parts).tolist() == whole.tolist()[::-1]
