"""95 % intervals of shares: in closed form, by resampling, and over repetitions."""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 1.959964  # standard deviations of a 95 % interval
RESAMPLES = 1000
AT_ONCE = 50  # resamples; bounds the memory for their draws
SEED = 0

Interval = tuple[float, float, float]  # a share, and the ends of its interval


def wilson(successes: int, trials: int) -> Interval:
    """Return a share of independent trials and its interval."""
    share = successes / trials if trials else 0.0
    return share, *of_share(share, trials)


def of_share(share: float, trials: float) -> tuple[float, float]:
    """Return the ends of the interval of a share seen in so many independent trials.

    They need be no whole number: what a sample is worth, without end where it is the whole.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if trials <= 0:
        return 0.0, 1.0
    z = CONFIDENCE
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials)
    half *= sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def of_groups(hits: NDArray[np.int64], trials: NDArray[np.int64]) -> Interval:
    """Return the share of trials that hit, (groups,) each, and its interval.

    Trials of one group depend on each other, as captions of one image do, so whole groups are
    drawn with replacement, by a fixed seed.

    Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), percentiles.
    """
    share = float(hits.sum() / trials.sum())
    drawn = [hits[chosen].sum(1) / trials[chosen].sum(1) for chosen in _resampled(len(hits))]
    return share, *_percentiles(np.concatenate(drawn))


def of_classes(hits: Sequence[NDArray[np.bool_]]) -> Interval:
    """Return the mean over classes of their share of hits, each (images,), and its interval.

    Images are drawn with replacement within each class.
    """
    share = float(np.mean([of_class.mean() for of_class in hits]))
    means = np.zeros(RESAMPLES)
    for number, of_class in enumerate(hits):
        parts = _resampled(len(of_class), number)
        means += np.concatenate([of_class[chosen].mean(1) for chosen in parts]) / len(hits)
    return share, *_percentiles(means)


def of_repetitions(values: Sequence[float]) -> Interval:
    """Return the mean of at least two values of one repeated experiment and its interval.

    Source: Student, "The probable error of a mean" (1908).
    """
    from scipy.stats import t

    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / sqrt(len(values))
    half = float(t.ppf(0.975, len(values) - 1)) * error
    return mean, mean - half, mean + half


def _resampled(count: int, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """Yield RESAMPLES draws of `count` indices each, in parts of (AT_ONCE, count)."""
    rng = np.random.default_rng((SEED, seed))
    for _ in range(RESAMPLES // AT_ONCE):
        yield rng.integers(0, count, (AT_ONCE, count))


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
