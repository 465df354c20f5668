"""What the commands on selections print."""

import json
from datetime import date
from math import inf, nan

import pytest

from pairsieve.jobs.selection_tables import json_of, limits, packed
from pairsieve.pipeline.dataset.marker import Marker

ONE = Marker(1, {"shards/a/00003.tar": {}, "shards/a/parts/00003.0123456789ab.parquet": {}})
SIX = Marker(6, {"shards/a/00000.tar": {}, "shards/a/00001.tar": {}}, {"shards": 2, "kept": 6})
FIVE = Marker(5, SIX.files, {"shards": 2, "kept": 5})


@pytest.mark.parametrize(
    ("marker", "before", "said"),
    [
        (ONE, SIX, "shards/a/00003.tar  1 sample"),
        (ONE, None, "shards/a/00003.tar  1 sample"),
        (SIX, SIX, "2 shards from before, with 6 samples"),
        (
            FIVE,
            SIX,
            "2 shards from before, with 5 samples; 1 sample left them, dropped by now",
        ),
        (FIVE, None, "2 shards from before, with 5 samples"),
    ],
)
def test_of_shards_it_is_said_which_are_new_and_what_left_them(
    marker: Marker, before: Marker | None, said: str
) -> None:
    assert packed(marker, before) == said


def test_a_score_that_is_no_number_is_null_in_json() -> None:
    said = [{"score": nan, "more": [inf, 0.5], "day": date(2024, 1, 31)}]
    there = [{"score": None, "more": [None, 0.5], "day": "2024-01-31"}]
    assert json.loads(json_of(said)) == there


def test_what_limits_a_mix_is_said() -> None:
    marker = Marker(0, {}, extra={"scarce": {"mix by language": ["zh", 1200]}})
    assert limits(marker) == ["mix by language: limited by `zh`, of which there are 1,200 pairs."]
    assert limits(SIX) == []
