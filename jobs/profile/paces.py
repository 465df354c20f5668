"""The pace for a host, from what it said and how it answered.

The slowest of: what the caller allows at most; its own Crawl-delay; one request under way on
average, so that a slow server is asked less often; half of what the recipe says where a server
answered that it is asked too much.

Source: one request under way on average is Scrapy's AutoThrottle at its default target
concurrency of 1 (docs.scrapy.org/en/latest/topics/autothrottle.html); halving is ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from pairsieve.jobs.profile.asking import Answers
from pairsieve.pipeline.fetch.request_rates import limit_of
from pairsieve.schemas.recipe import Fetch

DAY_S = 86_400
LEAST_PER_S = 0.001  # that a recipe may say


@dataclass(frozen=True, slots=True)
class Pace:
    """A pace for a host.

    Attributes:
        answers: What the host answered.
        per_s: Requests per second; with two digits, unless they are the recipe's or the caller's.
        because: Why no more.
        is_new: Whether it differs from the recipe's.
    """

    answers: Answers
    per_s: float
    because: str
    is_new: bool

    @property
    def days(self) -> float:
        """Return how long all pairs of the host take at this pace, without retries."""
        return self.answers.pairs / self.per_s / DAY_S


def propose(answers: Answers, fetch: Fetch, max_per_s: float | None = None) -> Pace:
    """Return the pace for a host, at most `max_per_s`, or else the recipe's own."""
    own = limit_of(answers.host, fetch)
    bounds = [(own if max_per_s is None else max_per_s, "recipe" if max_per_s is None else "limit")]
    if answers.delay_s:
        bounds.append((_two_digits(1 / answers.delay_s), "crawl delay"))
    if answers.latency_s:
        bounds.append((_two_digits(1 / answers.latency_s), "latency"))
    if answers.busy:
        bounds.append((_two_digits(own / 2), "asked too much"))
    slowest, because = min(bounds)
    per_s = max(slowest, LEAST_PER_S)
    return Pace(answers, per_s, because, because != "recipe" and per_s != own)


def _two_digits(per_s: float) -> float:
    """Return a number with two digits, not more than it is."""
    number = Decimal(repr(per_s))
    return float(number.quantize(Decimal(1).scaleb(number.adjusted() - 1), ROUND_FLOOR))


def as_recipe(paces: Iterable[Pace]) -> dict[str, Any]:
    """Return the paces that are new as a recipe has them; nothing where there are none."""
    hosts = {pace.answers.host: {"per_s": pace.per_s} for pace in paces if pace.is_new}
    return {"fetch": {"hosts": hosts}} if hosts else {}
