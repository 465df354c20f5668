"""What is known of the origins of one unit: what their files say, and who is left alone.

An origin is scheme, host and port. What its robots.txt and tdmrep.json say outlives the unit, in
the cache that the caller passes; an origin that fails, or whose robots.txt cannot be had, gets
another chance with every unit. A tdmrep.json that cannot be had declares nothing.
"""

import time
from typing import Final, Generic, Literal, TypeVar

from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.request import Answer
from pairsieve.pipeline.rights import robots, robots_lines, tdmrep
from pairsieve.pipeline.rights.opt_out import OptOut, first_obeyed
from pairsieve.pipeline.rights.tdmrep import TdmFile
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch
from pairsieve.schemas.recipe_opt_outs import IGNORED, Form, OptOuts

ROBOTS_TXT: Final = "/robots.txt"
NO_TDM_FILE = TdmFile()
SiteFile = Literal["/robots.txt", "/.well-known/tdmrep.json"]
Item = TypeVar("Item")
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
        waiting: The jobs that wait for a file of an origin, once it is requested.
    """

    def __init__(
        self, options: Fetch, rules_cache: robots.RulesCache, opt_outs: OptOuts = IGNORED
    ) -> None:
        self.waiting: dict[str, list[Job]] = {}
        self._options = options
        self._obeyed = opt_outs.forms
        self._reads_tdm_files = Form.TDMREP in self._obeyed
        self._robot = robots.product_token(options.user_agent)
        self._obey = options.robots == "obey"
        self._failures: dict[str, int] = {}  # in a row
        self._paused: dict[str, str] = {}  # and why
        self._unreadable: dict[str, Answer] = {}  # robots.txt that could not be had
        self._robots: _Files[robots.Rules] = _Files(rules_cache, self._robot)
        self._tdm_files: _Files[TdmFile] = _Files(rules_cache, tdmrep.PATH)
        # Of origins whose tdmrep.json is on its way: the cache may lose them meanwhile.
        self._held: dict[str, robots.Rules] = {}
        self._declaring: set[str] = set()  # origins whose files declare anything

    def verdict(self, target: CanonicalUrl) -> Answer | Literal["allowed"] | SiteFile:
        """Return whether `target` may be requested, or why not, or the file to read before."""
        origin = target.origin
        if origin in self._paused:
            return Answer(Outcome.HOST_PAUSED, self._paused[origin])
        if self._obey and origin in self._unreadable:
            return self._unreadable[origin]
        rules = self._rules(origin)
        if self._obey and rules is None:
            return ROBOTS_TXT
        if rules and not rules.allow(target.url):
            return Answer(Outcome.ROBOTS, f"{origin}{ROBOTS_TXT}")
        tdm_file = self._tdm_files.get(origin) if self._reads_tdm_files else NO_TDM_FILE
        if tdm_file is None and rules and not rules.allow(f"{origin}{tdmrep.PATH}"):
            tdm_file = NO_TDM_FILE
            self._tdm_files.put(origin, tdm_file, 0)
        if tdm_file is None:
            if rules:
                self._held[origin] = rules
            return tdmrep.PATH
        if not tdm_file.locations and not (rules and rules.usage):
            return "allowed"
        self._declaring.add(origin)
        opt_out = first_obeyed(_declared(target, rules, tdm_file), self._obeyed)
        return Answer(opt_out.outcome, opt_out.evidence) if opt_out else "allowed"

    def opt_outs(self, target: CanonicalUrl) -> list[OptOut]:
        """Return the opt-outs that the files of its origin declare for `target`."""
        if target.origin not in self._declaring:
            return []
        tdm_file = self._tdm_files.get(target.origin) if self._reads_tdm_files else None
        return _declared(target, self._rules(target.origin), tdm_file)

    def learn(self, origin: str, file: SiteFile, answer: Answer) -> None:
        """Take what came of the request for a file of `origin`."""
        now = int(time.time() * 1000)
        if file == tdmrep.PATH:
            body = answer.body if answer.outcome is Outcome.OK else b""
            self._tdm_files.put(origin, tdmrep.parse_tdm_file(body, now), len(body))
            if rules := self._held.pop(origin, None):
                self._robots.learnt = origin, rules
        else:
            self._learn_rules(origin, answer, now)

    def _learn_rules(self, origin: str, answer: Answer, now: int) -> None:
        if answer.outcome is Outcome.OK:
            rules = robots.parse_rules(answer.body, self._robot, now)
        elif _no_file(answer):
            rules = robots.nothing_forbidden(self._robot)
        else:
            detail = ": ".join(filter(None, ("robots.txt", answer.detail)))
            self._unreadable[origin] = Answer(answer.outcome, detail, status=answer.status)
            return
        self._robots.put(origin, rules, len(answer.body))

    def delay_s(self, origin: str) -> float:
        """Return the Crawl-delay to keep at `origin`, as far as it is known, s."""
        rules = self._rules(origin)
        return min(rules.delay_s, self._options.crawl_delay_max_s) if rules else 0.0

    def _rules(self, origin: str) -> robots.Rules | None:
        """Return the rules to obey at `origin`, as far as they are known."""
        return self._robots.get(origin) if self._obey else None

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


class _Files(Generic[Item]):
    """What one kind of file says: in the cache, and what was learnt last, for those who wait."""

    def __init__(self, cache: robots.RulesCache, reader: str) -> None:
        self._cache = cache
        self._reader = reader
        self.learnt: tuple[str, Item | None] = "", None

    def get(self, origin: str) -> Item | None:
        learnt, item = self.learnt
        if learnt == origin:
            return item
        cached: Item | None = self._cache.get(origin, self._reader)
        return cached

    def put(self, origin: str, item: Item, size: int) -> None:
        self._cache.put(origin, self._reader, item, size)
        self.learnt = origin, item


def _declared(
    target: CanonicalUrl, rules: robots.Rules | None, tdm_file: TdmFile | None
) -> list[OptOut]:
    """Return what the files of an origin declare for `target`."""
    origin, path = target.origin, target.target
    found: list[OptOut] = []
    if rules and rules.usage:
        lines = robots_lines.disallowing(rules.usage, path)
        found = [robots_lines.as_opt_out(line, origin, rules.read_at) for line in lines]
    reserved = tdm_file.opt_out(origin, path) if tdm_file else None
    return [*found, reserved] if reserved else found


def _no_file(answer: Answer) -> bool:
    """Return whether an origin has no robots.txt. "Too many requests" means another time.

    A redirect that leads nowhere, or too far, counts as none, too (RFC 9309, 2.3.1.2).
    """
    if answer.status == 429 or (answer.status or 0) >= 500:
        return False
    return answer.outcome in _NO_FILE or 300 <= (answer.status or 0) < 400
