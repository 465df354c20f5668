"""What is known of the origins of one unit: their robots.txt, and whether they are left alone.

An origin is scheme, host and port. The rules of a robots.txt outlive the unit, in the cache that
the caller passes; an origin that fails, or whose robots.txt cannot be had, gets another chance with
every unit.
"""

from typing import Generic, Literal, TypeVar

from pairsieve.pipeline.fetch import robots
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.request import Answer
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

Job = TypeVar("Job")

# Failures that speak of the host rather than of the URL; so does the status 429.
HOST_FAILURES = frozenset(
    (
        Outcome.DNS, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TLS, Outcome.TIMEOUT_CONNECT,
        Outcome.TIMEOUT_FIRST_BYTE, Outcome.TIMEOUT_TOTAL, Outcome.TOO_SLOW, Outcome.INTERRUPTED,
        Outcome.HTTP_5XX,
    )
)  # fmt: skip
# Of a robots.txt: there is none, so nothing is forbidden (RFC 9309, 2.3.1.3).
_NO_FILE = frozenset((Outcome.EMPTY, Outcome.HTTP_4XX, Outcome.HTTP_OTHER))


class Origins(Generic[Job]):
    """The origins of one unit.

    Attributes:
        waiting: The jobs that wait for the robots.txt of an origin, once it is requested.
    """

    def __init__(self, options: Fetch, rules_cache: robots.RulesCache) -> None:
        self.waiting: dict[str, list[Job]] = {}
        self._options = options
        self._rules_cache = rules_cache
        self._robot = robots.product_token(options.user_agent)
        self._obey = options.robots == "obey"
        self._failures: dict[str, int] = {}  # in a row
        self._paused: dict[str, str] = {}  # and why
        self._unreadable: dict[str, Answer] = {}  # robots.txt that could not be had
        self._learnt: tuple[str, robots.Rules | None] = (
            "",
            None,
        )  # good at least for the jobs that wait

    def verdict(self, target: CanonicalUrl) -> Answer | Literal["allowed", "unknown"]:
        """Return whether `target` may be requested, or why not; unknown without a robots.txt."""
        origin = target.origin
        if origin in self._paused:
            return Answer(Outcome.HOST_PAUSED, self._paused[origin])
        if not self._obey:
            return "allowed"
        if origin in self._unreadable:
            return self._unreadable[origin]
        rules = self._rules(origin)
        if rules is None:
            return "unknown"
        if rules.allow(target.url):
            return "allowed"
        return Answer(Outcome.ROBOTS, f"{origin}/robots.txt")

    def learn(self, origin: str, answer: Answer) -> None:
        """Take what came of the request for the robots.txt of `origin`."""
        if answer.outcome is Outcome.OK:
            rules = robots.parse_rules(answer.body, self._robot)
        elif _no_file(answer):
            rules = robots.nothing_forbidden(self._robot)
        else:
            detail = ": ".join(filter(None, ("robots.txt", answer.detail)))
            self._unreadable[origin] = Answer(answer.outcome, detail, status=answer.status)
            return
        self._rules_cache.put(origin, self._robot, rules, len(answer.body))
        self._learnt = origin, rules

    def delay_s(self, origin: str) -> float:
        """Return the Crawl-delay to keep at `origin`, as far as it is known, s."""
        rules = self._rules(origin) if self._obey else None
        return min(rules.delay_s, self._options.crawl_delay_max_s) if rules else 0.0

    def _rules(self, origin: str) -> robots.Rules | None:
        learnt, rules = self._learnt
        return rules if learnt == origin else self._rules_cache.get(origin, self._robot)

    def count(self, origin: str, answer: Answer) -> int:
        """Count a request to `origin` that has ended; return its failures in a row."""
        if answer.outcome not in HOST_FAILURES and answer.status != 429:
            self._failures.pop(origin, None)
            return 0
        failures = self._failures[origin] = self._failures.get(origin, 0) + 1
        if failures >= self._options.host_failures:
            why = f"{origin} failed {failures} times in a row, at last with {answer.outcome}"
            self._paused.setdefault(origin, why)
        return failures

    def paused(self, origin: str) -> bool:
        """Return whether `origin` is left alone for the rest of the unit."""
        return origin in self._paused


def _no_file(answer: Answer) -> bool:
    """Return whether an origin has no robots.txt. "Too many requests" means another time.

    A redirect that leads nowhere, or too far, counts as none, too (RFC 9309, 2.3.1.2).
    """
    if answer.status == 429 or (answer.status or 0) >= 500:
        return False
    return answer.outcome in _NO_FILE or 300 <= (answer.status or 0) < 400
