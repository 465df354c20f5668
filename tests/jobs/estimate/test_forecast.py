"""Figures of a whole input out of those of a sample, and what stands beside them."""

from dataclasses import replace
from math import isclose, sqrt

import numpy as np
import pytest

from pairsieve.jobs.estimate.forecast import Figure, Forecast, Prices, forecast
from pairsieve.jobs.estimate.sampled import Sampled

SAMPLE = Sampled(
    pairs=100,
    of=10_001,
    images=80,
    alone=60,
    kept=50,
    comparing=("duplicate",),
    measured={
        "fetch_bytes": (1000.0, 200.0),
        "image_bytes": (500.0, 100.0),
        "attempts": (1.5, 0.0),
    },
    cpu_s=(0.01, 0.02, 0.03),
    gpu_s=(),
    pool_bytes=60_000,
    units=(10, 2),
    unit_bytes=1_000.0,
    shard_bytes=30_000,
    hosts=(("big.example", 9_000, 10.0), ("small.example", 1_001, 2.0)),
)


def figure(found: Forecast, name: str) -> Figure:
    (one,) = [one for one in found.figures if one.name == name]
    return one


def test_shares_and_means_are_scaled_with_their_intervals() -> None:
    found = forecast(SAMPLE, Prices())
    images, bytes_ = figure(found, "with an image"), figure(found, "downloaded")
    assert isclose(images.value, 0.8 * 10_001)
    assert images.low is not None
    assert 0.71 < images.low / 10_001 < 0.8 < images.high / 10_001 < 0.87
    independent = 100 * 10_000 / 9_901
    half = 10_001 * 1.959964 * 200 / sqrt(independent)
    assert isclose(bytes_.high - bytes_.value, half)
    stored = figure(found, "dataset")
    assert isclose(stored.value, 500 * 10_001 + 2 * 1_000)
    assert isclose(stored.high - stored.value, half / 2)


def test_the_days_of_a_host_are_its_requests_at_the_rate_it_sees() -> None:
    (big, days), (small, slow) = forecast(SAMPLE, Prices()).hosts
    assert (big, small) == (9_000, 1_001)
    assert days.name == "big.example"
    assert isclose(days.value, 9_000 * 1.5 / 10 / 86_400)
    assert isclose(slow.value, 1_001 * 1.5 / 2 / 86_400)
    none = forecast(replace(SAMPLE, hosts=()), Prices())
    assert none.hosts == ()
    assert not any("Days" in note for note in none.notes)


def test_what_compares_pairs_bounds_the_survivors_from_above_alone() -> None:
    found = forecast(SAMPLE, Prices())
    assert figure(found, "kept, at most").low is None
    assert any("duplicate" in note for note in found.notes)
    alone = forecast(replace(SAMPLE, comparing=()), Prices())
    assert figure(alone, "kept").low is not None
    assert not any("compares" in note for note in alone.notes)


def test_a_sample_that_is_the_whole_leaves_nothing_open() -> None:
    found = forecast(replace(SAMPLE, of=100), Prices())
    for name in ("with an image", "kept", "downloaded", "dataset", "shards"):
        one = figure(found, name)
        assert one.low == pytest.approx(one.value) == pytest.approx(one.high)


def test_nineteen_in_twenty_intervals_hold_what_is_true_of_the_whole() -> None:
    random = np.random.default_rng(0)
    whole = random.random(3000) < 0.7
    size = np.where(whole, random.lognormal(10, 1, 3000), 0)
    held = {"with an image": 0, "downloaded": 0}
    for _ in range(400):
        rows = random.choice(3000, 500, replace=False)
        sizes = (float(size[rows].mean()), float(size[rows].std(ddof=1)))
        measured = SAMPLE.measured | {"fetch_bytes": sizes}
        images = int(whole[rows].sum())
        drawn = replace(SAMPLE, pairs=500, of=3000, images=images, measured=measured)
        found = forecast(drawn, Prices())
        for name, true in (("with an image", whole.sum()), ("downloaded", size.sum())):
            one = figure(found, name)
            assert one.low is not None
            held[name] += bool(one.low <= true <= one.high)
    assert 0.92 < held["with an image"] / 400 < 0.98
    assert 0.91 < held["downloaded"] / 400 < 0.98


def test_hours_vary_as_the_task_slices_do() -> None:
    hours = figure(forecast(SAMPLE, Prices()), "CPU")
    assert isclose(hours.value, 0.02 * 10_001 / 3600)
    assert isclose(hours.high - hours.value, 4.302652729911275 * 0.01 / sqrt(3) * 10_001 / 3600)
    one_slice = figure(forecast(replace(SAMPLE, cpu_s=(0.02,)), Prices()), "CPU")
    assert one_slice.low == one_slice.value == one_slice.high


def test_only_what_has_a_price_costs() -> None:
    assert [one for one in forecast(SAMPLE, Prices()).figures if one.name == "cost"] == []
    sample = replace(SAMPLE, gpu_s=(0.001, 0.001), unit_bytes=0.0)
    found = forecast(sample, Prices(cpu_hour=2.0, gpu_hour=10.0, gb=100.0))
    hours = 2.0 * 0.02 / 3600 + 10.0 * 0.001 / 3600
    stored = 100.0 * (600 + 300) / 1e9
    assert isclose(figure(found, "cost").value, 10_001 * (hours + stored))
