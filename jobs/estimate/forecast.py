"""The forecast: from what became of a sample to the whole input, each figure with its interval.

Shares of pairs have Wilson's interval of 95 %, means a normal one, narrower by as much as the
sample is of the whole. CPU and GPU time vary by task slice, of which there are few: Student's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf, sqrt
from typing import Any

from pairsieve.jobs.estimate.sampled import Sampled
from pairsieve.pipeline.learning.intervals import CONFIDENCE, of_repetitions, of_share

GB = 1e9
DAY_S = 86_400
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Prices:
    """What is paid, in any currency; None where nobody said."""

    cpu_hour: float | None = None
    gpu_hour: float | None = None
    gb: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the whole run.

    Attributes:
        name: Of what.
        unit: Its unit.
        value: What is expected.
        low: Lower end of the interval of 95 %; None where only the upper is known.
        high: Upper end.
    """

    name: str
    unit: str
    value: float
    low: float | None
    high: float

    def times(self, factor: float, name: str, unit: str) -> "Figure":
        """Return a figure that is `factor` times this one."""
        low = None if self.low is None else self.low * factor
        return Figure(name, unit, self.value * factor, low, self.high * factor)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will leave and cost.

    Attributes:
        pairs: Pairs of the input.
        sampled: Pairs of the sample.
        figures: The figures of the whole run.
        hosts: Days of fetching from each of the largest hosts, their pairs beside.
        notes: Sentences on what the figures leave out.
    """

    pairs: int
    sampled: int
    figures: tuple[Figure, ...]
    hosts: tuple[tuple[int, Figure], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        hosts = [
            {"host": d.name, "pairs": n, "days": d.value, "days_low": d.low, "days_high": d.high}
            for n, d in self.hosts
        ]
        figures = [asdict(figure) for figure in self.figures]
        return {
            "pairs": self.pairs,
            "sampled": self.sampled,
            "figures": figures,
            "hosts": hosts,
            "notes": list(self.notes),
        }


def forecast(sample: Sampled, prices: Prices) -> Forecast:
    """Return the forecast of a run over all pairs."""
    figures = list(_figures(sample))
    if (price := _price(figures, prices)) is not None:
        figures.append(price)
    return Forecast(
        sample.of, sample.pairs, tuple(figures), tuple(_hosts(sample)), tuple(_notes(sample))
    )


def _independent(sample: Sampled) -> float:
    """Return how many draws with replacement the sample is worth; no end where it is the whole."""
    left = sample.of - sample.pairs
    return sample.pairs * (sample.of - 1) / left if left > 0 else inf


def _figures(sample: Sampled) -> Iterator[Figure]:
    yield _share(sample, "with an image", sample.images)
    if sample.comparing:
        yield _share(sample, "passing rules on the pair alone", sample.alone)
    kept = _share(sample, "kept", sample.kept)
    whole = not sample.comparing or sample.pairs == sample.of
    yield kept if whole else Figure("kept, at most", "pairs", kept.value, None, kept.high)
    yield _mean(sample, "downloaded", "bytes", "fetch_bytes")
    yield _stored(sample)
    yield kept.times(sample.shard_bytes / max(sample.kept, 1), "shards", "bytes")
    yield _slices(sample, "CPU", sample.cpu_s)
    if sample.gpu_s:
        yield _slices(sample, "GPU", sample.gpu_s)


def _share(sample: Sampled, name: str, found: int) -> Figure:
    share = found / sample.pairs
    low, high = of_share(share, _independent(sample))
    return Figure(name, "pairs", sample.of * share, sample.of * low, sample.of * high)


def _mean(sample: Sampled, name: str, unit: str, measured: str) -> Figure:
    mean, deviation = sample.measured[measured]
    half = CONFIDENCE * deviation / sqrt(_independent(sample))
    low, high = (sample.of * max(end, 0.0) for end in (mean - half, mean + half))
    return Figure(name, unit, sample.of * mean, low, high)


def _stored(sample: Sampled) -> Figure:
    """Return the size of the dataset without shards: images vary, the rest hardly does."""
    images = _mean(sample, "", "", "image_bytes")
    units, of_units = sample.units
    of_pairs = sample.pool_bytes - units * sample.unit_bytes
    value = sample.of * of_pairs / sample.pairs + of_units * sample.unit_bytes
    low = max(0.0, value - images.value + (images.low or 0.0))
    return Figure("dataset", "bytes", value, low, value + images.high - images.value)


def _slices(sample: Sampled, name: str, spent: Sequence[float]) -> Figure:
    """Return hours, from seconds a pair of each task slice; without an interval if it is one."""
    interval = of_repetitions(spent) if len(spent) > 1 else (spent[0],) * 3
    value, low, high = (sample.of * max(each, 0.0) / HOUR_S for each in interval)
    return Figure(name, "hours", value, low, high)


def _price(figures: Sequence[Figure], prices: Prices) -> Figure | None:
    """Return what all that has a price costs; None where nothing has."""
    named = {figure.name: figure for figure in figures}
    priced = (
        ("CPU", prices.cpu_hour, 1.0),
        ("GPU", prices.gpu_hour, 1.0),
        ("dataset", prices.gb, GB),
        ("shards", prices.gb, GB),
    )
    parts = [
        named[name].times(price / unit, "", "")
        for name, price, unit in priced
        if price is not None and name in named
    ]
    if not parts:
        return None
    low = sum(part.low or 0.0 for part in parts)
    return Figure("cost", "", sum(p.value for p in parts), low, sum(p.high for p in parts))


def _hosts(sample: Sampled) -> Iterator[tuple[int, Figure]]:
    """Yield the pairs of each of the largest hosts, and the days that they take."""
    requests = _mean(sample, "", "", "attempts")
    for host, pairs, per_s in sample.hosts:
        days = pairs / sample.of / per_s / DAY_S
        yield pairs, requests.times(days, host, "days")


def _notes(sample: Sampled) -> Iterator[str]:
    if sample.comparing and sample.pairs < sample.of:
        yield (
            f"Of {', '.join(sample.comparing)} a sample shows too little: each compares pairs with "
            "one another, or says how many are kept. So `kept` is the most to be expected, and "
            "`shards` with it."
        )
    yield "CPU time is that of gather and embed, on a machine like this one."
    if sample.hosts:
        yield (
            f"Days are at the recipe's pace, {sample.hosts[0][2]:g} requests per second for the "
            "first of these hosts, day and night; the crawl ends no sooner. A longer Crawl-delay "
            "of a robots.txt is not in them."
        )
