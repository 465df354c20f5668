import math

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pairsieve.filters.aspect_ratio import AspectRatio
from pairsieve.schemas.columns import ASPECT_RATIO

WIDTHS = np.array([600, 200, 5, 1], np.int32)
HEIGHTS = np.array([200, 600, 5, 65_535], np.int32)
RATIOS = [3.0, 3.0, 1.0, 65_535.0]


def kept(rule: str, ratios: list[float | None]) -> list[bool | None]:
    ledger = pa.table({"aspect_ratio": pa.array(ratios, ASPECT_RATIO.type)})
    return [row[0] for row in duckdb.from_arrow(ledger).project(rule).fetchall()]


def test_measures_long_side_over_short_side() -> None:
    assert AspectRatio().measure(width=WIDTHS, height=HEIGHTS).tolist() == RATIOS


@pytest.mark.parametrize("bound", [1.1, 3, 3.3, 2.5])
def test_the_bound_is_kept_and_the_next_number_is_dropped(bound: float) -> None:
    above = float(np.nextafter(np.float32(bound), np.float32(math.inf)))
    assert kept(AspectRatio(max_ratio=bound).rule(), [bound, above]) == [True, False]


def test_a_null_score_is_not_kept() -> None:
    assert kept(AspectRatio().rule(), [None]) == [None]


@pytest.mark.parametrize("bound", [0.5, math.inf, math.nan])
def test_refuses_a_ratio_that_no_image_or_every_image_has(bound: float) -> None:
    with pytest.raises(ValueError, match=f"at least 1 and finite, got {bound}"):
        AspectRatio(max_ratio=bound)


def test_no_images_give_no_ratios() -> None:
    none = np.array([], np.int32)
    ratios = AspectRatio().measure(width=none, height=none)
    assert ratios.shape == (0,)
    assert ratios.dtype == np.float32


def test_order_and_batches_do_not_matter() -> None:
    width, height = WIDTHS[::-1], HEIGHTS[::-1]
    parts = [
        AspectRatio().measure(width=width[i], height=height[i]) for i in (slice(1), slice(1, 4))
    ]
    assert np.concatenate(parts).tolist() == RATIOS[::-1]
