"""Asking hosts: a few URLs of each, fetched as `gather` fetches, and what came of them.

The recipe's paces, address policy, blocklist, robots.txt and opt-outs hold; beyond that a host sees
one request at a time and no second attempt. Nothing that is fetched is kept.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from pairsieve.pipeline.external import blocklist
from pairsieve.pipeline.fetch.addresses import target_of
from pairsieve.pipeline.fetch.canonical_url import CanonicalUrl
from pairsieve.pipeline.fetch.client import Client, Fetched, Shared
from pairsieve.pipeline.image.format import kind_of
from pairsieve.pipeline.rights.robots import Rules, RulesCache, product_token
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch, Recipe
from pairsieve.schemas.recipe_paces import Pace

KEPT_BYTES = 100_000_000  # of robots.txt files: those of all hosts, so that none is asked again
BUSY = (429, 503)  # statuses by which a server says that it is asked too much


@dataclass(frozen=True, slots=True)
class Answers:
    """What one host answered.

    Attributes:
        host: Its name, as `fetch.hosts` has it.
        pairs: Of the input.
        outcomes: URLs asked, by outcome.
        statuses: Answers, by status.
        delay_s: The longest Crawl-delay that a robots.txt of it states for us, s; 0 without one.
        opt_outs: URLs, by form of what opts out of their use, obeyed or not.
        latency_s: From the request to the end of the answer, median, s; None without an answer.
        size_bytes: Of images, median; None without any.
        kinds: Images, by format.
        http_versions: Answers, by version of HTTP.
        busy: Answers that say that it is asked too much.
    """

    host: str
    pairs: int
    outcomes: dict[str, int]
    statuses: dict[int, int]
    delay_s: float
    opt_outs: dict[str, int]
    latency_s: float | None
    size_bytes: int | None
    kinds: dict[str, int]
    http_versions: dict[str, int]
    busy: int


def ask(recipe: Recipe, hosts: Sequence[tuple[int, Sequence[str]]]) -> list[Answers]:
    """Ask some URLs of each host, given with its pairs; return what they answered, in order.

    All URLs can be requested, and those of one host have the same one.

    Raises:
        BadOption: the recipe does not say who asks.
    """
    if recipe.fetch is None:
        raise BadOption("fetch: missing; say at least `user_agent`, who asks")
    options = _gently(recipe.fetch)
    cache = RulesCache(KEPT_BYTES)
    client = Client(options, Shared(1, cache), recipe.opt_outs)
    listed = blocklist.load(recipe.blocklist) if recipe.blocklist else None
    urls = dict.fromkeys(url for _, some in hosts for url in some)
    blocked = listed.of_canonical if listed else None
    fetched = {one.url: _without_body(one) for one in client.fetch(urls, blocked=blocked)}
    robot = product_token(options.user_agent)
    return [
        _answers(_host(some[0]), pairs, [fetched[url] for url in some], _rules(cache, robot, some))
        for pairs, some in hosts
    ]


def _host(url: str) -> str:
    """Return the name of the host of a URL, as paces have it."""
    target = target_of(url)
    assert isinstance(target, CanonicalUrl)
    return target.host_name


def _gently(fetch: Fetch) -> Fetch:
    """Return the options with one request at a time to a host, and no second attempt."""
    paces = {
        host: Pace(per_s=pace.per_s, connections=1) if pace.per_s else Pace(connections=1)
        for host, pace in fetch.hosts.items()
    }
    changes = {"hosts": paces, "per_host_connections": 1, "retries": 0}
    return fetch.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What is kept of an answer: all but its body."""

    answer: Fetched
    kind: str | None
    size: int


def _without_body(fetched: Fetched) -> _Fetched:
    size = len(fetched.body)
    kind = (kind_of(fetched.body) or "unknown") if size else None
    return _Fetched(replace(fetched, body=b""), kind, size)


def _rules(cache: RulesCache, robot: str, urls: Iterable[str]) -> list[Rules]:
    """Return what the robots.txt of the origins of some URLs say, as far as they were read."""
    targets = (target_of(url) for url in urls)
    origins = {target.origin for target in targets if isinstance(target, CanonicalUrl)}
    found = (cache.get(origin, robot) for origin in sorted(origins))
    return [rules for rules in found if rules is not None]


def _answers(host: str, pairs: int, fetched: Sequence[_Fetched], rules: Sequence[Rules]) -> Answers:
    """Return what some URLs of a host gave."""
    answers = [one.answer for one in fetched]
    statuses = Counter(one.http_status for one in answers if one.http_status)
    waits = [one.fetch_ms for one in answers if one.http_status and one.fetch_ms is not None]
    sizes = [one.size for one in fetched if one.answer.outcome is Outcome.OK]
    return Answers(
        host,
        pairs,
        dict(Counter(str(one.outcome) for one in answers)),
        dict(statuses),
        max((one.delay_s for one in rules), default=0.0),
        dict(Counter(str(opt_out.form) for one in answers for opt_out in one.opt_outs)),
        median(waits) / 1000 if waits else None,
        round(median(sizes)) if sizes else None,
        dict(Counter(one.kind for one in fetched if one.kind)),
        dict(Counter(one.http_version for one in answers if one.http_version)),
        sum(statuses[status] for status in BUSY),
    )
